"""The buttons that make an alert quiet for a while: what they ask, and what came of it."""

from collections.abc import Callable
from datetime import datetime, time, timedelta

from django.http import HttpRequest
from django.utils.translation import gettext

from voicehelper import clock
from voicehelper.admin.base import Action, Input, Report, operator
from voicehelper.admin.columns import moment

from .. import about, quiet
from ..models import Alert


def actions_for(alert: Alert) -> list[Action]:
    """Snoozing it, or ending that; muting its kind, or only what is about the same."""
    until = Input("until", gettext("Until (Beijing time)"), f"{tomorrow():%Y-%m-%dT%H:%M}", "datetime-local")
    money = quiet.longest(alert.event) == quiet.LONGEST_MONEY
    most = gettext("Money may be at stake: a day is the longest.") if money else gettext("Ninety days are the longest.")
    refusal = gettext("It is resolved already.") if alert.resolved_at else ""
    hint = gettext("It stays open and is told again then.")
    asleep = quiet.asleep(alert, clock.now())
    snooze = Action("snooze", gettext("Snooze"), hint=f"{hint} {most}", refusal=refusal, inputs=[until])
    wake = Action("wake", gettext("End the snooze"), hint=gettext("It is told at once."))
    kind = gettext("Nobody is told of this kind of event until then; alerts are still listed.")
    own = gettext("The same, only of those about %(record)s.") % {"record": about.name_of(alert) or alert}
    return [
        wake if asleep else snooze,
        Action("mute_kind", gettext("Mute this kind"), hint=f"{kind} {most}", asks_reason=True, inputs=[until]),
        Action("mute_record", gettext("Mute it for this record"), hint=own, asks_reason=True, inputs=[until]),
    ]


def snooze(request: HttpRequest, alert: Alert) -> Report:
    return _until(request, lambda until: snooze_until(alert, until))


def mute(request: HttpRequest, alert: Alert, reason: str, *, only_this: bool) -> Report:
    who = operator(request)
    return _until(request, lambda until: mute_until(alert, until, by=who, reason=reason, only_this=only_this))


def snooze_for(alert: Alert, span: timedelta) -> Report:
    return snooze_until(alert, clock.now() + span)


def mute_for(alert: Alert, span: timedelta, *, by: str) -> Report:
    return mute_until(alert, clock.now() + span, by=by, reason=gettext("From the list"), only_this=False)


def snooze_until(alert: Alert, until: datetime) -> Report:
    return _said(lambda: quiet.snooze(alert, until), gettext("Snoozed until %(time)s"), until)


def mute_until(alert: Alert, until: datetime, *, by: str, reason: str, only_this: bool) -> Report:
    return _said(
        lambda: quiet.mute(alert, until, by=by, reason=reason, only_this=only_this),
        gettext("Muted until %(time)s"),
        until,
    )


def tomorrow() -> datetime:
    """Tomorrow at nine, but never later than a day from now, which is the longest for money."""
    nine = datetime.combine(clock.today() + timedelta(days=1), time(9), clock.BEIJING)
    latest = clock.now() + timedelta(hours=23, minutes=55)
    return min(nine, latest).astimezone(clock.BEIJING)


def _until(request: HttpRequest, do: Callable[[datetime], Report]) -> Report:
    try:
        typed = datetime.fromisoformat(request.POST.get("until", "").strip())
    except ValueError:
        return Report(False, gettext("Say until when, like 2026-12-01 09:00."))
    return do(typed if typed.tzinfo else typed.replace(tzinfo=clock.BEIJING))


def _said(do: Callable[[], object], text: str, until: datetime) -> Report:
    try:
        do()
    except quiet.TooQuiet as refused:
        return Report(False, str(refused))
    return Report(True, text % {"time": moment(until)})
