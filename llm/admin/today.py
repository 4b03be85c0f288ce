"""Models on the admin's front page: today's calls, what they charged, what failed, and who cools down."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.admin.base import may
from voicehelper.admin.front_page import Card, Panel
from voicehelper.numbers import grouped, percent

from .. import usage_days
from ..models import Credential, Usage
from ..relay.statistics import Statistics
from .prices import PriceList


def panel(request: HttpRequest) -> Panel | None:
    """For whoever may see usage."""
    if not may(request, Usage, "view"):
        return None
    today = clock.today()
    calls, failed, quota = usage_days.totals("SUM(calls), SUM(failures), SUM(quota)", today, today)
    cards = [
        Card(_("Calls today"), grouped(calls)),
        Card(_("Quota charged today"), grouped(quota), PriceList.now().yuan(quota)),
        Card(_("Failed calls today"), grouped(failed), percent(failed, calls)),
        _resting(),
    ]
    return Panel(_("Models today"), reverse("admin:llm_usage_statistics"), cards)


def _resting() -> Card:
    on = dict(Credential.objects.filter(enabled=True).values_list("pk", "name"))
    cooling_down = Statistics.heard().cooling_down(on)
    names = ", ".join(on[number] for number in sorted(cooling_down)) or _("all accounts that are on can be asked")
    return Card(_("Accounts resting now"), f"{len(cooling_down)} / {len(on)}", names)
