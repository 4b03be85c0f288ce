"""Agreeing to the site's texts from programs, such as the mini program."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api.frames import Done, Refusal
from voicehelper.api.views import PlainView
from voicehelper.net.addresses import client_address

from .. import consents
from ..models import LegalText, User


class Versions(serializers.Serializer[Any]):
    agreement = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    privacy = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)


class WantedText(serializers.Serializer[Any]):
    kind = serializers.CharField()
    title = serializers.CharField()
    version = serializers.IntegerField()
    url = serializers.CharField()


class WantedTexts(Done):
    data = WantedText(many=True)  # type: ignore[assignment]  # a field named like an attribute of its class


class ConsentOfUser(PlainView):
    """GET: the texts this user has not agreed to yet. POST {"agreement": 2, "privacy": 1}: agrees to these versions;
    409 when they are not, or not any more, what is in force."""

    @extend_schema(summary=_("Legal texts to agree to"), responses={200: WantedTexts, 401: Refusal})
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": wanted_of(self.user)})

    @extend_schema(
        summary=_("Agree to these versions of the legal texts"),
        request=Versions,
        responses={200: WantedTexts, **dict.fromkeys((400, 401, 409, 415), Refusal)},
    )
    def post(self, request: Request) -> Response:
        versions = self.form(Versions, request.data)
        consents.agree(self.user, versions, client_address(request._request))
        return Response({"success": True, "data": wanted_of(self.user)})


def wanted_of(user: User) -> list[dict[str, Any]]:
    """What somebody has to be asked, for whoever shows it."""
    return [
        {
            "kind": kind,
            "title": str(LegalText.Kind(kind).label),
            "version": version,
            "url": settings.SERVER_ADDRESS + reverse("accounts:legal", args=[kind]),
        }
        for kind, version in consents.missing_of(user, consents.in_force()).items()
    ]
