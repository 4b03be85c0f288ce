"""The month before a demo's first start, made up, so that no list, picture or figure is empty at the first look.

The only room of the sandbox that knows the product: it writes rows as the product itself would have left them, in bulk,
and the audit finds nothing wrong with them. The stand-ins remember the same payments, so that whatever is asked of them
(an order, a refund, a day's bill) agrees. `calendar.py` says when, `ledger.py` keeps the balances, the other modules
each make the rows of one subject.

All of it is drawn from one seed, and all times are counted back from the start. MARK stands wherever people read it.
"""

MARK = "演示数据 Demo data"
