"""What the mini program calls: signing in, and sharing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.api import ratelimit
from voicehelper.api.paging import PAGING, page_of
from voicehelper.net.addresses import client_address, network_of

from .. import mini_program, sharing
from ..mini_program import AnotherUsers, Inactive, NotSetUp
from ..models import Share, ShareVisit, User
from ..own_password import PasswordRefused, check_own_password
from ..wechat_login import AppRefused, CodeRefused, PersonBlocked, TooOften, WeChatAway
from .sign_in import PlainErrors, SignedIn, user_json

# Codes that WeChat refuses, from one network. Good ones are given back: many phones share one address.
REFUSED_CODES = "30 per 10 minutes"

_FAILURES: list[tuple[type[Exception], int, Promise]] = [
    (CodeRefused, 401, _("The sign-in code is not valid any more, please sign in again")),
    (PersonBlocked, 403, _("WeChat does not let this account sign in for now")),
    (TooOften, 429, _("You sign in too often, please wait a minute")),
    (AppRefused, 503, _("The administrator has not finished setting up WeChat sign-in")),
    (NotSetUp, 503, _("The administrator has not finished setting up WeChat sign-in")),
    (WeChatAway, 502, _("WeChat does not answer, please try again")),
    (Inactive, 403, _("This account is deactivated, please contact the administrator")),
    (AnotherUsers, 409, _("This WeChat account belongs to another user here")),
]


class Refusal(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    message = serializers.CharField()


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


class ShareId(serializers.Serializer[Any]):
    shareId = serializers.CharField(max_length=32)  # noqa: N815


class ShareCard(serializers.Serializer[Any]):
    title = serializers.CharField()
    path = serializers.CharField()
    imageUrl = serializers.CharField()  # noqa: N815
    shareId = serializers.CharField()  # noqa: N815


class Recorded(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class ShareRow(serializers.Serializer[Any]):
    shareId = serializers.CharField()  # noqa: N815
    path = serializers.CharField()
    createdAt = serializers.CharField()  # noqa: N815
    visitCount = serializers.IntegerField()  # noqa: N815
    signUpCount = serializers.IntegerField()  # noqa: N815


class SharePage(serializers.Serializer[Any]):
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = ShareRow(many=True)


class ShareList(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = SharePage()  # type: ignore[assignment]  # a field named like an attribute of its class


class VisitRow(serializers.Serializer[Any]):
    at = serializers.CharField()
    signedIn = serializers.BooleanField()  # noqa: N815
    signedUp = serializers.BooleanField()  # noqa: N815


class VisitPage(SharePage):
    items = VisitRow(many=True)  # type: ignore[assignment]


class ShareWithVisits(ShareRow):
    visits = VisitPage()


class ShareDetail(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = ShareWithVisits()  # type: ignore[assignment]


# What any of these routes may also answer, for the schema.
_REFUSALS = dict.fromkeys((400, 401, 403, 415, 429), Refusal)
_WECHAT_FAILS = dict.fromkeys((502, 503, 504), Refusal)


class WeChatView(PlainErrors):
    """Base of the routes that take a code of `wx.login`."""

    def handle_exception(self, exc: Exception) -> Response:
        found = next((row for row in _FAILURES if isinstance(exc, row[0])), None)
        if found is None:
            return super().handle_exception(exc)
        _kind, status, words = found
        if isinstance(exc, WeChatAway) and exc.late:
            status = 504
        headers = {"Retry-After": "60"} if isinstance(exc, TooOften) else {}
        return Response({"success": False, "message": str(words)}, status=status, headers=headers)

    def read(self, request: Request, form_class: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The checked body. Raises ValidationError."""
        form = form_class(data=request.data)
        form.is_valid(raise_exception=True)
        return cast(dict[str, Any], form.validated_data)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """While WeChat is asked about a code. Raises Throttled."""
        network = network_of(client_address(self.request._request))
        try:
            with ratelimit.guess((REFUSED_CODES, "wx-login", network), wrong=CodeRefused):
                yield
        except ratelimit.TooMany as error:
            raise exceptions.Throttled(error.wait_s) from None


class WeChatLogin(WeChatView):
    """POST {"code"} of `wx.login` → {"token", "userInfo"}; `shareId` says by whose invitation somebody new came."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=CodeAndShare, responses={200: SignedIn, **_REFUSALS, **_WECHAT_FAILS}, auth=[])
    def post(self, request: Request) -> Response:
        asked = self.read(request, CodeAndShare)
        with self.counted():
            user, token = mini_program.sign_in(asked["code"], share_id=asked["shareId"])
        return Response({"token": token, "userInfo": user_json(user)})


class WeChatBind(WeChatView):
    """POST {"code", "password"}: whoever is signed in can from now on sign in by the WeChat of a code of `wx.login` as
    well. The password is asked for again: a stolen token must not outlive itself."""

    @extend_schema(request=CodeAndPassword, responses={200: Recorded, 409: Refusal, **_REFUSALS, **_WECHAT_FAILS})
    def post(self, request: Request) -> Response:
        asked, user = self.read(request, CodeAndPassword), cast(User, request.user)
        try:
            check_own_password(request._request, user, asked["password"])
        except PasswordRefused as refused:
            status, headers = (429, {"Retry-After": str(refused.retry_after)}) if refused.retry_after else (403, {})
            return Response({"success": False, "message": str(refused)}, status=status, headers=headers)
        with self.counted():
            mini_program.bind(user, asked["code"])
        return Response({"success": True})


class Shares(PlainErrors):
    """POST makes an invitation, for `onShareAppMessage`; GET lists one's own, newest first, with who came by them."""

    @extend_schema(request=None, responses={200: ShareCard, **_REFUSALS})
    def post(self, request: Request) -> Response:
        user = cast(User, request.user)
        _brake(sharing.SHARES, "share", str(user.pk))
        card = sharing.share(user)
        return Response({"title": card.title, "path": card.path, "imageUrl": card.image_url, "shareId": card.share_id})

    @extend_schema(responses={200: ShareList, **_REFUSALS}, parameters=PAGING)
    def get(self, request: Request) -> Response:
        rows = sharing.shares_of(cast(User, request.user))
        return Response({"success": True, "data": page_of(request, rows, _share_json)})


class OneShare(PlainErrors):
    """One of one's own invitations with its visits, newest first. Who the visitors are is not told."""

    @extend_schema(operation_id="share_one", responses={200: ShareDetail, 404: Refusal, **_REFUSALS}, parameters=PAGING)
    def get(self, request: Request, share_id: str) -> Response:
        share = sharing.shares_of(cast(User, request.user)).filter(share_id=share_id).first()
        if share is None:
            raise exceptions.NotFound
        visits = page_of(request, share.visits.order_by("-pk"), _visit_json)
        return Response({"success": True, "data": _share_json(share) | {"visits": visits}})


class Visit(PlainErrors):
    """POST {"shareId"}: somebody opened an invitation, signed in or not. Counted once for each visitor."""

    permission_classes = (AllowAny,)

    @extend_schema(request=ShareId, responses={200: Recorded, 404: Refusal, **_REFUSALS})
    def post(self, request: Request) -> Response:
        form = ShareId(data=request.data)
        form.is_valid(raise_exception=True)
        network = network_of(client_address(request._request))
        _brake(sharing.VISITS, "share-visit", network)
        visitor = request.user if isinstance(request.user, User) else None
        if not sharing.record_visit(form.validated_data["shareId"], visitor, network):
            raise exceptions.NotFound
        return Response({"success": True})


def _brake(limit: str, *who: str) -> None:
    """Count one event; raises Throttled when it is one too many."""
    wait_s = ratelimit.hit(limit, *who)
    if wait_s:
        raise exceptions.Throttled(wait_s)


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
