"""Alerts: what is open, what was resolved and by whom, and what became of each on its way to people."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, list_url, may, operator
from voicehelper.admin.columns import choice_label, column, label, link, moment, number, when
from voicehelper.admin.filters import Days, choice, marks
from voicehelper.admin.front_page import OpenMatter
from voicehelper.changes import snapshot
from voicehelper.numbers import grouped

from .. import about, events, quiet, services
from ..messages import content_of
from ..models import Alert, Channel, Delivery, Mute
from ..routing import is_muted
from . import quieting

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

DELIVERY_ROWS = 50
TONES = {Alert.Level.CRITICAL: "danger", Alert.Level.WARNING: "warning", Alert.Level.INFO: "info"}

STATE_TONES = {
    Delivery.State.WAITING: "info",
    Delivery.State.SENT: "success",
    Delivery.State.DIGESTED: "success",
    Delivery.State.UNKNOWN: "warning",
    Delivery.State.FAILED: "danger",
}


def state_label(delivery: Delivery) -> SafeString:
    return choice_label(delivery, STATE_TONES)


class AlertList(ChangeList):
    """A page of alerts, with what they are about."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        about.read_records(self.result_list)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    time_created = when("created", _("first"))
    time_last = when("last", _("last"))
    num_count = number("count", _("times"))
    list_display = (
        "shown_title",
        "level_label",
        "event_label",
        "record",
        "num_count",
        "told_through",
        "time_last",
        "resolution",
    )
    list_filter = (
        marks(
            _("state"),
            "open",
            {"yes": (_("Open"), Q(resolved_at=None)), "no": (_("Resolved"), Q(resolved_at__isnull=False))},
        ),
        choice(_("level"), "level", lambda: Alert.Level.choices),
        choice(_("event"), "event", lambda: [(name, event.label) for name, event in events.EVENTS.items()]),
        ("last", Days),
    )
    ordering = ("-last",)
    sortable_by = ("time_last",)
    search_fields = ("title", "content", "texts")
    actions = ("resolve_selected", "snooze_an_hour", "snooze_till_morning", "mute_an_hour")
    fields = (
        "level_label",
        "shown_title",
        "text",
        "record",
        "platform_label",
        "num_count",
        "time_created",
        "time_last",
        "event_label",
        "resolution",
        "delivery_rows",
    )

    level_label = column(_("level"), lambda alert: choice_label(alert, TONES, "level"))
    shown_title = column(_("title"), str)
    text = column(_("content"), lambda alert: format_html('<div class="vh-text">{}</div>', content_of(alert) or "—"))
    platform_label = column(_("platform"), lambda alert: events.platform_of(alert.platform) or "—")
    record = column(_("record"), lambda alert: _record(alert))
    event_label = column(_("event"), lambda alert: events.label_of(alert.event))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return AlertList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        rows: QuerySet[Alert] = super().get_queryset(request).annotate(muted=is_muted(), asleep=quiet.is_asleep())
        return rows.prefetch_related("deliveries__channel")

    @admin.display(description=_("told through"))
    def told_through(self, alert: Alert) -> SafeString:
        """Each channel with the fate of its last delivery."""
        latest = {each.channel.name: each for each in sorted(alert.deliveries.all(), key=lambda each: each.pk)}
        pairs = [(STATE_TONES[Delivery.State(each.state)], name) for name, each in sorted(latest.items())]
        if not pairs:
            return format_html('<span class="vh-muted">{}</span>', gettext("Nobody"))
        return format_html_join(mark_safe(" "), "{}", [(label(tone, name),) for tone, name in pairs])

    @admin.display(description=_("deliveries"))
    def delivery_rows(self, alert: Alert) -> SafeString:
        rows = [
            (each.channel.name, state_label(each), f"{each.count:,}", each.tries, moment(each.sent_at), each.outcome)
            for each in alert.deliveries.order_by("-pk")[:DELIVERY_ROWS].select_related("channel")
        ]
        if not rows:
            return format_html('<p class="vh-muted">{}</p>', gettext("No channel was told of it."))
        heads = [
            gettext("Channel"),
            gettext("State"),
            gettext("Times"),
            gettext("Tries"),
            gettext("Sent"),
            gettext("Outcome"),
        ]
        cell = "<td>{}</td>" * len(heads)
        return format_html(
            '<div class="vh-scroll"><table class="vh-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
            format_html_join("", "<th>{}</th>", [(head,) for head in heads]),
            format_html_join("", f"<tr>{cell}</tr>", rows),
        )

    @admin.display(description=_("resolved"))
    def resolution(self, alert: Alert) -> object:
        if alert.resolved_at is None:
            return quiet_label(alert) or label("warning", gettext("Open"))
        return gettext("%(time)s by %(who)s") % {"time": moment(alert.resolved_at), "who": alert.resolved_by}

    def actions_for(self, request: HttpRequest, record: Alert) -> Sequence[Action]:
        if not may(request, Alert, "change"):
            return ()
        refusal = gettext("It is resolved already.") if record.resolved_at else ""
        hint = gettext("The same event raises a new alert when it happens again.")
        again = gettext("Through every channel whose rules want it.")
        return [
            Action("resolve", gettext("Mark as resolved"), hint=hint, refusal=refusal, main=True),
            Action("tell", gettext("Send again"), hint=again),
            *quieting.actions_for(record),
        ]

    def do_tell(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        count = services.tell_again(alert)
        text = ngettext("It is sent through %(count)d channel.", "It is sent through %(count)d channels.", count)
        return Report(bool(count), text % {"count": count} if count else gettext("No rule wants it to be sent."))

    def do_resolve(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        done = services.resolve(alert, by=operator(request))
        return Report(done, gettext("Resolved.") if done else gettext("It is resolved already."))

    def do_snooze(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        return quieting.snooze(request, alert)

    def do_wake(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        done = quiet.wake(alert)
        return Report(done, gettext("It is told again.") if done else gettext("It is not snoozed."))

    def do_mute_kind(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        return quieting.mute(request, alert, reason, only_this=False)

    def do_mute_record(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        return quieting.mute(request, alert, reason, only_this=True)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return may(request, Alert, "change")

    @admin.action(description=_("Mark the selected alerts as resolved"), permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        done = [alert for alert in queryset if services.resolve(alert, by=operator(request))]
        for alert in done:
            self.log_action(request, alert, gettext("Resolved."), snapshot(alert, every=True))
        text = ngettext("%(count)d alert resolved.", "%(count)d alerts resolved.", len(done)) % {"count": len(done)}
        messages.success(request, text)

    @admin.action(description=_("Snooze the selected alerts for an hour"), permissions=["resolve"])
    def snooze_an_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._quiet(request, queryset, lambda alert: quieting.snooze_for(alert, timedelta(hours=1)))

    @admin.action(description=_("Snooze the selected alerts until tomorrow, 9:00"), permissions=["resolve"])
    def snooze_till_morning(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._quiet(request, queryset, lambda alert: quieting.snooze_until(alert, quieting.tomorrow()))

    @admin.action(description=_("Mute the kinds of the selected alerts for an hour"), permissions=["resolve"])
    def mute_an_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        one_of_each = {alert.event: alert for alert in queryset}.values()
        who = operator(request)
        self._quiet(request, one_of_each, lambda alert: quieting.mute_for(alert, timedelta(hours=1), by=who))

    def _quiet(self, request: HttpRequest, alerts: Iterable[Alert], do: Callable[[Alert], Report]) -> None:
        for alert in alerts:
            before = snapshot(alert, every=True)
            report = do(alert)
            messages.add_message(request, messages.SUCCESS if report.ok else messages.ERROR, f"{alert}: {report.text}")
            if report.ok:
                self.log_action(request, alert, report.text, before)


def _record(alert: Alert) -> object:
    """Its name, with a link to its page."""
    name = about.name_of(alert)
    return link(about.path_of(alert), name) if name else "—"


def quiet_label(alert: Alert) -> SafeString | None:
    """That nobody is told of it, and until when."""
    if getattr(alert, "muted", False) and (mute := quiet.mute_of(alert)):
        return label("info", gettext("Muted until %(time)s") % {"time": moment(mute.until)})
    if getattr(alert, "asleep", False):
        return label("info", gettext("Snoozed until %(time)s") % {"time": moment(alert.snoozed_until)})
    return None


@admin.register(Mute)
class MuteAdmin(ReadOnlyAdmin):
    """What is muted, and was; each can be ended."""

    time_created = when("created", _("created"))
    time_until = when("until", _("until"))
    event_label = column(_("event"), lambda mute: events.label_of(mute.event))
    whose = column(_("record"), lambda mute: about.name_of(Alert(about=mute.about)) or mute.about or gettext("All"))
    state = column(_("state"), lambda mute: _mute_state(mute))
    list_display = ("event_label", "whose", "state", "time_until", "by", "reason", "time_created")
    list_filter = (choice(_("event"), "event", lambda: [(name, each.label) for name, each in events.EVENTS.items()]),)
    ordering = ("-pk",)
    fields = ("event_label", "whose", "state", "time_until", "by", "reason", "time_created")

    def actions_for(self, request: HttpRequest, record: Mute) -> Sequence[Action]:
        if not may(request, Alert, "change"):
            return ()
        refusal = "" if _in_force(record) else gettext("It has ended.")
        return [Action("end", gettext("End it now"), refusal=refusal, main=True)]

    def do_end(self, request: HttpRequest, mute: Mute, reason: str) -> Report:
        done = quiet.unmute(mute)
        return Report(done, gettext("It is told again.") if done else gettext("It has ended."))


def _in_force(mute: Mute) -> bool:
    return mute.ended is None and mute.until > clock.now()


def _mute_state(mute: Mute) -> SafeString:
    return label("info", gettext("Muted")) if _in_force(mute) else label("default", gettext("Ended"))


def _channels() -> list[tuple[str, str]]:
    return [(str(pk), name) for pk, name in Channel.objects.order_by("name").values_list("pk", "name")]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    time_created = when("created", _("created"))
    time_next = when("next_try_at", _("next try"))
    time_sent = when("sent_at", _("sent"))
    num_count = number("count", _("times told"))
    num_tries = number("tries", _("tries"))
    list_display = (
        "alert_link",
        "channel",
        "state_label",
        "num_count",
        "num_tries",
        "time_next",
        "time_sent",
        "outcome",
    )
    list_display_links = None
    list_select_related = ("alert", "channel")
    list_filter = (
        choice(_("state"), "state", lambda: Delivery.State.choices),
        choice(_("channel"), "channel", _channels),
        ("created", Days),
    )
    ordering = ("-pk",)
    actions = ("send_selected_again",)
    fields = (
        "alert_link",
        "channel",
        "state_label",
        "num_count",
        "num_tries",
        "time_created",
        "time_next",
        "time_sent",
        "outcome",
    )

    alert_link = column(_("alert"), lambda delivery: link(change_url(delivery.alert), delivery.alert))
    state_label = column(_("state"), lambda delivery: state_label(delivery))

    def has_send_permission(self, request: HttpRequest) -> bool:
        return may(request, Alert, "change")

    @admin.action(description=_("Send the selected deliveries again"), permissions=["send"])
    def send_selected_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = services.send_again(Delivery.objects.filter(pk__in=queryset.values("pk")))
        text = ngettext("%(count)d delivery is sent again.", "%(count)d deliveries are sent again.", count)
        messages.success(request, text % {"count": count})


# --- The front page and the menu -------------------------------------------------------------------------------------
def open_alerts(request: HttpRequest) -> list[OpenMatter]:
    if not may(request, Alert, "view"):
        return []
    return [OpenMatter(gettext("Open alerts"), _num_open(), list_url(Alert, open="yes"), "danger")]


def badge() -> str | None:
    """How many are open."""
    return grouped(count) if (count := _num_open()) else None


def _num_open() -> int:
    return Alert.objects.filter(resolved_at=None).count()
