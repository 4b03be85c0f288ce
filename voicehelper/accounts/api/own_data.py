"""One's data from programs, such as the mini program: a copy of it, and the end of the account. Each asks for proof
that it is really they: a token alone may have been stolen."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.api.frames import CodedRefusal, Done
from voicehelper.api.views import UserView

from .. import deleting, exports
from ..models import DataExport
from .mini_program import CodeAndPassword, prove

_REFUSALS = dict.fromkeys((400, 401, 403, 415, 429, 502, 503, 504), CodedRefusal)


class Proof(CodeAndPassword):
    # Of wx.login; who has a password gives that instead.
    code = serializers.CharField(max_length=128, required=False, allow_blank=True, default="")


class LastWord(Proof):
    givesUpBalance = serializers.BooleanField(required=False, default=False)  # noqa: N815


class Copy(serializers.Serializer[Any]):
    state = serializers.CharField()
    askedAt = serializers.CharField()  # noqa: N815
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    size = serializers.IntegerField()
    expiresAt = serializers.CharField(allow_null=True)  # noqa: N815


class CopyOrNone(Done):
    data = Copy(allow_null=True)  # type: ignore[assignment]  # a field named like an attribute of its class


class Link(serializers.Serializer[Any]):
    url = serializers.CharField()
    expiresIn = serializers.IntegerField()  # noqa: N815


class LinkAnswer(Done):
    data = Link()  # type: ignore[assignment]


class Deletion(serializers.Serializer[Any]):
    due = serializers.CharField(allow_null=True)
    obstacles = serializers.ListField(child=serializers.CharField())
    quota = serializers.IntegerField()
    days = serializers.IntegerField()


class DeletionAnswer(Done):
    data = Deletion()  # type: ignore[assignment]


class OwnCopy(UserView):
    """GET: the last copy of one's data, or null. POST {"code"} or {"password"}: has one made. DELETE: drops it."""

    @extend_schema(summary=_("The copy of one’s data"), responses={200: CopyOrNone, 401: CodedRefusal})
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": _copy_json(exports.latest_of(self.user))})

    @extend_schema(summary=_("Have a copy of one’s data made"), request=Proof, responses={200: CopyOrNone, **_REFUSALS})
    def post(self, request: Request) -> Response:
        prove(request, self.user, self.form(Proof, request.data))
        return Response({"success": True, "data": _copy_json(exports.ask(self.user))})

    @extend_schema(summary=_("Delete the copy of one’s data"), responses={200: Done, 401: CodedRefusal})
    def delete(self, request: Request) -> Response:
        exports.drop(self.user)
        return Response({"success": True})


class OwnCopyLink(UserView):
    """POST {"code"} or {"password"} → an address of the copy, good for `expiresIn` seconds; 404 while there is none."""

    @extend_schema(
        summary=_("An address of the copy of one’s data"),
        request=Proof,
        responses={200: LinkAnswer, 404: CodedRefusal, **_REFUSALS},
    )
    def post(self, request: Request) -> Response:
        export = exports.ready_of(self.user)
        if export is None:
            raise exceptions.NotFound
        prove(request, self.user, self.form(Proof, request.data))
        return Response({"success": True, "data": {"url": exports.address_of(export), "expiresIn": exports.LINK_S}})


class OwnDeletion(UserView):
    """GET: what keeps the account, and what would be lost. POST {"code"} or {"password"}, and "givesUpBalance" where
    there is a balance: the account is deleted at `due`, unless its user signs in before. All tokens end."""

    @extend_schema(summary=_("What deleting the account means"), responses={200: DeletionAnswer, 401: CodedRefusal})
    def get(self, request: Request) -> Response:
        deletion = deleting.deletion_of(self.user)
        return self._answer(clock.beijing_iso(deletion.due) if deletion else None)

    @extend_schema(
        summary=_("Delete the account"),
        request=LastWord,
        responses={200: DeletionAnswer, 409: CodedRefusal, **_REFUSALS},
    )
    def post(self, request: Request) -> Response:
        asked = self.form(LastWord, request.data)
        prove(request, self.user, asked)
        return self._answer(clock.beijing_iso(deleting.ask(self.user, gives_up_balance=asked["givesUpBalance"])))

    def _answer(self, due: str | None) -> Response:
        losses = deleting.losses_of(self.user)
        facts = {"due": due, "obstacles": losses.obstacles, "quota": losses.quota, "days": deleting.GRACE.days}
        return Response({"success": True, "data": facts})


def _copy_json(export: DataExport | None) -> dict[str, Any] | None:
    if export is None:
        return None
    return {
        "state": export.state,
        "askedAt": clock.beijing_iso(export.asked),
        "done": export.done,
        "total": export.total,
        "size": export.size,
        "expiresAt": clock.beijing_iso(export.expires),
    }
