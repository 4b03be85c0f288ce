"""The page of a settings section: one row, edited in cards, saved in one transaction, and perhaps tried out."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext

from .base import change_url, url_name
from .forms import CardAdmin, CardForm, Status

if TYPE_CHECKING:
    from voicehelper.sections import Section

__all__ = ["ProbedSectionAdmin", "SectionAdmin", "SectionForm", "Status"]


class SectionForm(CardForm):
    """A section's fields."""

    instance: "Section"


class SectionAdmin(CardAdmin):
    """One row, no list: the list's address leads to the form."""

    form = SectionForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        meta = self.model._meta
        return HttpResponseRedirect(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[1]))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row, made on first use; locked while a form is being saved."""
        self.model.load()
        rows = self.model._default_manager.filter(pk=object_id if object_id.isdecimal() else 0)
        saving = request.method == "POST" and connection.in_atomic_block
        return (rows.select_for_update() if saving else rows).first()

    def stored(self, row: Any) -> Any:
        return self.model.load()

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        response = super().render_change_form(request, context, *args, **kwargs)
        response.context_data["title"] = capfirst(self.model._meta.verbose_name)
        # There is only one row: the breadcrumbs need not name it.
        response.context_data["original"] = None
        return response


class ProbedSectionAdmin(SectionAdmin):
    """A section with "test connection": one real, harmless call with what is saved."""

    def probe(self, row: Any) -> Any:
        """What came of the call: the dataclass that templates/admin/parts/probe.html shows."""
        raise NotImplementedError

    def page_context(self, row: Any) -> dict[str, Any]:
        return {"test_url": reverse(f"admin:{url_name(self, 'test')}")}

    def get_urls(self) -> list[URLPattern]:
        test = path("test/", self.admin_site.admin_view(self.test_connection), name=url_name(self, "test"))
        return [test, *super().get_urls()]

    def test_connection(self, request: HttpRequest) -> HttpResponse:
        """The button; what it tries out need not be switched on."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.model.load()
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        probe = self.probe(row)
        self.log_change(request, row, f"{gettext('Test connection')}: {probe.message}")
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "admin/parts/probe.html", {"probe": probe})
        request.session[self._probe_key] = asdict(probe)
        return HttpResponseRedirect(change_url(row))

    @property
    def _probe_key(self) -> str:
        return f"probe-{self.model._meta.model_name}"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["probe"] = request.session.pop(self._probe_key, None)
        return super().render_change_form(request, context, *args, **kwargs)
