"""Roles: named sets of permissions."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from voicehelper.admin.base import BaseAdmin

admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, BaseAdmin):
    """Named sets of permissions; only superusers hand out power."""

    filter_horizontal = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)
