"""A provider's bill of a day beside our books: every row both ways, in constant memory.

The bill is copied into a table of this database session and compared there, by PostgreSQL. What a signed answer of the
provider can put right is put right through `settle_order` and `mirror_refund`; the bill, which nobody signs, credits
nothing by itself. The rest is listed as differences for people to settle.
"""

from .repairing import ask_again
from .running import NoBill, UnderWay, reconcile, reconcile_due
from .settling import refresh_state, reopen, settle

__all__ = ["NoBill", "UnderWay", "ask_again", "reconcile", "reconcile_due", "refresh_state", "reopen", "settle"]
