"""WeChat Pay, API v2: XML over HTTPS, signed with the merchant's API key. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v2.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from urllib.parse import urlsplit

from voicehelper.net.certificates import CertificateRefused
from voicehelper.net.http import HTTP, TRUSTED

from .. import xml
from ..base import Gateway, NewOrder, NotConfigured, Offer, Receipt, Reply, Trade, TradeState
from ..bills import Bill
from ..exchanges import Exchange, forget
from ..refunds import NewRefund, RefundHint, RefundStatus
from . import bills, orders, refunds
from .config import KNOWN_MISTAKES, WeChatConfig
from .signing import HMAC_SHA256, MD5, SIGN_TYPES, sign, string_to_sign
from .wire import WeChatWire

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
    trade_types = ("NATIVE", "JSAPI", "MWEB")
    many_apps = True
    lists_refunds = True

    def __init__(self, config: WeChatConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.mch_id
        self.sign_type = config.sign_type
        self.address = config.base_url.rstrip("/") or ADDRESS
        self.live = urlsplit(self.address).hostname in _REAL_HOSTS
        self._config = config
        self._wire = WeChatWire(
            self.app_id,
            self.merchant_id,
            self.sign_type,
            self.address,
            self.live,
            config.api_key,
            self._exchange,
            frozenset({config.app_id, *filter(None, config.other_app_ids)}),
        )

    def create(self, order: NewOrder) -> Offer:
        return orders.create(self._wire, order)

    def query(self, order_no: str) -> Trade:
        trade = orders.query(self._wire, order_no)
        if trade.state is TradeState.REFUNDED and trade.receipt is None:
            # The answer need not hold the payment; that to the question about its refunds does.
            return replace(trade, receipt=refunds.payment_of(self._wire, order_no))
        return trade

    def close(self, order_no: str) -> TradeState:
        return orders.close(self._wire, order_no)

    def payment_arguments(self, prepay_id: str) -> dict[str, str]:
        return orders.payment_arguments(self._wire, prepay_id)

    @property
    def why_no_refunds(self) -> str:
        return self._config.why_no_refunds()

    @property
    def refunds_until(self) -> datetime | None:
        try:
            return self._config.certificate().expires_at
        except CertificateRefused:
            return None

    def refund(self, refund: NewRefund) -> RefundStatus:
        if obstacle := self.why_no_refunds:
            raise NotConfigured(obstacle)
        return refunds.refund(self._wire, refund, self._config.certificate())

    def query_refund(self, order_no: str, refund_no: str) -> RefundStatus:
        return refunds.query_refund(self._wire, order_no, refund_no)

    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        return refunds.refunds_of(self._wire, order_no)

    def refund_hint(self, body: bytes) -> RefundHint | None:
        return refunds.refund_hint(self._wire, body)

    def bill(self, day: date) -> Bill:
        return bills.download(self._wire, day)

    def order_no_in(self, body: bytes) -> str:
        return orders.number_in(orders.parsed(body))

    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        return orders.read_notice(self._wire, body, sign_type or self.sign_type)

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        fields = {"return_code": "SUCCESS" if ok else "FAIL", "return_msg": "OK" if ok else orders.plain(reason)}
        return Reply(xml.build(fields), "text/xml; charset=utf-8")

    def _redact(self, text: str) -> str:
        return re.sub(r"(<sign>).*?(</sign>|\Z)", r"\1…\2", text, flags=re.DOTALL)
