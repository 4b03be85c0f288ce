"""What is said: one alert, or a digest of many. In the language of the installation, whoever's request caused it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.utils import translation

from . import events
from .models import LEVELS, Alert
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
    with translation.override(settings.LANGUAGE_CODE):
        kind = events.label_of(alert.event)
    content = "\n".join(filter(None, [f"事件: {kind}", alert.content]))
    return Message(alert.level, alert.title, content, alert.last, alert.count, kind)


def digest(alerts: Sequence[Alert], now: datetime) -> tuple[set[int], Message]:
    """One message for many alerts: each kind with its count, the worst first. Returns the alerts it tells."""
    kinds: dict[tuple[int, str], list[Alert]] = {}
    for alert in alerts:
        kinds.setdefault((rank(alert.level), alert.event), []).append(alert)
    chosen = [kinds[kind] for kind in sorted(kinds)[:MOST_KINDS]]
    told = [alert for group in chosen for alert in group]
    with translation.override(settings.LANGUAGE_CODE):
        titles = TITLES if len(chosen) <= FEW_KINDS else 1
        content = "\n".join(line for group in chosen for line in _lines(group, titles))
    title = f"{len(chosen)} 类告警，{len(told):,} 条，共 {_times(told):,} 次"
    return {alert.pk for alert in told}, Message(chosen[0][0].level, title, content, now, event="汇总")


def test(channel: str, now: datetime) -> Message:
    return Message("test", "测试消息", f"VoiceHelper 可以通过“{channel}”发送告警。", now, event="测试")


def _lines(group: list[Alert], titles: int) -> Iterable[str]:
    level, event = group[0].level, group[0].event
    yield f"{ICONS.get(level, OTHER_ICON)} {events.label_of(event)} ×{_times(group):,}"
    for alert in sorted(group, key=lambda alert: -alert.count)[:titles]:
        yield f"  · {alert.title[:_TITLE_CHARS]}" + (f" ×{alert.count:,}" if alert.count > 1 else "")
    if len(group) > titles:
        yield f"  · 另有 {len(group) - titles:,} 条"


def _times(alerts: Iterable[Alert]) -> int:
    return sum(alert.count for alert in alerts)
