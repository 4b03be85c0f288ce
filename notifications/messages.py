"""What is said: one alert, or a digest of many, in the language of the channel's readers (the current one)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from . import about, events
from .models import LEVELS, Alert
from .texts import in_words
from .transports import Message
from .transports.base import ICONS, OTHER_ICON

# Alerts in one digest, and kinds of them: what is over goes into the next.
MOST = 20_000
MOST_KINDS = 40
# Titles of one kind that are spelled out: few, where there are many kinds, so that all of them find room.
TITLES = 3
FEW_KINDS = 12
_TITLE_CHARS = 80


def rank(level: str) -> int:
    """0 is the worst."""
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def single(alert: Alert) -> Message:
    kind, platform, record = events.label_of(alert.event), events.platform_of(alert.platform), about.name_of(alert)
    named = [(_("Event"), kind), (_("Platform"), platform), (_("Record"), record)]
    lines = [f"{label}: {value}" for label, value in named if value]
    content = "\n".join(filter(None, [*lines, content_of(alert)]))
    facts = {"platform": platform, "record": record, "link": about.address_of(alert)}
    return Message(alert.level, str(alert), content, alert.last, alert.count, kind, **facts)


def content_of(alert: Alert) -> str:
    return in_words(alert.texts.get("content") or [alert.content])[:4000]


def digest(alerts: Sequence[Alert], now: datetime) -> tuple[set[int], Message]:
    """One message for many alerts: each kind with its count, the worst first. Returns the alerts it tells."""
    kinds: dict[tuple[int, str], list[Alert]] = {}
    for alert in alerts:
        kinds.setdefault((rank(alert.level), alert.event), []).append(alert)
    chosen = [kinds[kind] for kind in sorted(kinds)[:MOST_KINDS]]
    told = [alert for group in chosen for alert in group]
    content = "\n".join(line for group in chosen for line in _lines(group, few=len(chosen) <= FEW_KINDS))
    facts = {"kinds": len(chosen), "alerts": f"{len(told):,}", "times": f"{_times(told):,}"}
    title = _("%(kinds)d kinds of alerts, %(alerts)s alerts, %(times)s times") % facts
    whole = Message(chosen[0][0].level, title, content, now, event=_("Digest"), link=about.list_address())
    return {alert.pk for alert in told}, whole


def test(channel: str, now: datetime) -> Message:
    content = _("VoiceHelper can send alerts through “%(channel)s”.") % {"channel": channel}
    return Message("test", _("Test message"), content, now, event=_("Test"), link=about.list_address())


def _lines(group: list[Alert], *, few: bool) -> Iterable[str]:
    """A kind, with its alerts and where they lead while there is room for that."""
    level, event, titles = group[0].level, group[0].event, TITLES if few else 1
    yield f"{ICONS.get(level, OTHER_ICON)} {events.label_of(event)} ×{_times(group):,}"
    for alert in sorted(group, key=lambda alert: -alert.count)[:titles]:
        yield f"  · {str(alert)[:_TITLE_CHARS]}" + (f" ×{alert.count:,}" if alert.count > 1 else "")
        if few:
            yield f"    {about.address_of(alert)}"
    if len(group) > titles:
        yield "  · " + _("%(count)s more") % {"count": f"{len(group) - titles:,}"}


def _times(alerts: Iterable[Alert]) -> int:
    return sum(alert.count for alert in alerts)
