"""A user's keys for /v1."""

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.accounts import services
from voicehelper.api import frames
from voicehelper.api.views import UserView

from ..chat.conversations import NotFound
from . import shapes


class Keys(UserView):
    """List, make, delete. A key's text is shown once, when it is made."""

    @extend_schema(responses=frames.or_refused(frames.ListShape))
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": [shapes.key_json(key) for key in services.api_keys_of(self.user)]})

    @extend_schema(request=shapes.KeyName, responses=frames.or_refused(frames.One))
    def post(self, request: Request) -> Response:
        try:
            key, text = services.create_api_key(self.user, self.form(shapes.KeyName, request.data)["name"])
        except ValueError as error:
            raise ValidationError({"name": [_("1 to 64 characters that can be printed")]}) from error
        return Response({"success": True, "data": {"id": key.pk, "name": key.name, "key": text}})

    @extend_schema(
        operation_id="user_keys_destroy_by_id",
        parameters=[OpenApiParameter("id", OpenApiTypes.INT, required=True, description="Or in the body.")],
        responses=frames.or_refused(frames.Done),
    )
    def delete(self, request: Request) -> Response:
        given = {"id": request.query_params["id"]} if "id" in request.query_params else request.data
        return self._revoke(self.form(shapes.KeyId, given)["id"])

    def _revoke(self, key_id: int) -> Response:
        if not services.revoke_api_key(self.user, key_id):
            raise NotFound
        return Response({"success": True})


class OneKey(Keys):
    """Delete one key."""

    http_method_names = ["delete", "options"]

    @extend_schema(responses=frames.or_refused(frames.Done))
    def delete(self, request: Request, key_id: int) -> Response:  # type: ignore[override]
        return self._revoke(key_id)
