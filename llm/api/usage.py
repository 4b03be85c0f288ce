"""What the user has used."""

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api import frames
from voicehelper.api.paging import PAGING, page_of, whole
from voicehelper.api.views import UserView

from .. import usage
from . import shapes

MOST_DAYS = 366
_DAYS = OpenApiParameter("days", OpenApiTypes.INT, description="The last so many Beijing days; today is one.")


class Calls(UserView):
    """The user's calls of models, newest first."""

    @extend_schema(
        summary=_("Calls of models, newest first"),
        responses=frames.or_refused(frames.Page),
        parameters=[_DAYS, OpenApiParameter("model"), *PAGING],
    )
    def get(self, request: Request) -> Response:
        model = request.query_params.get("model", "")
        if len(model) > 64 or not model.isprintable():
            raise ValidationError({"model": [_("at most 64 printable characters")]})
        days = whole(request, "days", 1, MOST_DAYS) if "days" in request.query_params else None
        rows = usage.usage_of(self.user, days=days, model=model)
        return Response({"success": True, "data": page_of(request, rows, shapes.usage_json)})


class Summary(UserView):
    """Sums by Beijing day and model."""

    @extend_schema(summary=_("Sums by day and model"), responses=frames.or_refused(frames.One), parameters=[_DAYS])
    def get(self, request: Request) -> Response:
        days = whole(request, "days", 30, MOST_DAYS)
        return Response({"success": True, "data": {"days": days, "items": list(usage.summary_of(self.user, days))}})
