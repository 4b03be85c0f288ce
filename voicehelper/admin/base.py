"""Records that may be looked at, and the buttons on a record's page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from voicehelper.changes import snapshot
from voicehelper.spreadsheet import Columns, csv_file, newest_first

from .change_logging import LogsChanges
from .saved_views import KeepsViews

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:  # Unfold has no types; it is Django's ModelAdmin with another look.
    from unfold.admin import ModelAdmin as _ModelAdmin

# Beyond this many rows a list says about how many there are.
COUNT_EXACTLY = 10_000
REASON_CHARS = 200


class EstimatedPaginator(Paginator[Any]):
    """Counts exactly up to COUNT_EXACTLY rows; beyond, the planner's estimate is near enough and costs nothing."""

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Any], self.object_list).order_by()
        some = rows[: COUNT_EXACTLY + 1].count()
        if some <= COUNT_EXACTLY:
            return some
        (plan,) = json.loads(rows.explain(format="json"))
        return max(some, int(plan["Plan"]["Plan Rows"]))


class BaseAdmin(LogsChanges, KeepsViews, _ModelAdmin):
    """A list that can be asked by its own filters and by nothing else.

    Django lets an address filter by any field of a row: an operator could read what no page shows, letter by letter.
    Nor is it sorted by what no index is for: a list names the columns it can be sorted by.
    """

    sortable_by: ClassVar[list[str] | tuple[str, ...] | None] = ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Where nothing is looked for, nothing is left out: else the theme, told no count of all, offers the rest."""
        found: Any = super().get_changelist_instance(request)
        if not (found.query or found.has_active_filters):
            found.full_result_count = found.result_count
        return found

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        of_day, _sep, part = lookup.rpartition("__")
        if part in ("year", "month", "day") and of_day == self.date_hierarchy:
            return True
        return any(lookup in self._names_of(one, request) for one in self.get_list_filter(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        found = self.find(queryset, term) if term else queryset
        return super().get_search_results(request, queryset, term) if found is None else (found, False)

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any] | None:
        """The rows that are searched for. None: look for the words in `search_fields`."""
        return None

    def page(
        self, request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200
    ) -> TemplateResponse:
        """A page of its own, in the frame that all have."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**frame, **context}, status=status)

    def _names_of(self, declared: Any, request: HttpRequest) -> Sequence[str | None]:
        """What a filter of the list is called in an address."""
        if isinstance(declared, type):
            return [cast(type[admin.SimpleListFilter], declared).parameter_name]
        path, kind = (declared, admin.FieldListFilter.create) if isinstance(declared, str) else declared
        field = get_fields_from_path(self.model, path)[-1]
        return cast(Sequence[str], kind(field, request, {}, self.model, self, path).expected_parameters())


@dataclass(frozen=True)
class Input:
    """One more input of a button's form: text, password, checkbox, datetime-local or hidden."""

    name: str
    label: str
    value: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Action:
    """A button on a record's page. `refusal` says why it cannot be pressed now; `hint` what it does. With an `address`
    it leads to a page of its own."""

    name: str
    label: str
    hint: str = ""
    refusal: str = ""
    asks_reason: bool = False
    main: bool = False
    inputs: Sequence[Input] = ()
    address: str = ""


@dataclass(frozen=True)
class Report:
    """What came of an action, in plain words; `record` is where to go on, if not to the same page."""

    ok: bool
    text: str
    record: Model | None = None


class RecordActions(BaseAdmin):
    """Buttons on a record's page: each is a POST to `…/do/<name>/` that calls `do_<name>`, reports and is logged.

    `actions_for` lists what this operator may do with this record; what is not in the list is forbidden.
    """

    def actions_for(self, request: HttpRequest, record: Any) -> Sequence[Action]:
        return ()

    def get_urls(self) -> list[URLPattern]:
        act = path("<path:object_id>/do/<slug:name>/", self.admin_site.admin_view(self.act), name=url_name(self, "do"))
        return [act, *super().get_urls()]

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        record = self.get_queryset(request).filter(pk=unquote(object_id)).first()
        if record is None:
            raise Http404
        action = next((action for action in self.actions_for(request, record) if action.name == name), None)
        if action is None or action.address or not self.has_view_permission(request, record):
            raise PermissionDenied
        report = self._run(request, record, action)
        messages.add_message(request, messages.SUCCESS if report.ok else messages.ERROR, report.text)
        return HttpResponseRedirect(change_url(report.record or record))

    def _run(self, request: HttpRequest, record: Any, action: Action) -> Report:
        reason = request.POST.get("reason", "").strip()[:REASON_CHARS]
        if action.refusal:
            return Report(False, action.refusal)
        if action.asks_reason and not reason:
            return Report(False, _("Say why: the reason is kept with the record."))
        before = snapshot(record, every=True)
        report: Report = getattr(self, f"do_{action.name}")(request, record, reason)
        self.log_action(request, record, " · ".join(filter(None, [action.label, report.text, reason])), before)
        return report

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        record = kwargs.get("obj")
        if record is not None:
            url = reverse(f"admin:{url_name(self, 'do')}", args=[record.pk, "name"])
            context["record_actions"] = [
                (action, action.address or url.removesuffix("name/") + f"{action.name}/")
                for action in self.actions_for(request, record)
            ]
        return super().render_change_form(request, context, *args, **kwargs)


def nobody(model_admin: Any, request: HttpRequest, obj: Any = None) -> bool:
    """`has_…_permission` of what no operator does, whatever their rights."""
    return False


class OnePageAdmin(BaseAdmin):
    """No list and no forms: the list's address is one page of all rows, which are not added and deleted one by one."""

    has_add_permission = has_delete_permission = nobody
    # Whether the page itself sends something here.
    has_form: ClassVar[bool] = True

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and not self.has_form:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.show(request)
        if not self.has_change_permission(request):
            raise PermissionDenied
        return self.save(request)

    def show(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    def save(self, request: HttpRequest) -> HttpResponse:
        """What the page's form sent, by somebody who may change rows."""
        raise NotImplementedError


class ReadOnlyAdmin(RecordActions):
    """A table people may look at and nobody may change, whatever their rights: money and its traces.

    With `export`, what matches the list's filters can be downloaded as CSV.
    """

    export: ClassVar[Columns] = {}
    list_before_template = "admin/parts/export.html"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatedPaginator
    list_per_page = 50
    list_filter_submit = True
    actions: Any = None
    change_form_template = "admin/record.html"

    has_add_permission = has_change_permission = has_delete_permission = nobody

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export.csv", view, name=url_name(self, "export")), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        query = request.GET.copy()
        query.pop("p", None)
        address = f"{reverse('admin:' + url_name(self, 'export'))}?{query.urlencode()}" if self.export else ""
        return super().changelist_view(request, {"export_url": address, **(extra_context or {})})

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The whole list under its filters and search, newest first."""
        if not self.export:
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)
        return csv_file(str(self.opts.model_name), self.export, newest_first(rows))


def may(request: HttpRequest, model: type[Model] | Model, verb: str) -> bool:
    """Whether the operator has Django's permission `verb` (view, change) for a model."""
    meta = model._meta
    return request.user.has_perm(f"{meta.app_label}.{verb}_{meta.model_name}")


def operator(request: HttpRequest) -> str:
    """Who is at it, for records."""
    return cast(AbstractBaseUser, request.user).get_username()


def url_name(model_admin: BaseAdmin, name: str) -> str:
    meta = model_admin.model._meta
    return f"{meta.app_label}_{meta.model_name}_{name}"


def list_url(model: type[Model], **query: str) -> str:
    """The list of a model, filtered."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(query)}" if query else address


def change_url(record: Model) -> str:
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])
