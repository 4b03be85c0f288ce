"""WeChat Pay, API v3: JSON over HTTPS, signed with RSA by both sides. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v3.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from django.utils.translation import gettext_lazy as _

from voicehelper.net.probe import Probe

from ... import strict_json
from ...errors import NotSupported
from ...notices import Reply
from ...refunds import RefundStatus
from .. import json_notices
from . import bills, fetching, notices, orders, refunds
from .certificates import keys_in
from .config import WeChatV3Config, other_merchant_in
from .mistakes import KNOWN_MISTAKES
from .wire import MAX_BYTES, WeChatV3Wire

__all__ = ["WeChatPayV3", "WeChatV3Config"]


class WeChatPayV3(WeChatV3Wire):
    """One merchant account, spoken to in v3."""

    config_class = WeChatV3Config
    known_mistakes = KNOWN_MISTAKES

    create = orders.create
    query = orders.query
    query_transaction = orders.query_transaction
    close = orders.close
    payment_arguments = orders.payment_arguments
    refund = refunds.refund
    query_refund = refunds.query_refund
    bill = bills.download
    open = notices.open_notice
    is_named_by = notices.is_for

    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        raise NotSupported(f"WeChat Pay v3 lists no refunds of {order_no}: ask with their numbers, or read the bill.")

    def acknowledge(self, ok: bool, reason: str = "", status: int = 500) -> Reply:
        return Reply("", "application/json", 204) if ok else json_notices.refusal(reason, status)

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        """Of the envelope; what is inside is encrypted."""
        try:
            said = strict_json.object_in(body, MAX_BYTES)
        except ValueError:
            return {}
        return {name: value for name, value in said.items() if isinstance(value, str)}

    @property
    def fetches_certificates(self) -> bool:
        return self.config.fetch_certs

    def use_certificates(self, pems: str) -> None:
        self.keys = {**self.keys, **keys_in(pems, datetime.now(UTC))}

    def refresh_certificates(self) -> int:
        return fetching.fetch(self) if self.config.fetch_certs else 0

    @property
    def why_no_refunds(self) -> str:
        return self.config.why_no_refunds()

    @property
    def refunds_until(self) -> datetime | None:
        return self.config.own.expires_at

    def try_out(self) -> str:
        """With platform certificates also whether the APIv3 key opens them, which the query does not prove."""
        text = super().try_out()
        if self.last is not None and "wechatpay-signature" not in self.last.headers:
            text = str(_("The gateway answered; our signature is right."))
        if self.config.fetch_certs:
            fetching.fetch(self)
        return text

    def probe(self) -> Probe:
        probe = super().probe()
        return replace(probe, details={**probe.details, **self._seen()})

    def _seen(self) -> Mapping[str, str]:
        """What the last answer tells besides: the time there, and who signed it."""
        found = {str(_("Our clock")): f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
        if other := other_merchant_in(self.config.public_key_id, self.merchant_id):
            found[str(_("Public key id"))] = str(_("It seems to be merchant %(number)s’s.")) % {"number": other}
        if self.last is None:
            return found
        headers = self.last.headers
        with suppress(ValueError):
            theirs = parsedate_to_datetime(headers.get("date", ""))
            found[str(_("The answer’s clock"))] = f"{theirs.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        signer = headers.get("wechatpay-serial", "") if "wechatpay-signature" in headers else ""
        found[str(_("The answer is signed with"))] = signer[:64] or str(
            _("nothing: a payment will prove WeChat Pay’s key")
        )
        return found
