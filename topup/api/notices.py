"""Where the providers post. No session, no CSRF: the signature is the authentication."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from voicehelper.net.addresses import client_address

from ..gateways import GATEWAYS
from ..gateways.notices import IncomingNotice
from ..services import GatewayOff, receiving


@csrf_exempt
@require_POST
def notify(request: HttpRequest, gateway: str) -> HttpResponse:
    """A notice about a payment or a refund. 404 while the gateway is not configured, 400 for a content type no
    provider sends."""
    if request.content_type not in GATEWAYS[gateway].notice_types:
        return HttpResponse("unsupported content type", content_type="text/plain", status=400)
    headers = {name.lower(): value for name, value in request.headers.items()}
    incoming = IncomingNotice(request.body, headers, request.META["QUERY_STRING"])
    try:
        reply = receiving.receive_notice(gateway, incoming, source=client_address(request))
    except GatewayOff:
        return HttpResponse("not found", content_type="text/plain", status=404)
    return HttpResponse(reply.body, content_type=reply.content_type, status=reply.status)
