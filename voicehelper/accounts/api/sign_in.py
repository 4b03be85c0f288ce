"""Signing in from programs, and who one is."""

from typing import Any, cast

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from voicehelper.wallet.services import wallet_of

from .. import services
from ..models import User


class Credentials(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class SignedIn(serializers.Serializer[Any]):
    token = serializers.CharField()
    userInfo = serializers.DictField()  # noqa: N815  # the mission's name


class Self(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = serializers.DictField()  # type: ignore[assignment]  # a field named like an attribute of its class


class PlainErrors(APIView):
    """Errors as {"success": false, "message": …}."""

    def handle_exception(self, exc: Exception) -> Response:
        answer = super().handle_exception(exc)
        if isinstance(exc, APIException):
            answer.data = {"success": False, "message": _words(exc)}
        return answer


def _words(error: APIException) -> str:
    match error.status_code:
        case 400 | 415:
            return _("Invalid parameters")
        case 401:
            return _("Please sign in first")
        case 429:
            return _("Too many requests, please try again later")
        case _:
            return str(error.detail)


class Login(PlainErrors):
    """POST {"username", "password"} → {"token", "userInfo"}; the token goes into `Authorization: Bearer …`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=Credentials, responses=SignedIn, auth=[])
    def post(self, request: Request) -> Response:
        form = Credentials(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            user, token = services.sign_in(request._request, **form.validated_data)
        except services.WrongPassword:
            wait_s = request.META.get("voicehelper.retry_after")
            if wait_s:
                text = _("Too many failed tries, please wait a while")
                return Response({"success": False, "message": text}, status=429, headers={"Retry-After": str(wait_s)})
            return Response({"success": False, "message": _("Wrong user name or password")}, status=401)
        return Response({"token": token, "userInfo": user_json(user)})


class Me(PlainErrors):
    """The signed-in user and the balance; `quota` includes what is held."""

    @extend_schema(responses=Self)
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": user_json(cast(User, request.user))})


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
