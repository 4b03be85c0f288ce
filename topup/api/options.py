"""GET and PUT /api/option, for staff with the permission of each section they touch."""

import logging
from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.accounts.models import User
from voicehelper.accounts.own_password import check_own_password
from voicehelper.api.parsing import ExactJSON
from voicehelper.api.views import PlainView

from ..services.options import Editor, OptionsForbidden, read_options, visible_sections, write_options

log = logging.getLogger(__name__)

PASSWORD = "CurrentPassword"  # noqa: S105  # a key's name


class SeesSettings(IsAdminUser):
    """Staff who may look at one section of the settings at least."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        allowed = bool(visible_sections(cast(User, request.user)))
        if not allowed:
            log.warning("%s may see no settings: %s refused", request.user, request.method)
        return allowed


class Options(PlainView):
    """The settings one may see. A secret is never returned, only whether it is set and its last four characters."""

    permission_classes = (SeesSettings,)
    parser_classes = (ExactJSON,)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return self._all()

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request) -> Response:
        """Any subset, all or nothing; what is sensitive only with the caller's own password as CurrentPassword."""
        if not isinstance(request.data, dict):
            raise ValidationError("options")
        user, changes = self.user, dict(request.data)
        typed = changes.pop(PASSWORD, "")
        password = typed if isinstance(typed, str) else ""
        try:
            write_options(changes, Editor(user, lambda: check_own_password(request._request, user, password)))
        except OptionsForbidden as error:
            log.warning("%s may not change these settings: %s", user, error)
            raise
        return self._all()

    def _all(self) -> Response:
        return Response({"success": True, "message": "", "data": read_options(visible_sections(self.user))})
