"""The rules as one table: what happened, against where it is told."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import OnePageAdmin, may
from voicehelper.changes import Change

from ..events import EVENTS
from ..models import Channel, Level, Rule
from ..routing import DEFAULT
from .alerts import TONES

_LEAST: Any = Rule._meta.get_field("least")


@dataclass(frozen=True)
class RuleCell:
    """One select: its name in the form, what it says now, and to whom it belongs, for a screen reader."""

    name: str
    value: str
    label: str


@admin.register(Rule)
class RuleAdmin(OnePageAdmin):
    """Has no list and no forms of its own: the list's address is the table."""

    def show(self, request: HttpRequest) -> HttpResponse:
        channels = list(Channel.objects.order_by("name"))
        context = {
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "channels": channels,
            "rows": _rows(channels),
            "choices": Rule.Least.choices,
            "may_change": may(request, Rule, "change"),
            "may_add_channels": may(request, Channel, "add"),
        }
        return self.page(request, "admin/notifications/rules.html", context)

    def save(self, request: HttpRequest) -> HttpResponse:
        """All cells in one transaction; one that is not a choice changes nothing."""
        wanted: dict[tuple[int, str], str] = {}
        for channel in Channel.objects.all():
            for event in (Rule.EVERY, *EVENTS):
                value = request.POST.get(_name(channel, event))
                if value is not None:
                    wanted[channel.pk, event] = value
        if set(wanted.values()) - {"", *Rule.Least.values}:
            messages.error(request, _("Saving failed"))
            return HttpResponseRedirect(request.path)
        for rule, old, new in _write(wanted):
            self.log_change(request, rule, [Change(_LEAST, old, new)])
        messages.success(request, _("Saved successfully"))
        return HttpResponseRedirect(request.path)


def _write(wanted: dict[tuple[int, str], str]) -> list[tuple[Rule, str, str]]:
    """Returns each rule that is another now, with what it said and says."""
    changed = []
    with transaction.atomic():
        rows = Rule.objects.select_related("channel").select_for_update(of=("self",))
        rules = {(rule.channel_id, rule.event): rule for rule in rows}
        for (channel, event), value in wanted.items():
            rule = rules.get((channel, event))
            old = rule.least if rule else ""
            if value == old:
                continue
            if rule and not value:
                Rule.objects.filter(pk=rule.pk).delete()
            else:
                rule, _made = Rule.objects.update_or_create(channel_id=channel, event=event, defaults={"least": value})
            if rule:
                changed.append((rule, old, value))
    return changed


def _rows(channels: list[Channel]) -> list[dict[str, Any]]:
    rules = {(rule.channel_id, rule.event): rule.least for rule in Rule.objects.all()}
    rows = [{"event": Rule.EVERY, "label": gettext("Every event without a rule of its own"), "level": "", "tone": ""}]
    for name, event in EVENTS.items():
        level = str(Level(event.level).label)
        rows.append({"event": name, "label": str(event.label), "level": level, "tone": TONES[Level(event.level)]})
    for row in rows:
        default = DEFAULT if row["event"] == Rule.EVERY else ""
        row["cells"] = [  # type: ignore[assignment]
            RuleCell(
                _name(channel, row["event"]),
                str(rules.get((channel.pk, row["event"]), default)),
                f"{row['label']} → {channel.name}",
            )
            for channel in channels
        ]
    return rows


def _name(channel: Channel, event: str) -> str:
    return f"rule-{channel.pk}-{event}"
