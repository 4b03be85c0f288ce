"""WeChat Pay, API v2 (Native): XML over HTTPS, signed with the merchant's API key. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v2.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from voicehelper.http import HTTP, TRUSTED

from .. import xml
from ..base import Exchange, Gateway, NewOrder, Offer, Receipt, Reply, Trade, TradeState, forget
from . import orders
from .config import KNOWN_MISTAKES, WeChatConfig
from .signing import HMAC_SHA256, MD5, SIGN_TYPES, sign, string_to_sign
from .wire import Wire

__all__ = ["HMAC_SHA256", "MD5", "SIGN_TYPES", "WeChatConfig", "WeChatPay", "sign", "string_to_sign"]

ADDRESS = "https://api.mch.weixin.qq.com"
_REAL_HOSTS = {"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "apihk.mch.weixin.qq.com"}


class WeChatPay(Gateway):
    """One merchant account at WeChat Pay."""

    name = "wechat"
    config_class = WeChatConfig
    known_mistakes = KNOWN_MISTAKES
    # WeChat refuses to close a younger order.
    close_after_s = 300

    def __init__(self, config: WeChatConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.mch_id
        self.sign_type = config.sign_type
        self.address = config.base_url.rstrip("/") or ADDRESS
        self.live = urlsplit(self.address).hostname in _REAL_HOSTS
        self._wire = Wire(
            self.app_id, self.merchant_id, self.sign_type, self.address, self.live, config.api_key, self._exchange
        )

    def create(self, order: NewOrder) -> Offer:
        return orders.create(self._wire, order)

    def query(self, order_no: str) -> Trade:
        return orders.query(self._wire, order_no)

    def close(self, order_no: str) -> TradeState:
        return orders.close(self._wire, order_no)

    def order_no_in(self, body: bytes) -> str:
        return orders.number_in(orders.parsed(body))

    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        return orders.read_notice(self._wire, body, sign_type or self.sign_type)

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        fields = {"return_code": "SUCCESS" if ok else "FAIL", "return_msg": "OK" if ok else orders.plain(reason)}
        return Reply(xml.build(fields), "text/xml; charset=utf-8")

    def _redact(self, text: str) -> str:
        return re.sub(r"(<sign>).*?(</sign>|\Z)", r"\1…\2", text, flags=re.DOTALL)
