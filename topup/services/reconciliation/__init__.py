"""A provider's bill of a day beside our books: every row both ways, in constant memory.

The bill is copied into a table of this database session and compared there, by PostgreSQL. What a signed answer of the
provider can put right is put right through `settle_order` and `mirror_refund`; the bill, which nobody signs, credits
nothing by itself. The rest is listed as differences for people to settle.
"""

from .merchants import Merchant, NoBill, merchant_of, merchants_of
from .repairing import ask_again
from .resolving import refresh_state, reopen, settle, settle_odd
from .running import ReconciliationUnderWay, merchants_of_day, reconcile, reconcile_due
