"""A user's statement for programs."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.api import frames
from voicehelper.api.paging import PAGING, whole
from voicehelper.api.views import UserView

from .account_statement import LineKind, by_period, statement_of
from .services import wallet_of
from .statement_display import ShownLine, lines
from .statement_form import StatementForm
from .worth import change_in_yuan, in_yuan, list_price

_PERIOD = [
    OpenApiParameter("from", OpenApiTypes.DATE, description="The first Beijing day; empty: from the beginning."),
    OpenApiParameter("to", OpenApiTypes.DATE, description="The last Beijing day; empty: up to now."),
]
_ABOUT = (
    " Neither `from` nor `to`: the last 30 Beijing days (UTC+8). `opening` + all `changes` = `closing`, in quota,"
    " exactly; `yuan` is about what the quota costs at today's list price."
)


class LineShape(serializers.Serializer[Any]):
    day = serializers.DateField()
    time = serializers.DateTimeField(allow_null=True)
    kind = serializers.ChoiceField(choices=LineKind.choices)
    change = serializers.IntegerField()
    balance = serializers.IntegerField()
    yuan = serializers.CharField()
    balance_yuan = serializers.CharField()
    model = serializers.CharField()
    calls = serializers.IntegerField()
    order_id = serializers.CharField()


class StatementShape(serializers.Serializer[Any]):
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    opening = serializers.IntegerField()
    changes = serializers.DictField(child=serializers.IntegerField())
    closing = serializers.IntegerField()
    held = serializers.IntegerField()
    items = LineShape(many=True)


class StatementAnswer(frames.Done):
    data = StatementShape()  # type: ignore[assignment]  # the dialect names it so


def _asked(typed: QueryDict) -> StatementForm:
    """Raises ValidationError."""
    form = StatementForm(typed)
    if not form.is_valid():
        raise ValidationError({name: [str(each) for each in errors] for name, errors in form.errors.items()})
    return form


def _plain(found: Mapping[LineKind, int]) -> dict[str, int]:
    return {kind.value: quota for kind, quota in found.items()}


class OwnStatement(UserView):
    """Every change of the balance, newest first: spending one line per Beijing day and model, without a time; all else
    one by one."""

    @extend_schema(
        summary=_("Every change of the balance, newest first; spending by day and model"),
        responses=frames.or_refused(StatementAnswer),
        description="Newest first: spending one line per Beijing day and model, without a time; all else one by one."
        + _ABOUT,
        parameters=[*_PERIOD, OpenApiParameter("kind", enum=["", *LineKind.values]), *PAGING],
    )
    def get(self, request: Request) -> Response:
        form = _asked(request.query_params)
        page, size = whole(request, "page", 1, 1_000_000), whole(request, "page_size", 20, 100)
        wallet, rate = wallet_of(self.user), list_price().yuan_per_quota
        found = statement_of(wallet, form.period, kinds=form.kinds, skip=(page - 1) * size, limit=size)
        data = {
            "page": page,
            "page_size": size,
            "total": found.total,
            "opening": found.opening,
            "changes": _plain(found.changes),
            "closing": found.closing,
            "held": wallet.held,
            "items": [_line(shown, rate) for shown in lines(found.lines, rate)],
        }
        return Response({"success": True, "data": data})


class StatementPeriods(UserView):
    """The same by Beijing day, week (from Monday) or month in which something changed, newest first."""

    @extend_schema(
        summary=_("The statement by day, week or month"),
        responses=frames.or_refused(frames.ListShape),
        description="By Beijing day, week (from Monday) or month in which something changed, newest first." + _ABOUT,
        parameters=[*_PERIOD, OpenApiParameter("by", enum=["day", "week", "month"], description="Without it: day.")],
    )
    def get(self, request: Request) -> Response:
        form = _asked(request.query_params)
        found = by_period(wallet_of(self.user), form.period, form.unit or "day")
        data = [
            {
                "from": f"{each.first}",
                "to": f"{each.last}",
                "opening": each.opening,
                "changes": _plain(each.changes),
                "closing": each.closing,
            }
            for each in found
        ]
        return Response({"success": True, "data": data})


def _line(shown: ShownLine, rate: Fraction) -> dict[str, Any]:
    line = shown.line
    return {
        "day": f"{line.day}",
        "time": clock.beijing_iso(line.at),
        "kind": line.kind.value,
        "change": line.amount,
        "balance": line.balance,
        "yuan": change_in_yuan(line.amount, rate),
        "balance_yuan": f"¥{in_yuan(line.balance, rate)}",
        "model": line.model,
        "calls": line.calls,
        "order_id": shown.number,
    }
