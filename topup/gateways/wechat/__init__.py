"""WeChat Pay, API v2: XML over HTTPS, signed with the merchant's API key. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v2.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused

from ..notices import Reply
from ..orders import Trade, TradeState
from ..ways import PHONE, Device, Place
from . import bills, notices, orders, refunds, xml
from .config import KNOWN_MISTAKES, WeChatConfig
from .signing import HMAC_SHA256, MD5, SIGN_TYPES, sign, string_to_sign
from .wire import WeChatWire, plain

__all__ = ["HMAC_SHA256", "MD5", "SIGN_TYPES", "WeChatConfig", "WeChatPay", "sign", "string_to_sign"]


class WeChatPay(WeChatWire):
    """One merchant account at WeChat Pay."""

    name, label, app_label = "wechat", _("WeChat Pay"), _("WeChat")
    colour, on_colour, icon = "#07C160", "#03270F", "wechat"
    off = _("The administrator has not enabled WeChat Pay!")

    # MWEB is WeChat's page for phones' browsers, JSAPI the payment inside WeChat.
    trade_types = {"NATIVE": Place.CODE, "JSAPI": Place.APP, "MWEB": Place.PHONE}
    ways = {PHONE: "MWEB", Device(name): "JSAPI"}
    # WeCom says MicroMessenger too, and cannot tell who its user is in WeChat.
    app_browser = r"(?s)^(?!.*wxwork/).*MicroMessenger/"

    refund_callbacks = ("refund-notify",)
    # No proxy of ours knows these as anything else; a browser's multipart form is not a notice.
    notice_types = (
        "text/xml",
        "application/xml",
        "text/plain",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
    )

    config_class = WeChatConfig
    known_mistakes = KNOWN_MISTAKES
    many_apps = True
    # WeChat refuses to close a younger order.
    close_after_s = 300
    lists_refunds = True

    create = orders.create
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

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        fields = {"return_code": "SUCCESS" if ok else "FAIL", "return_msg": "OK" if ok else plain(reason)}
        return Reply(xml.build(fields), "text/xml; charset=utf-8")

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        try:
            return xml.parse(body)
        except xml.XMLError:
            return {}

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
