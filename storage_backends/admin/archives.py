"""How long logs are kept: each with its months, its size and how far it goes back, and the months that are archived."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper import retention
from voicehelper.admin.base import Action, ReadOnlyAdmin, change_url, list_url, nobody, url_name
from voicehelper.admin.columns import choice_label, column, link, moment, number, when
from voicehelper.admin.filters import choice
from voicehelper.admin.forms import CardAdmin, Consequences
from voicehelper.numbers import grouped

from ..archiving import bytes_of, kept_since, label_of, retention_of
from ..backends.base import StoreError
from ..contents import readable
from ..downloads import HEADERS
from ..models import Archive, Retention

_SIZE = """
    SELECT pg_total_relation_size(oid), GREATEST(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass
"""
_TONES = {Archive.State.WRITING: "warning", Archive.State.DELETING: "warning", Archive.State.DONE: "success"}


def name_of(log: str) -> str:
    growing = retention.log_named(log)
    return str(capfirst(growing.model._meta.verbose_name_plural)) if growing else log


def _logs() -> list[tuple[str, str]]:
    return [(growing.name, name_of(growing.name)) for growing in retention.every_log()]


def _oldest(row: Retention) -> datetime | None:
    growing = retention.log_named(row.log)
    if growing is None:
        return None
    dated: Any = growing.model._default_manager.order_by(growing.moment).values_list(growing.moment, flat=True)
    found: datetime | None = dated.first()
    return found


def _table(row: Retention) -> tuple[int, int]:
    """Bytes, and about how many rows."""
    growing = retention.log_named(row.log)
    if growing is None:
        return 0, 0
    with connection.cursor() as cursor:
        cursor.execute(_SIZE, [growing.model._meta.db_table])
        size, rows = cursor.fetchone()
    return size, rows


def _latest(row: Retention) -> object:
    last = Archive.objects.filter(log=row.log).order_by("-created").first()
    return link(change_url(last), f"{last.month:%Y-%m}") if last else "—"


@admin.register(Retention)
class RetentionAdmin(CardAdmin):
    list_display = ("title", "kept", "since", "num_rows", "size_text", "latest")
    list_display_links = ("title",)
    ordering = ("log",)
    actions: Any = None
    fields: ClassVar[Any] = ["months"]
    purpose = _("Finished months of this log are written into a file in the active bucket, and then deleted here.")
    password_help = _("Only needed when you change how long rows are kept.")
    save_label = _("Save")
    help_texts = {
        "months": _("So many whole months after the end of theirs rows are archived. Empty: they are kept for ever.")
    }

    title = column(_("log"), lambda row: name_of(row.log))
    kept = column(_("kept"), lambda row: _months(row))
    since = column(_("goes back to"), lambda row: moment(_oldest(row)))
    num_rows = column(_("rows (about)"), lambda row: grouped(_table(row)[1]))
    size_text = column(_("size"), lambda row: readable(_table(row)[0]))
    latest = column(_("last archive"), _latest)

    has_add_permission = has_delete_permission = nobody

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Retention]":
        """Those there are now, made on first use."""
        names = [retention_of(growing).log for growing in retention.every_log()]
        return super().get_queryset(request).filter(log__in=names)

    def problems(self, row: Any) -> Mapping[str, str]:
        growing = retention.log_named(row.log)
        if growing and row.months is not None and row.months < growing.least:
            least = gettext("At least %(months)d months.") % {"months": growing.least}
            return {"months": f"{least} {growing.why}"}
        return super().problems(row)

    def page_context(self, row: Any) -> dict[str, Any]:
        growing = retention.log_named(row.log) if row is not None else None
        if growing is None:
            return {}
        texts = [str(growing.why), gettext("Rows that something unfinished refers to stay, however old they are.")]
        first = kept_since(growing)
        if first is not None:
            texts.append(gettext("Archived now: everything before %(day)s.") % {"day": f"{first:%Y-%m-%d}"})
        return {
            "title": name_of(row.log),
            "help_steps": [
                gettext(
                    "Each night finished months that are old enough are written into files: one row a line, as JSON."
                ),
                gettext("A file is read back whole; only what it holds is deleted here, a thousand rows at a time."),
                gettext("What pages add up stays: sums are kept before their rows go."),
                gettext("Files stay until you delete them in the bucket. What a law wants gone must go there too."),
            ],
            "consequences": Consequences(gettext("What is kept"), texts),
            "notes": [("archive", link(list_url(Archive, log=row.log), gettext("Archives of this log")))],
        }


def _months(row: Retention) -> str:
    return gettext("for ever") if row.months is None else gettext("%(months)d months") % {"months": row.months}


@admin.register(Archive)
class ArchiveAdmin(ReadOnlyAdmin):
    time_created = when("created", _("created"))
    time_finished = when("finished", _("finished"))
    num_rows = number("rows", _("rows"))
    num_deleted = number("deleted", _("rows deleted"))
    title = column(_("log"), lambda archive: name_of(archive.log))
    month_text = column(_("month"), lambda archive: f"{archive.month:%Y-%m}")
    size_text = column(_("size"), lambda archive: readable(archive.size))
    state_label = column(_("state"), lambda archive: choice_label(archive, _TONES))
    list_display = (
        "time_created",
        "title",
        "month_text",
        "part",
        "state_label",
        "num_rows",
        "num_deleted",
        "size_text",
    )
    list_filter = (choice(_("log"), "log", _logs),)
    list_select_related = ("bucket",)
    ordering = ("-created",)
    fields = (
        "title", "month_text", "part", "state_label", "num_rows", "num_deleted", "size_text", "sha256", "bucket", "key",
        "time_created", "time_finished",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download)
        return [path("<int:pk>/download/", view, name=url_name(self, "download")), *super().get_urls()]

    def actions_for(self, request: HttpRequest, record: Archive) -> Sequence[Action]:
        if record.state == Archive.State.WRITING:
            return ()
        address = reverse(f"admin:{url_name(self, 'download')}", args=[record.pk])
        return [Action("download", gettext("Download"), address=address)]

    def download(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The file, for whoever may see archives; that it was fetched is logged."""
        archive = Archive.objects.select_related("bucket").filter(pk=pk).first()
        if not self.has_view_permission(request, archive):
            raise PermissionDenied
        if archive is None or archive.state == Archive.State.WRITING:
            raise Http404
        try:
            content = bytes_of(archive)
        except StoreError as error:
            self.message_user(request, str(error.text), "error")
            return HttpResponseRedirect(change_url(archive))
        self.log_change(request, archive, gettext("Downloaded"))
        label = label_of(archive, archive.sha256)
        headers = {**HEADERS, "Content-Length": str(archive.size), "Content-Disposition": label.disposition}
        return StreamingHttpResponse(content, content_type=label.content_type, headers=headers)
