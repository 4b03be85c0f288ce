"""WeChat Pay, API v2: XML over HTTPS, signed with the merchant's API key. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v2.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from voicehelper.net.certificates import CertificateRefused

from ...errors import NotConfigured
from ...notices import IncomingNotice, Reply
from ...orders import Trade, TradeState
from .. import json_notices
from ..trades import plain
from . import bills, notices, orders, refunds, xml
from .config import KNOWN_MISTAKES, WeChatConfig
from .signing import HMAC_SHA256, MD5, SIGN_TYPES, sign, string_to_sign
from .wire import WeChatWire

__all__ = ["HMAC_SHA256", "MD5", "SIGN_TYPES", "WeChatConfig", "WeChatPayV2", "sign", "string_to_sign"]


class WeChatPayV2(WeChatWire):
    """One merchant account, spoken to in v2."""

    config_class = WeChatConfig
    known_mistakes = KNOWN_MISTAKES
    lists_refunds = True

    create = orders.create
    query_transaction = orders.query_transaction
    close = orders.close
    payment_arguments = orders.payment_arguments
    refund = refunds.refund
    query_refund = refunds.query_refund
    refunds_of = refunds.refunds_of
    bill = bills.download
    open = notices.open_notice

    def query(self, order_no: str) -> Trade:
        trade = orders.query(self, order_no)
        if trade.state is TradeState.REFUNDED and trade.receipt is None:
            # The answer need not hold the payment; that to the question about its refunds does.
            return replace(trade, receipt=refunds.payment_of(self, order_no))
        return trade

    def acknowledge(self, ok: bool, reason: str = "", status: int = 500) -> Reply:
        fields = {"return_code": "SUCCESS" if ok else "FAIL", "return_msg": "OK" if ok else plain(reason)}
        return Reply(xml.build(fields), "text/xml; charset=utf-8")

    def refuse(self, notice: IncomingNotice, reason: str, status: int = 500) -> Reply:
        if json_notices.is_one(notice.body):
            return json_notices.refusal(reason, status)
        return super().refuse(notice, reason, status)

    def is_named_by(self, notice: IncomingNotice) -> bool:
        return self.notice_fields(notice.body).get("mch_id") == self.merchant_id

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        try:
            return xml.parse(body)
        except xml.XMLError:
            return {}

    def try_out(self) -> str:
        """Without a certificate payments work, and refunds do not; a broken one somebody meant to work."""
        text = super().try_out()
        if self.why_no_refunds and self.config.client_cert:
            raise NotConfigured(self.why_no_refunds)
        return f"{text} {self.why_no_refunds}".rstrip()

    @property
    def why_no_refunds(self) -> str:
        return self.config.why_no_refunds()

    @property
    def refunds_until(self) -> datetime | None:
        try:
            return self.config.certificate().expires_at
        except CertificateRefused:
            return None

    def _redact(self, text: str) -> str:
        return re.sub(r"(<sign>).*?(</sign>|\Z)", r"\1…\2", text, flags=re.DOTALL)
