"""Stand-ins for the outside world: WeChat Pay API v2, Alipay, the phone that scans a code and pays, WeChat's sign-in,
and large models.

Owns: merchants with their keys, trades, notices to deliver, WeChat's apps and sign-in codes, scripted faults, and the
pages that show them. Installed and mounted under /sandbox/ only when settings.SANDBOX is True; `manage.py
open_sandbox_accounts` makes the merchants.

Imports nothing of the product and nothing of the product imports it: it signs and verifies by itself and talks to the
product over HTTP only, as the real providers do, so that both sides check each other. Where a provider would refuse, it
refuses. Where it has to be looser, it says so: notices go to loopback only, over plain HTTP.

`history/` is the one exception: it makes up a demo's past, in the product's own rows. `upstream/` holds the model
providers, an ASGI application of its own. For the payment providers, a new operation is one function and one line in
an OPERATIONS: of `wechat.py` or `alipay.py` for orders, of `wechat_refunds.py` or `alipay_refunds.py` for the rest.
"""
