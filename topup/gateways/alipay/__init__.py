"""Alipay: signed forms to one gateway, JSON answers, RSA2; with public keys or with certificates. Amounts are yuan in
text.

Source: opendocs.alipay.com. The official SDK's classes build the requests; the rest is ours (wire.py says why).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from ..errors import Malformed
from ..notices import IncomingNotice, Reply
from ..ways import PHONE, Place
from . import bills, notices, orders, refunds
from .config import AlipayConfig
from .mistakes import KNOWN_MISTAKES
from .sentences import SENTENCES
from .wire import RSA2, AlipayWire, string_to_sign

__all__ = ["RSA2", "Alipay", "AlipayConfig", "string_to_sign"]


class Alipay(AlipayWire):
    """One application at Alipay."""

    name, label, app_label = "alipay", _("Alipay"), _("Alipay")
    colour, icon = "#1677FF", "alipay"
    off = _("The administrator has not enabled Alipay!")

    # WAP and PAGE are Alipay's pages, for a phone's browser and for a desktop's.
    trade_types = {"PRECREATE": Place.CODE, "WAP": Place.BROWSER, "PAGE": Place.BROWSER}
    ways = {PHONE: "WAP"}
    app_browser = "AlipayClient/"
    pay_addresses = {"PRECREATE": ("https://qr.alipay.com/",)}

    notice_types = ("application/x-www-form-urlencoded",)

    payer_fields = frozenset({"buyer_id", "buyer_logon_id", "buyer_open_id", "buyer_user_id", "buyer_user_name"})

    config_class = AlipayConfig
    known_mistakes = KNOWN_MISTAKES
    sentences = SENTENCES
    closes_refunded = True
    # The day and the product come first.
    transaction_numbers = r"20[0-9]{26}"
    refunds_by_transaction = True

    create = orders.create
    query = orders.query
    query_transaction = orders.query_transaction
    close = orders.close
    refund = refunds.refund
    query_refund = refunds.query_refund
    refunds_of = refunds.refunds_of
    bill = bills.download
    open = notices.open_notice

    def acknowledge(self, ok: bool, reason: str = "", status: int = 500) -> Reply:
        return Reply("success" if ok else "fail", "text/plain")

    def is_named_by(self, notice: IncomingNotice) -> bool:
        fields = self.notice_fields(notice.body)
        return (fields.get("app_id"), fields.get("seller_id", self.merchant_id)) == (self.app_id, self.merchant_id)

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        try:
            return notices.parsed(body)
        except Malformed:
            return {}

    def try_out(self) -> str:
        super().try_out()
        orders.prove_seller(self)
        text = _("Alipay answered, the signatures of both sides are right, and %(seller)s may receive the money.")
        return str(text) % {"seller": self.merchant_id}

    @property
    def remarks(self) -> Sequence[str]:
        return tuple(self.files.remarks(self.merchant_id, live=self.live)) if self.files else ()

    @property
    def refunds_until(self) -> datetime | None:
        return self.files.expires_at(self.alipays[1:]) if self.files else None

    def _redact(self, text: str) -> str:
        return re.sub(r'("sign"\s*:\s*")[^"]*', r"\1…", text)
