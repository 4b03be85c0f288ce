"""Pages of a list, as every route of the API gives them: `page` from 1, `page_size` up to 100."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

# For the schema of such a route.
PAGING = [
    OpenApiParameter("page", OpenApiTypes.INT, description="From 1."),
    OpenApiParameter("page_size", OpenApiTypes.INT, description="Up to 100; 20 without it."),
]

Row = TypeVar("Row", bound=Model)


def page_of(request: Request, rows: QuerySet[Row], show: Callable[[Row], dict[str, Any]]) -> dict[str, Any]:
    """The page that was asked for; empty behind the last one. Raises ValidationError."""
    page, size = whole(request, "page", 1, 1_000_000), whole(request, "page_size", 20, 100)
    paginator = Paginator(rows, size)
    items = paginator.page(page).object_list if page <= paginator.num_pages else []
    return {"page": page, "page_size": size, "total": paginator.count, "items": [show(row) for row in items]}


def whole(request: Request, name: str, default: int, most: int) -> int:
    """A whole number from the query string between 1 and `most`. Raises ValidationError."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= most):
        raise ValidationError({name: [_("a whole number between 1 and %(most)d") % {"most": most}]})
    return int(text)
