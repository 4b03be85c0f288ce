"""A period's figures beside those of the one before, and what remains of what models were charged in it."""

from collections.abc import Sequence
from dataclasses import replace

from django.utils.translation import gettext as _

from voicehelper.admin.front_page import Card
from voicehelper.numbers import percent
from voicehelper.periods import ReportPeriod
from voicehelper.wallet.margins import CallMargin, margin_of
from voicehelper.wallet.worth import in_yuan, list_price

from .figures import OrderSums


def beside(cards: Sequence[Card], before: Sequence[Card]) -> list[Card]:
    """The cards, each with the value that its place had in the period before."""
    return [replace(card, note=_noted(card, earlier)) for card, earlier in zip(cards, before, strict=True)]


def _noted(card: Card, earlier: Card) -> str:
    value = _("%(value)s before") % {"value": earlier.value}
    return f"{value} · {card.note}" if card.note else value


def change(now: int, before: int) -> str:
    """How much more or less: "+12.5%", "−3.0%"; a dash where nothing was before."""
    if before <= 0:
        return "—"
    sign = "−" if now < before else "+"
    return f"{sign}{percent(abs(now - before), before)}"


def margin_card(period: ReportPeriod, before: ReportPeriod) -> Card | None:
    """What remains of the calls whose cost is known, in yuan at the list price."""
    found, earlier = margin_of(period.first, period.last), margin_of(before.first, before.last)
    if found is None or earlier is None:
        return None
    known = _("of the %(known)s of calls whose cost is known") % {"known": percent(found.costed, found.charged)}
    card = Card(_("Margin of models"), _margin(found), known)
    return beside([card], [Card("", _margin(earlier))])[0]


def _margin(found: CallMargin) -> str:
    if not found.costed and not found.cost:
        return "—"
    worth = in_yuan(abs(found.left), list_price().yuan_per_quota)
    share = percent(abs(found.left), found.costed) if found.costed else "—"
    sign = "−" if found.left < 0 else ""
    return f"{sign}¥{worth} ({sign}{share})"


def compared_income(now: OrderSums, before: OrderSums) -> tuple[int, int, str]:
    """Income and net income of the period before, in fen, and how much the income changed."""
    return before.income_fen, before.net_fen, change(now.income_fen, before.income_fen)
