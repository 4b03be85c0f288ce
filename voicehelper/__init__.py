"""The project package: everything that no single app owns (settings, outgoing HTTP, secrets, clock, rate limits)."""

from .celery import app as celery_app
