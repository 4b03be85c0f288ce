"""The log of what operators changed: one list of everything, which nobody changes."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import stepup
from voicehelper.admin.base import Action, Input, ReadOnlyAdmin, Report, may
from voicehelper.admin.columns import column, label, link, when
from voicehelper.admin.filters import Choice, Days, choice, username
from voicehelper.admin.forms import CardAdmin
from voicehelper.change_log import read, said
from voicehelper.price_changes import NotTakenBack, described, price_change_of, take_back

from ..models import LoggedChange
from ..operator_models import ways

MODEL, FIELD = "kind", "field"


def _models() -> list[tuple[str, str]]:
    """The kinds of records that are in the log, by name."""
    kinds = ContentType.objects.filter(pk__in=LogEntry.objects.order_by().values("content_type").distinct())
    named = [(str(kind.pk), kind.model_class()) for kind in kinds]
    found = [(pk, str(capfirst(model._meta.verbose_name))) for pk, model in named if model is not None]
    return sorted(found, key=lambda each: each[1])


class FieldOfKind(Choice):
    """One of the fields that were changed, of the kind of records that is chosen beside; of none, none is offered."""

    title = _("field")
    parameter_name = FIELD

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        kind = request.GET.get(MODEL, "")
        model = ContentType.objects.filter(pk=kind).first() if kind.isdecimal() else None
        if model is None:
            return ()
        lines = LoggedChange.objects.filter(entry__content_type=model).values_list("fields", flat=True).distinct()
        return sorted(((name, _name_of(name, model)) for name in {name for line in lines for name in line}), key=str)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(logged__fields__contains=[self.value()]) if self.value() else queryset


def _name_of(name: str, kind: ContentType) -> str:
    model = kind.model_class()
    fields = {field.name: field for field in model._meta.get_fields()} if model else {}
    return str(capfirst(getattr(fields.get(name), "verbose_name", name.replace("_", " "))))


def _record(entry: LogEntry) -> object:
    """The record, and what kind of record it is; with a link while it is there."""
    model = entry.content_type.model_class() if entry.content_type else None
    kind = capfirst(model._meta.verbose_name) if model else "—"
    try:
        address = entry.get_admin_url() if entry.action_flag != DELETION else None
    except NoReverseMatch:
        address = None
    name = link(address, entry.object_repr) if address and model else entry.object_repr
    return format_html('{}<br><span class="vh-muted">{}</span>', name, kind)


def _what(entry: LogEntry) -> SafeString:
    """What was done, a line for each field."""
    tones = {ADDITION: ("success", gettext("New")), DELETION: ("danger", gettext("Gone"))}
    told = tones.get(entry.action_flag)
    own = [label(*told)] if told else [text] if (text := said(entry)) else []
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in [*own, *_changes(entry)]))


def _changes(entry: LogEntry) -> Iterable[SafeString]:
    for change in read(entry):
        if change.secret or entry.action_flag == ADDITION:
            yield format_html("<b>{}</b> {}", change.field, change.new)
        elif entry.action_flag == DELETION:
            yield format_html("<b>{}</b> <del>{}</del>", change.field, change.old)
        else:
            yield format_html("<b>{}</b> <del>{}</del> → <ins>{}</ins>", change.field, change.old, change.new)


def _from(entry: LogEntry) -> str:
    logged = getattr(entry, "logged", None)
    return " · ".join(filter(None, [logged.get_way_display(), logged.address])) if logged else "—"


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who changed what, from what to what, and from where; never a secret's value."""

    time_done = when("action_time", _("time"))
    record = column(_("record"), _record)
    what = column(_("what"), _what)
    where_from = column(_("where from"), _from)
    list_display = ("time_done", "user", "record", "what", "where_from")
    list_filter = (
        username(),
        choice(_("kind of record"), MODEL, _models, "content_type"),
        FieldOfKind,
        choice(_("came by"), "way", ways, "logged__way"),
        ("action_time", Days),
    )
    list_select_related = ("user", "content_type", "logged")
    ordering = ("-action_time", "-pk")
    search_fields = ("object_repr", "change_message", "user__username", "logged__values", "logged__address")
    search_help_text = _("Record, operator, address, or an old or new value")
    fields = ("time_done", "user", "record", "what", "where_from")

    def actions_for(self, request: HttpRequest, record: LogEntry) -> Sequence[Action]:
        change, page = price_change_of(record), self._page_of(record)
        if change is None or page is None or not may(request, page.model, "change"):
            return ()
        asked = Input("current_password", gettext("Your password"), kind="password")
        inputs = [] if stepup.confirmed_until(request) else [asked]
        hint = "; ".join(described(change, page))
        return [Action("take_back", gettext("Take this change back"), hint=hint, inputs=inputs)]

    def _page_of(self, entry: LogEntry) -> CardAdmin | None:
        """The page on which it was changed."""
        model = entry.content_type.model_class() if entry.content_type else None
        page = self.admin_site.get_model_admin(model) if model and self.admin_site.is_registered(model) else None
        return page if isinstance(page, CardAdmin) else None

    def log_action(self, request: HttpRequest, obj: Any, text: str, before: dict[str, Any]) -> None:
        """Nothing: what is taken back is a change of its own, logged with what it was made to."""

    def do_take_back(self, request: HttpRequest, entry: LogEntry, reason: str) -> Report:
        change, page = price_change_of(entry), self._page_of(entry)
        if problem := stepup.confirm_form(request):
            return Report(False, problem)
        if change is None or page is None:
            return Report(False, gettext("It cannot be taken back any more."))
        try:
            found = take_back(change, by=request.user, page=page)
        except NotTakenBack as error:
            return Report(False, str(error))
        return Report(True, gettext("Taken back: %(changes)s") % {"changes": "; ".join(map(str, found))})
