"""The last minutes, for the pages that show them: read once per page, from PostgreSQL and Redis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.clock import BEIJING

from ..models import Credential
from ..relay.catalogue import Catalogue
from ..relay.router import ModelHealth
from ..relay.snapshot import read_now
from ..relay.statistics import BUCKET_S, BUCKETS, Statistics

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

MINUTES = BUCKET_S * BUCKETS // 60


@dataclass(frozen=True)
class Live:
    """What can be asked for now, and what became of the last five minutes' calls."""

    catalogue: Catalogue
    seen: Mapping[str, ModelHealth]
    statistics: Statistics

    @classmethod
    def now(cls) -> "Live":
        catalogue, statistics = read_now(), Statistics.heard()
        return cls(catalogue, statistics.seen(catalogue), statistics)

    def cools_until(self, credential: Credential) -> datetime | None:
        """When an account whose circuit is open, if only for one model, may be asked for all again."""
        cooldown_s = self.statistics.longest_cooldown_of(credential.pk)
        return clock.now() + timedelta(seconds=cooldown_s) if cooldown_s else None

    def cooling_down(self) -> list[int]:
        return sorted(self.statistics.cooling_down(self.catalogue.credentials))

    def calls(self, credential: Credential) -> tuple[int, int]:
        """Calls and failures of the models this account serves, whichever account took them."""
        served = [
            self.seen[name] for name, model in self.catalogue.models.items() if credential.pk in model.credentials
        ]
        return sum(seen.calls for seen in served), sum(seen.failures for seen in served)


def list_with(name: str, read: Callable[[], object]) -> type[ChangeList]:
    """A list whose rows know, under `name`, what was read once for the page."""

    class ListWith(ChangeList):
        def get_results(self, request: HttpRequest) -> None:
            super().get_results(request)
            facts = read()
            for row in self.result_list:
                setattr(row, name, facts)

    return ListWith


def calls_text(calls: int, failures: int) -> str:
    """ "12 calls, 2 failed in 5 min" """
    if not calls:
        return _("no call in %(minutes)d min") % {"minutes": MINUTES}
    facts = {"calls": f"{calls:,}", "failures": f"{failures:,}", "minutes": MINUTES}
    return _("%(calls)s calls, %(failures)s failed in %(minutes)d min") % facts


def clock_time(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%H:%M:%S}"
