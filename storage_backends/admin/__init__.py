"""The operator's pages of files: the buckets, and what lies in them."""

from . import archives, buckets, files
