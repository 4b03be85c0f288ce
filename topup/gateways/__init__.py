"""The payment gateways, one package each. A new one is one package (or file) and one line here.

A gateway speaks its provider's protocol and knows nothing else: no models, no requests, no rows. base.py is the
contract. Whoever wants to know what there is, and what it looks like, asks this table.
"""

import re
from collections.abc import Mapping
from typing import Final

from .alipay import Alipay
from .base import Gateway
from .wechat import WeChatPay

GATEWAYS: Final[Mapping[str, type[Gateway]]] = {gateway.name: gateway for gateway in (WeChatPay, Alipay)}


def is_callback(path: str) -> bool:
    """Whether that is where a provider posts its notices."""
    return any(re.fullmatch(gateway.callbacks(), path) for gateway in GATEWAYS.values())


def label_of(name: str) -> str:
    """What a gateway is called, in the reader's language; one that is gone, by its name."""
    return str(GATEWAYS[name].label) if name in GATEWAYS else name
