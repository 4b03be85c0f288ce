"""The button "test connection": one real, harmless call, and what came of it beside the button.

`ProbedAdmin` calls with what is saved, `ProbedFormAdmin` with what the form holds, saved or not. Each test of a stored
row is in the operators' log. No password is asked for: nothing is stored, and a stored secret goes only where it went
before (forms.BoundSecret).
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.net.probe import Probe, nothing_called

from .base import change_url, url_name
from .forms import PASSWORD, CardAdmin


class ProbedAdmin(CardAdmin):
    """A row that can be tried out as it is saved; it need not be switched on."""

    test_label: Any = _("Test connection")
    test_hint: Any = _("Makes one real, harmless call with what is saved.")
    test_paths: ClassVar[Mapping[str, str]] = {"test": "<int:pk>/test/"}
    # Whether the button sends the form along.
    tests_form = False

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        """Make the call. `row` is None for one that is only being added."""
        raise NotImplementedError

    def tested(self, request: HttpRequest, pk: int) -> Any:
        """The row the button is about."""
        return self.get_object(request, str(pk))

    def test_url(self, row: Any) -> str:
        return reverse(f"admin:{url_name(self, 'test')}", args=[row.pk]) if row is not None else ""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_connection)
        tests = [path(address, view, name=url_name(self, name)) for name, address in self.test_paths.items()]
        return [*tests, *super().get_urls()]

    def test_connection(self, request: HttpRequest, pk: int = 0) -> HttpResponse:
        """The button: calls, logs, and shows the result at once or on the page it came from."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.tested(request, pk)
        if pk and row is None:
            raise Http404
        if not (self.has_change_permission(request, row) if row else self.has_add_permission(request)):
            raise PermissionDenied
        probe = self.probe(request, row)
        if row is not None:
            self.log_change(request, row, f"{self.test_label}: {probe.message}")
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "admin/parts/probe.html", {"probe": probe})
        request.session[self._session_key(row)] = asdict(probe)
        return HttpResponseRedirect(change_url(row) if row else reverse(f"admin:{url_name(self, 'add')}"))

    def _session_key(self, row: Any) -> str:
        return f"probe-{self.opts.model_name}-{row.pk if row is not None else 'new'}"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = self.stored(kwargs.get("obj"))
        context |= {
            "test_url": self.test_url(row),
            "test_label": self.test_label,
            "test_hint": self.test_hint,
            "tests_form": self.tests_form,
            "probe": request.session.pop(self._session_key(row), None),
        }
        return super().render_change_form(request, context, *args, **kwargs)


class ProbedFormAdmin(ProbedAdmin):
    """A row that can be tried out as the form has it, also before it is added."""

    test_paths: ClassVar[Mapping[str, str]] = {"test_new": "test/", **ProbedAdmin.test_paths}
    tests_form = True

    def probe_candidate(self, request: HttpRequest, candidate: Any) -> Probe:
        """Make the call with a row that is valid, and not saved."""
        raise NotImplementedError

    def tested(self, request: HttpRequest, pk: int) -> Any:
        return super().tested(request, pk) if pk else None

    def test_url(self, row: Any) -> str:
        return super().test_url(row) or reverse(f"admin:{url_name(self, 'test_new')}")

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        # Its name does not matter yet.
        typed = request.POST.copy()
        typed["name"] = row.name if row else secrets.token_hex(8)
        form = self.get_form(request, row, change=row is not None)(typed, instance=row)
        form.fields.pop(PASSWORD, None)
        if form.is_valid():
            return self.probe_candidate(request, form.instance)
        problems = {
            str(form.fields[name].label): "; ".join(texts) for name, texts in form.errors.items() if name in form.fields
        }
        return nothing_called(gettext("Nothing was called: mend this first."), details=problems)
