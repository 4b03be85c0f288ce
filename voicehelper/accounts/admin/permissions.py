"""Permissions to choose from, in the reader's language: of what this admin has pages for, and of nothing else."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import ManyToManyField
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

_VERBS: Mapping[str, Any] = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("view")}


class PermissionField(forms.ModelMultipleChoiceField):
    """One permission a line: "Recharge · Order: view"."""

    def label_from_instance(self, obj: Permission) -> str:  # type: ignore[override]
        kind = obj.content_type
        model = kind.model_class()
        verb = str(_VERBS.get(obj.codename.partition("_")[0], obj.name))
        thing = capfirst(str(model._meta.verbose_name)) if model else kind.model
        room = apps.get_app_config(kind.app_label).verbose_name
        return f"{room} · {thing}: {verb}"


class ReadablePermissions(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """For pages where permissions are handed out. Those of other models open nothing, and go with the next save."""

    def formfield_for_manytomany(self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kinds = ContentType.objects.get_for_models(*admin.site._registry).values()
            rows = Permission.objects.filter(content_type__in=kinds).select_related("content_type")
            kwargs |= {"form_class": PermissionField, "queryset": rows.order_by("content_type", "codename")}
        return super().formfield_for_manytomany(db_field, request, **kwargs)
