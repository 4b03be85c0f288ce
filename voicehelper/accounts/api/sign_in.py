"""Signing in from programs, and who one is."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api import frames
from voicehelper.api.views import PlainView
from voicehelper.wallet.services import wallet_of

from .. import deleting, own_choice, second_factor, services
from ..models import User


class Credentials(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    code = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


class SignedIn(serializers.Serializer[Any]):
    token = serializers.CharField()
    userInfo = serializers.DictField()  # noqa: N815  # the mission's name


class Login(PlainView):
    """POST {"username", "password"} → {"token", "userInfo"}; the token goes into `Authorization: Bearer …`.

    Users of two-step sign-in send the `code` of their app along; without it: 401 with the code "second_factor"."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(summary=_("Sign in, and get a token"), request=Credentials, responses=SignedIn, auth=[])
    def post(self, request: Request) -> Response:
        given = self.form(Credentials, request.data)
        code = given.pop("code")
        user = services.sign_in(request._request, **given)
        second_factor.check_token_sign_in(request._request, user, code)
        own_choice.check_token_sign_in(user)
        if user.leaving_at:
            deleting.call_off(user)
        return Response({"token": services.issue_token(user), "userInfo": user_json(user)})


class Me(PlainView):
    """The signed-in user and the balance; `quota` includes what is held."""

    @extend_schema(summary=_("Who is signed in, and the balance"), responses=frames.One)
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": user_json(self.user)})


def user_json(user: User) -> dict[str, Any]:
    wallet = wallet_of(user)
    return {
        "id": user.pk,
        "username": user.username,
        "group": user.group,
        "quota": wallet.balance,
        "held_quota": wallet.held,
        "used_quota": wallet.used,
    }
