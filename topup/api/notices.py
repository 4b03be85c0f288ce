"""Where the providers post. No session, no CSRF: the signature is the authentication."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from voicehelper.net.addresses import client_address

from ..gateways.base import Reply
from ..services import GatewayOff, receiving

# No proxy of ours knows these content types as anything else; a browser's multipart form is not a notice.
_TYPES = {
    "wechat": {
        "text/xml",
        "application/xml",
        "text/plain",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
    },
    "alipay": {"application/x-www-form-urlencoded"},
}


@csrf_exempt
@require_POST
def refund_notify(request: HttpRequest, gateway: str) -> HttpResponse:
    """A notice about a refund, answered as a payment's is."""
    return _answer(request, gateway, receiving.receive_refund_notice)


@csrf_exempt
@require_POST
def notify(request: HttpRequest, gateway: str) -> HttpResponse:
    """A payment notice. 404 while the gateway is not configured, 400 for a content type no provider sends."""
    return _answer(request, gateway, receiving.receive_notice)


def _answer(request: HttpRequest, gateway: str, receive: Callable[..., Reply]) -> HttpResponse:
    if request.content_type not in _TYPES[gateway]:
        return HttpResponse("unsupported content type", content_type="text/plain", status=400)
    try:
        reply = receive(gateway, body=request.body, source=client_address(request))
    except GatewayOff:
        return HttpResponse("not found", content_type="text/plain", status=404)
    return HttpResponse(reply.body, content_type=reply.content_type, status=reply.status)
