"""What the mini program calls: signing in, and sharing."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.api import ratelimit
from voicehelper.api.frames import Done, PageOfRows, Refusal
from voicehelper.api.paging import PAGING, page_of
from voicehelper.api.views import PlainView
from voicehelper.net.addresses import client_address, network_of

from .. import mini_program, sharing
from ..models import Share, ShareVisit, User
from ..own_password import check_own_password
from ..wechat.base import CodeRefused
from .consent import WantedText, wanted_of
from .sign_in import SignedIn, user_json

# Codes that WeChat refuses, from one network. Good ones are given back: many phones share one address.
REFUSED_CODES = "30 per 10 minutes"


class Code(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=128)


class CodeAndShare(Code):
    # Whatever an address carried: an invitation that is none must keep nobody from signing in.
    shareId = serializers.CharField(max_length=256, required=False, allow_blank=True, default="")  # noqa: N815


class CodeAndPassword(Code):
    # Without one the answer is 403, as to a wrong one.
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, required=False, allow_blank=True, default=""
    )


class SignedInByWeChat(SignedIn):
    consent = WantedText(many=True, required=False)


class ShareId(serializers.Serializer[Any]):
    shareId = serializers.CharField(max_length=32)  # noqa: N815


class ShareCard(serializers.Serializer[Any]):
    title = serializers.CharField()
    path = serializers.CharField()
    imageUrl = serializers.CharField()  # noqa: N815
    shareId = serializers.CharField()  # noqa: N815


class ShareRow(serializers.Serializer[Any]):
    shareId = serializers.CharField()  # noqa: N815
    path = serializers.CharField()
    createdAt = serializers.CharField()  # noqa: N815
    visitCount = serializers.IntegerField()  # noqa: N815
    signUpCount = serializers.IntegerField()  # noqa: N815


class SharePage(PageOfRows):
    items = ShareRow(many=True)  # type: ignore[assignment]


class ShareList(Done):
    data = SharePage()  # type: ignore[assignment]  # a field named like an attribute of its class


class VisitRow(serializers.Serializer[Any]):
    at = serializers.CharField()
    signedIn = serializers.BooleanField()  # noqa: N815
    signedUp = serializers.BooleanField()  # noqa: N815


class VisitPage(SharePage):
    items = VisitRow(many=True)  # type: ignore[assignment]


class ShareWithVisits(ShareRow):
    visits = VisitPage()


class ShareDetail(Done):
    data = ShareWithVisits()  # type: ignore[assignment]


# What any of these routes may also answer, for the schema.
_REFUSALS = dict.fromkeys((400, 401, 403, 415, 429), Refusal)
_WECHAT_FAILS = dict.fromkeys((502, 503, 504), Refusal)


def _counted(request: Request) -> AbstractContextManager[ratelimit.Guess]:
    """While WeChat is asked about a code. Raises TooMany."""
    network = network_of(client_address(request._request))
    return ratelimit.guess((REFUSED_CODES, "wx-login", network), wrong=CodeRefused)


def prove(request: Request, user: User, given: Mapping[str, str]) -> None:
    """That it is really they: by the password, or without one by a new `code` of the WeChat that signs them in. Raises
    PasswordRefused, LoginFailed, NotSetUp, TooMany."""
    if user.has_usable_password():
        check_own_password(request._request, user, given["password"])
        return
    with _counted(request):
        mini_program.prove(user, given["code"])


class WeChatLogin(PlainView):
    """POST {"code"} of `wx.login` → {"token", "userInfo"}; `shareId` says by whose invitation somebody new came.
    With `consent` come the texts to be agreed to (POST /api/user/consent)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        summary=_("Sign in with WeChat, from the mini program"),
        request=CodeAndShare,
        responses={200: SignedInByWeChat, **_REFUSALS, **_WECHAT_FAILS},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        asked = self.form(CodeAndShare, request.data)
        with _counted(request):
            user, token = mini_program.sign_in(asked["code"], share_id=asked["shareId"])
        wanted = wanted_of(user)
        return Response({"token": token, "userInfo": user_json(user)} | ({"consent": wanted} if wanted else {}))


class WeChatBind(PlainView):
    """POST {"code", "password"}: whoever is signed in can from now on sign in by the WeChat of a code of `wx.login` as
    well. The password is asked for again: a stolen token must not outlive itself."""

    @extend_schema(
        summary=_("Connect WeChat with the account"),
        request=CodeAndPassword,
        responses={200: Done, 409: Refusal, **_REFUSALS, **_WECHAT_FAILS},
    )
    def post(self, request: Request) -> Response:
        asked = self.form(CodeAndPassword, request.data)
        check_own_password(request._request, self.user, asked["password"])
        with _counted(request):
            mini_program.bind(self.user, asked["code"])
        return Response({"success": True})


class Shares(PlainView):
    """POST makes an invitation, for `onShareAppMessage`; GET lists one's own, newest first, with who came by them."""

    @extend_schema(summary=_("Make an invitation to share"), request=None, responses={200: ShareCard, **_REFUSALS})
    def post(self, request: Request) -> Response:
        ratelimit.brake((sharing.SHARES, "share", str(self.user.pk)))
        card = sharing.share(self.user)
        return Response({"title": card.title, "path": card.path, "imageUrl": card.image_url, "shareId": card.share_id})

    @extend_schema(
        summary=_("One’s invitations, newest first"), responses={200: ShareList, **_REFUSALS}, parameters=PAGING
    )
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": page_of(request, sharing.shares_of(self.user), _share_json)})


class OneShare(PlainView):
    """One of one's own invitations with its visits, newest first. Who the visitors are is not told."""

    @extend_schema(
        summary=_("One invitation and its visits"),
        operation_id="share_one",
        responses={200: ShareDetail, 404: Refusal, **_REFUSALS},
        parameters=PAGING,
    )
    def get(self, request: Request, share_id: str) -> Response:
        share = sharing.shares_of(self.user).filter(share_id=share_id).first()
        if share is None:
            raise exceptions.NotFound
        visits = page_of(request, share.visits.order_by("-pk"), _visit_json)
        return Response({"success": True, "data": _share_json(share) | {"visits": visits}})


class Visit(PlainView):
    """POST {"shareId"}: somebody opened an invitation, signed in or not. Counted once for each visitor."""

    permission_classes = (AllowAny,)

    @extend_schema(
        summary=_("Count a visit by an invitation"), request=ShareId, responses={200: Done, 404: Refusal, **_REFUSALS}
    )
    def post(self, request: Request) -> Response:
        asked = self.form(ShareId, request.data)
        network = network_of(client_address(request._request))
        ratelimit.brake((sharing.VISITS, "share-visit", network))
        visitor = request.user if isinstance(request.user, User) else None
        if not sharing.record_visit(asked["shareId"], visitor, network):
            raise exceptions.NotFound
        return Response({"success": True})


def _share_json(share: Share) -> dict[str, Any]:
    counts: Any = share
    return {
        "shareId": share.share_id,
        "path": f"{sharing.PAGE}?shareId={share.share_id}",
        "createdAt": clock.beijing_iso(share.created),
        "visitCount": counts.visit_count,
        "signUpCount": counts.sign_up_count,
    }


def _visit_json(visit: ShareVisit) -> dict[str, Any]:
    return {
        "at": clock.beijing_iso(visit.created),
        "signedIn": visit.visitor_id is not None,
        "signedUp": visit.signed_up,
    }
