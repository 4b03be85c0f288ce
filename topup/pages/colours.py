"""The gateways' colours as a style sheet: pages may carry no style of their own, and no style sheet names a gateway."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from ..gateways import GATEWAYS

# --gateway and --on-gateway are for buttons, --vh-series for the admin's charts and lists.
_RULES = """\
.method.{name} {{ --gateway: {colour}; --on-gateway: {on_colour}; }}
.vh-{name} {{ --vh-series: {colour}; }}
"""


@require_safe
@cache_control(public=True, max_age=24 * 60 * 60)
def stylesheet(request: HttpRequest) -> HttpResponse:
    text = "".join(
        _RULES.format(name=name, colour=gateway.colour, on_colour=gateway.on_colour)
        for name, gateway in GATEWAYS.items()
    )
    return HttpResponse(text, content_type="text/css; charset=utf-8")
