"""The payment gateways, one package each. A new one is one package (or file) and one line here.

A gateway speaks its provider's protocol and knows nothing else: no models, no requests, no rows. base.py is the
contract.
"""

from collections.abc import Mapping
from typing import Final

from .alipay import Alipay
from .base import Gateway
from .wechat import WeChatPay

GATEWAYS: Final[Mapping[str, type[Gateway]]] = {"wechat": WeChatPay, "alipay": Alipay}
