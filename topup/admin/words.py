"""How the admin words and colours what the models hold."""

from datetime import timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import choice_label, label
from voicehelper.admin.filters import Choice, choice
from voicehelper.wallet.actors import PROGRAMS

from ..gateways import GATEWAYS, label_of
from ..models import Notice, Order, Refund
from ..money import yuan
from ..stored_texts import in_words

STATE_TONES = {
    Order.State.CREATED: "info",
    Order.State.PENDING: "info",
    Order.State.PAID: "success",
    Order.State.PARTLY_REFUNDED: "warning",
    Order.State.REFUNDED: "warning",
    Order.State.CLOSED: "default",
    Order.State.FAILED: "danger",
}
REFUND_TONES = {
    Refund.State.REQUESTED: "info",
    Refund.State.SUBMITTED: "info",
    Refund.State.UNKNOWN: "warning",
    Refund.State.SUCCEEDED: "success",
    Refund.State.FAILED: "danger",
}
VERDICT_TONES = {
    Notice.Verdict.RECEIVED: "warning",
    Notice.Verdict.CREDITED: "success",
    Notice.Verdict.DUPLICATE: "default",
    Notice.Verdict.IGNORED: "default",
    Notice.Verdict.REFUND: "default",
    Notice.Verdict.MALFORMED: "danger",
    Notice.Verdict.FORGED: "danger",
    Notice.Verdict.MISMATCH: "danger",
    Notice.Verdict.UNKNOWN_ORDER: "danger",
    Notice.Verdict.UNCONFIRMED: "warning",
    Notice.Verdict.FAILED: "danger",
}
OUTCOMES: dict[str, Any] = {
    "ok": _("Answered"),
    "refused": _("Refused"),
    "retryable": _("Try again"),
    "unknown": _("No certain answer"),
}
OUTCOME_TONES = {"ok": "success", "refused": "danger", "retryable": "warning", "unknown": "warning"}
OPERATIONS: dict[str, Any] = {
    "create": _("Create"),
    "query": _("Query"),
    "close": _("Close"),
    "refund": _("Refund"),
    "refund query": _("Refund query"),
    "bill": _("Bill"),
}
# Who brought the receipt that credited an order.
SOURCES: dict[str, Any] = {
    **PROGRAMS,
    "admin": _("an operator’s query"),
    "manual": _("an operator, without proof of payment"),
}


def money(amount_fen: int) -> str:
    """Fen → "¥1,234.50"."""
    whole, _point, cents = yuan(amount_fen).partition(".")
    return f"¥{int(whole):,}.{cents}"


def money_or_dash(amount_fen: int | None) -> str:
    """ "—" for what is not known."""
    return "—" if amount_fen is None else money(amount_fen)


def signed_yuan(amount_fen: int) -> str:
    """Fen → "-12.50", for files."""
    return f"{'-' if amount_fen < 0 else ''}{yuan(abs(amount_fen))}"


def signed_money(amount_fen: int) -> str:
    """Fen → "−¥12.50"."""
    return f"{'−' if amount_fen < 0 else ''}{money(abs(amount_fen))}"


def by_gateway(lookup: str = "gateway") -> type[Choice]:
    """A filter of a list; `lookup` leads from the row to the gateway's name."""
    return choice(_("gateway"), "gateway", gateway_choices, lookup)


def gateway(name: str) -> SafeString:
    """The provider's name with its colour."""
    return format_html('<span class="vh-gateway vh-{}">{}</span>', name, label_of(name))


def gateway_choices() -> list[tuple[str, str]]:
    """What a filter offers."""
    return [(name, label_of(name)) for name in GATEWAYS]


def state(order: Order) -> SafeString:
    return choice_label(order, STATE_TONES)


def review(order: Order) -> str:
    """Why somebody has to look at it; what is known beforehand in the reader's language."""
    return in_words(order.review)


def refund_state(refund: Refund) -> SafeString:
    return choice_label(refund, REFUND_TONES)


def verdict(notice: Notice) -> SafeString:
    return choice_label(notice, VERDICT_TONES, "verdict")


def outcome(word: str) -> SafeString:
    return label(OUTCOME_TONES.get(word, "default"), OUTCOMES.get(word, word))


def duration(span: timedelta | None) -> str:
    """ "12 s", "3 min 20 s", "2 h 5 min"; a dash for none."""
    if span is None:
        return "—"
    seconds = span // timedelta(seconds=1)
    if seconds < 60:
        return gettext("%(seconds)d s") % {"seconds": seconds}
    if seconds < 3600:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": seconds // 60, "seconds": seconds % 60}
    return gettext("%(hours)d h %(minutes)d min") % {"hours": seconds // 3600, "minutes": seconds % 3600 // 60}
