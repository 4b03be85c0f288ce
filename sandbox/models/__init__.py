"""What the stand-ins remember."""

from .messengers import Arrival, Messenger
from .scripts import Script, UpstreamScript
from .trades import (
    AlipayCertificate,
    Delivery,
    GatewayName,
    Merchant,
    Refund,
    RefundState,
    Trade,
    TradeState,
    refunded_fen,
    yuan,
)
from .wechat_apps import LoginCode, ScanLogin, WebCode, WeChatApp
