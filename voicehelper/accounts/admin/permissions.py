"""Permissions as operators read them: by page, in words, and only those that make a difference."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import ReadOnlyAdmin, RecordActions
from voicehelper.admin.sections import SectionAdmin
from voicehelper.roles import ROLES

from .. import roles

_VERBS = {"view": _("see"), "change": _("change"), "add": _("add"), "delete": _("delete")}
# What says more than its verb.
_WORDS = {
    "topup.change_order": _("ask the platform, close, end a review"),
    "topup.add_refund": _("ask for a refund"),
    "topup.change_refund": _("approve, ask after, give up"),
    "topup.add_codebatch": _("make, download, revoke"),
    "topup.view_redemptioncode": _("see single codes"),
    "wallet.add_adjustment": _("give and take quota"),
    "wallet.change_adjustment": _("approve and withdraw"),
    "accounts.help_user": _("help: sign out, reset, deactivate"),
    "accounts.add_usernote": _("write notes"),
    "accounts.change_apikey": _("revoke"),
}


# What no page asks for although it could.
_IDLE = {
    *(f"auth.{verb}_group" for verb in ("add", "change", "delete")),  # superusers'
    *(f"storage_backends.{verb}_retention" for verb in ("add", "delete")),
    *(f"notifications.{verb}_rule" for verb in ("add", "delete")),
    "admin.change_logentry",
    "storage_backends.change_archive",
    "topup.change_codebatch",
    "wallet.change_wallet",
}


def name_of(permission: Permission) -> str:
    """`Orders: see`."""
    model, verb = permission.content_type.model_class(), permission.codename.partition("_")[0]
    word = _WORDS.get(_key(permission)) or _VERBS.get(verb) or permission.name
    title = capfirst(str(model._meta.verbose_name_plural)) if model else permission.content_type.model
    return f"{title}: {word}"


def _key(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def _listed() -> set[str]:
    """What some page asks for: no sandbox, no sessions, nothing that no code looks at."""
    found = {name for role in ROLES for name in roles.granted(role)} | set(_WORDS)
    for model, page in admin.site._registry.items():
        meta = model._meta
        if meta.app_label != "sandbox":
            found |= {f"{meta.app_label}.{verb}_{meta.model_name}" for verb in _verbs(page)}
    return found - _IDLE


def _verbs(page: Any) -> Iterable[str]:
    """What can be done on a model's page, given the permission."""
    yield "view"
    kind = type(page)
    if isinstance(page, ReadOnlyAdmin):
        # Its buttons ask for "change".
        yield from ["change"] if kind.actions_for is not RecordActions.actions_for else []
    elif isinstance(page, SectionAdmin):
        yield "change"
    else:
        yield from ("add", "change", "delete")


def choices_of(given: Q) -> QuerySet[Permission]:
    """What can be given, and what is given already: saving a form takes nothing away unseen."""
    names = _listed()
    some = Q(pk__in=[])
    for app in {name.partition(".")[0] for name in names}:
        codenames = [name.partition(".")[2] for name in names if name.startswith(f"{app}.")]
        some |= Q(content_type__app_label=app, codename__in=codenames)
    return Permission.objects.filter(some | given).distinct().select_related("content_type")


class PermissionsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    """Boxes to tick, page by page."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, queryset: QuerySet[Permission], **kwargs: Any) -> None:
        super().__init__(queryset, **kwargs)
        self.choices = [(one.pk, name_of(one)) for one in sorted(queryset, key=_place)]

    def label_from_instance(self, obj: Any) -> str:
        return name_of(obj)


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic only in the stubs
    """Boxes to tick, each with what the role is for."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: Any) -> str:
        purpose = roles.purpose_of(obj)
        return f"{roles.title_of(obj)} – {purpose}" if purpose else roles.title_of(obj)


def _place(permission: Permission) -> tuple[str, str, bool, str]:
    """App by app, page by page, seeing first."""
    kind, codename = permission.content_type, permission.codename
    return kind.app_label, kind.model, not codename.startswith("view_"), codename


def field_for(request: HttpRequest, holder: str, **kwargs: Any) -> PermissionsField:
    """The form's field; `holder` is how a permission knows who has it: group or user."""
    match = request.resolver_match
    pk = (match.kwargs.get("object_id") if match else None) or "0"
    given = Q(**{f"{holder}__pk": int(pk)}) if pk.isdecimal() and len(pk) < 19 else Q(pk__in=[])
    facts = {name: kwargs[name] for name in ("required", "label", "help_text") if name in kwargs}
    return PermissionsField(choices_of(given), **{"required": False, **facts})
