"""The providers that are played here."""

from collections.abc import Mapping

from . import alipay, wechat
from .base import Gateway
from .models import Trade
from .wechat_v3 import protocol

GATEWAYS: Mapping[str, Gateway] = {"wechat": wechat, "alipay": alipay}


def gateway_of(trade: Trade) -> Gateway:
    """Who plays it: a trade keeps to the version of the protocol in which it was made."""
    return protocol if trade.sign_type == protocol.SIGN_TYPE else GATEWAYS[trade.merchant.gateway]
