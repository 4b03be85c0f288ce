"""The page of a settings section: one row, edited in cards, saved in one transaction, and perhaps tried out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst

from .base import nobody, url_name
from .forms import CardAdmin, CardForm
from .probing import ProbedAdmin

if TYPE_CHECKING:
    from voicehelper.sections import Section


class SectionForm(CardForm):
    """A section's fields."""

    instance: "Section"


class SectionAdmin(CardAdmin):
    """One row, no list: the list's address leads to the form."""

    form = SectionForm

    has_add_permission = has_delete_permission = nobody

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


class ProbedSectionAdmin(ProbedAdmin, SectionAdmin):
    """A section with "test connection"."""

    test_paths: ClassVar[Mapping[str, str]] = {"test": "test/"}

    def tested(self, request: HttpRequest, pk: int) -> Any:
        return self.model.load()

    def test_url(self, row: Any) -> str:
        return reverse(f"admin:{url_name(self, 'test')}")
