"""A user's keys for /v1."""

from dataclasses import replace

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.accounts import services
from voicehelper.accounts.key_limits import UNLIMITED
from voicehelper.accounts.models import ApiKey
from voicehelper.api import frames
from voicehelper.api.views import UserView

from ..chat.sessions import NotFound
from . import shapes


class Keys(UserView):
    """List, make, delete. A key's text is shown once, when it is made."""

    @extend_schema(summary=_("One’s API keys"), responses=frames.or_refused(frames.ListShape))
    def get(self, request: Request) -> Response:
        now = clock.now()
        return Response(
            {"success": True, "data": [shapes.key_json(key, now) for key in services.api_keys_of(self.user)]}
        )

    @extend_schema(
        summary=_("Create a key; its text is shown this once"),
        request=shapes.KeyShape,
        responses=frames.or_refused(frames.One),
    )
    def post(self, request: Request) -> Response:
        given = self.form(shapes.KeyShape, request.data)
        try:
            key, text = services.create_api_key(self.user, given.pop("name"), replace(UNLIMITED, **given))
        except ValueError as error:
            raise _misnamed() from error
        return Response({"success": True, "data": {"id": key.pk, "name": key.name, "key": text}})

    @extend_schema(
        summary=_("Revoke a key by its number"),
        operation_id="user_keys_destroy_by_id",
        parameters=[OpenApiParameter("id", OpenApiTypes.INT, required=True, description="Or in the body.")],
        responses=frames.or_refused(frames.Done),
    )
    def delete(self, request: Request) -> Response:
        given = {"id": request.query_params["id"]} if "id" in request.query_params else request.data
        return _revoke(self, self.form(shapes.KeyId, given)["id"])


class OneKey(UserView):
    """One key: what it may do and what is used of it, other limits, an end."""

    @extend_schema(
        summary=_("One key: its limits, and what is used of it"),
        operation_id="user_keys_retrieve_one",
        responses=frames.or_refused(frames.One),
    )
    def get(self, request: Request, key_id: int) -> Response:
        return _one(services.api_keys_of(self.user).filter(pk=key_id).first())

    @extend_schema(
        summary=_("Change a key’s name or limits"),
        request=shapes.KeyShape(partial=True),
        responses=frames.or_refused(frames.One),
    )
    def patch(self, request: Request, key_id: int) -> Response:
        changes = self.form(shapes.KeyShape, request.data, partial=True)
        try:
            return _one(services.change_api_key(self.user, key_id, changes))
        except ValueError as error:
            raise _misnamed() from error

    @extend_schema(summary=_("Revoke a key"), responses=frames.or_refused(frames.Done))
    def delete(self, request: Request, key_id: int) -> Response:
        return _revoke(self, key_id)


def _one(key: ApiKey | None) -> Response:
    if key is None:
        raise NotFound
    return Response({"success": True, "data": shapes.key_json(key, clock.now())})


def _revoke(view: UserView, key_id: int) -> Response:
    if not services.revoke_api_key(view.user, key_id):
        raise NotFound
    return Response({"success": True})


def _misnamed() -> ValidationError:
    return ValidationError({"name": [_("1 to 64 characters that can be printed")]})
