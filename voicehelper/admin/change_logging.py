"""Every page of the admin logs what it changes, field by field; a save that changes nothing is not logged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest

from voicehelper import change_log
from voicehelper.changes import Change, changes_since, record, snapshot

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelForm, _ModelAdmin = object, object


class Watched(_ModelForm):
    """Added to a form of a row: it knows what it changes in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = snapshot(self.instance) if self.is_bound else {}

    def what_changed(self) -> list[Change]:
        """How the cleaned row differs from what was stored; many-to-many fields once they are saved."""
        return changes_since(self._before, self.instance)


def watched(form: Any) -> Any:
    """The class of a form, made into one that knows what it changes."""
    return form if hasattr(form, "what_changed") else type(form)(form.__name__, (Watched, form), {})


class LogsChanges(_ModelAdmin):
    """What all ModelAdmins log, and how the history of a record reads."""

    object_history_template = "admin/history.html"

    def get_form(self, request: Any, obj: Any = None, *args: Any, **kwargs: Any) -> Any:
        return watched(super().get_form(request, obj, *args, **kwargs))

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return watched(super().get_changelist_form(request, **kwargs))

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """What was changed, for log_addition and log_change."""
        if hasattr(form, "what_changed"):
            return form.what_changed()
        # A form that is about no row, like that for another user's password.
        return [Change(field, None, True) for name in form.changed_data if (field := self._field(name)) is not None]

    def log_addition(self, request: HttpRequest, obj: Any, message: Sequence[Change]) -> None:  # type: ignore[override]
        record(obj, message, by=request.user, added=True)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        """What a save changed, or what a button says of itself."""
        if isinstance(message, str):
            change_log.write(obj, (), by=request.user, text=message)
        else:
            record(obj, message, by=request.user)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:  # type: ignore[override]
        change_log.write_deletions(queryset, by=request.user)

    def log_action(self, request: HttpRequest, obj: Any, text: str, before: dict[str, Any]) -> None:
        """What a button says of itself, and what it changed in the record since its snapshot."""
        change_log.write(obj, change_log.changed_by(before, obj), by=request.user, text=text)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """The newest first, with what each line changed."""
        response = super().history_view(request, object_id, extra_context)
        found = getattr(response, "context_data", None) or {}
        if "action_list" in found:
            page = found["action_list"]
            rows = page.paginator.object_list.select_related("user", "content_type", "logged").order_by("-pk")
            found["action_list"] = page = page.paginator.__class__(rows, page.paginator.per_page).get_page(page.number)
            page.object_list = list(page.object_list)
            for entry in page.object_list:
                entry.changes, entry.said = change_log.read(entry), change_log.said(entry)
        return response

    def _field(self, name: str) -> Any:
        try:
            return self.opts.get_field(name)
        except FieldDoesNotExist:
            return None
