"""Keys are tried out before they are saved: one probe with the new values, outside of any transaction.

What the platform says is wrong is saved only when the operator says so a second time. Where nobody said anything, it is
saved with a remark.
"""

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from voicehelper.admin.forms import PASSWORD
from voicehelper.admin.sections import ProbedSectionAdmin, SectionForm
from voicehelper.net.probe import Probe
from voicehelper.secrets import SecretUnreadable

from .. import services
from ..gateways.errors import NotConfigured

ALL_THE_SAME = "_save_all_the_same"
_TRIED = "_tried_before_saving"


class TriedForm(SectionForm):
    """Is refused when the probe of its values was."""

    def _post_clean(self) -> None:
        super()._post_clean()
        probe = _tried(self.request)
        if probe is not None and probe.told and not probe.ok and not self.errors:
            self.add_error(None, gettext("Nothing is saved yet: the test with these values failed, see above."))


class TriedSectionAdmin(ProbedSectionAdmin):
    """A gateway's section whose changed keys are tried out first."""

    form = TriedForm

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method == "POST" and ALL_THE_SAME not in request.POST:
            setattr(request, _TRIED, self._try_out(request))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _try_out(self, request: HttpRequest) -> Probe | None:
        """None: nothing that matters to the platform is changed, or there is something to be mended first."""
        row = self.model.load()
        if not self.has_change_permission(request, row):
            return None
        before = _values(row)
        form = self.get_form(request, row, change=True)(request.POST, instance=row)
        # The password is asked for when it is saved.
        form.fields.pop(PASSWORD, None)
        if not form.is_valid() or _values(row) == before:
            return None
        try:
            return services.build_gateway(row).probe()
        except NotConfigured:
            return None

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        probe = _tried(request)
        if probe is not None and probe.told and not probe.ok:
            request.session[self._session_key(self.stored(None))] = asdict(probe)
            context["save_all_the_same"] = ALL_THE_SAME
        return super().render_change_form(request, context, *args, **kwargs)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        probe = _tried(request)
        if probe is not None and not probe.told:
            text = gettext("Saved without a test: %(why)s Test the connection later.") % {"why": probe.message}
            messages.warning(request, text)
        return super().response_change(request, obj)


def _tried(request: HttpRequest) -> Probe | None:
    return getattr(request, _TRIED, None)


def _values(row: Any) -> dict[str, Any] | None:
    """What the platform is spoken to with; None when a stored secret cannot be read."""
    try:
        values: dict[str, Any] = row.config_values()
    except SecretUnreadable:
        return None
    return values
