"""Whether payment platforms would reach us where we tell them to call."""

import time

from django.conf import settings
from django.utils.translation import gettext as _

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import PUBLIC, TRUSTED, HTTPAnswer, Limits, NoAnswer
from voicehelper.net.probe import Probe, since_ms

from ..models import RechargeSettings

_LIMITS = Limits(connect_s=2, read_s=3, total_s=4, max_bytes=64 * 1024)


def reach_ourselves() -> Probe:
    """Call this server's own health page by the address that orders carry. What this server cannot do, a platform may
    be able to all the same: some networks do not let their own out and in again."""
    section, started = RechargeSettings.load(), time.monotonic_ns()
    url = f"{section.address}/healthz"
    # What the deployment says is trusted; what operators type may not lead into a private network.
    http = PUBLIC if settings.PRODUCTION and section.server_address else TRUSTED
    try:
        answer = http.send("GET", url, headers={"Accept": "application/json"}, limits=_LIMITS)
    except AddressRefused:
        text = _("The server address leads into a private network: payment platforms cannot reach it.")
        return Probe(False, url, since_ms(started), text)
    except NoAnswer as error:
        hint = _(
            "Check the address, its DNS entry, the firewall and the proxy in front. Some networks do not let a server"
            " call itself: then try the address from outside."
        )
        return Probe(False, url, since_ms(started), _(error.reason), hint, told=False)
    if _is_ours(answer):
        return Probe(True, url, answer.elapsed_ms, _("This server answers there: callbacks would reach it."))
    text = _("Something else answers there (HTTP status %(status)d).") % {"status": answer.status}
    return Probe(False, url, answer.elapsed_ms, text, _hint(answer))


def _is_ours(answer: HTTPAnswer) -> bool:
    """Also of a server that says it is not well."""
    said = answer.json_object()
    return answer.status in (200, 503) and said is not None and {"database", "redis"} <= said.keys()


def _hint(answer: HTTPAnswer) -> str:
    if 300 <= answer.status < 400:
        return _("Payment platforms follow no redirect: enter the address it leads to.")
    return _("Enter the address under which this server is reached from outside.")
