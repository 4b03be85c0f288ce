"""Roles: named sets of permissions."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import BaseAdmin
from voicehelper.admin.columns import column

from .. import roles
from . import permissions

admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, BaseAdmin):
    """Named sets of permissions; only superusers hand out power."""

    filter_horizontal = ()
    list_display = ("title", "purpose", "num_people")

    title = column(_("role"), roles.title_of)
    purpose = column(_("what it is for"), lambda group: roles.purpose_of(group) or "—")
    num_people = column(_("people"), lambda group: group.user_set.count())

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        if db_field.name == "permissions":
            return permissions.field_for(request, "group", label=_("What it may do"))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The roles alone: the rows that join them to permissions and people go along, and have no names."""
        going, counts, missing, protected = super().get_deleted_objects(objs, request)
        return [each for each in going if not isinstance(each, list)], counts, missing, protected
