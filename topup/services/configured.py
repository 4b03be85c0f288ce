"""What operators have set for payments, as it is now, without reading all of it for every order and every notice.

PostgreSQL gives every version of a row a place and a transaction of its own (`ctid`, `xmin`), whoever writes it and
however. One small statement asks for them; while they are what they were, so is what was read then. So nothing here is
older than if it had been read at that moment, in any process, and no message that it changed can be late or lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection, models

from voicehelper.accounts.models import MiniProgramSettings

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..models import GatewaySettings, MerchantAccount, ProviderCertificate, RechargeSettings
from .errors import UnknownGateway

# Certificates expire without anybody writing a row.
_LIFE = timedelta(minutes=1)


@dataclass(frozen=True)
class Configured:
    """The settings at the moment `at`, by the database's clock. Shared: whoever wants to change a row loads his own.

    `gateways` are those that were built of them, by name and app id, for `open_gateway` alone.
    """

    at: datetime
    recharge: RechargeSettings
    sections: dict[str, GatewaySettings]
    gateways: dict[tuple[str, str], Gateway] = field(default_factory=dict)

    def section(self, gateway: str) -> GatewaySettings:
        """A gateway's settings row. Raises UnknownGateway."""
        if gateway not in self.sections:
            raise UnknownGateway(gateway)
        return self.sections[gateway]


# What was read last, and the versions that it had.
_kept: tuple[Any, Configured] | None = None


def configured() -> Configured:
    """The settings as they are now, for one order or one notice."""
    global _kept
    sections = {name: GatewaySettings.of(name) for name in GATEWAYS}
    moment, *versions = _versions((RechargeSettings, MiniProgramSettings, *sections.values()))
    kept = _kept
    if kept is None or kept[0] != versions or moment - kept[1].at > _LIFE:
        rows = {name: section.load() for name, section in sections.items()}
        kept = _kept = versions, Configured(moment, RechargeSettings.load(), rows)
    return replace(kept[1], at=moment)


def _versions(sections: Sequence[type[models.Model]]) -> tuple[Any, ...]:
    """The database's clock, and what is another when anything is that a gateway hangs on."""
    question = _question((*sections, MerchantAccount, ProviderCertificate))
    with connection.cursor() as cursor:
        cursor.execute(question)
        moment, rows = cursor.fetchone()
    # The deployer's, which only another process can have otherwise, or a test.
    deployed = [getattr(settings, name) for section in sections for name in getattr(section, "deployed", ())]
    return moment, rows, connection.settings_dict["NAME"], deployed, tuple(settings.SECRET_KEYS)


@lru_cache(maxsize=8)
def _question(tables: Sequence[type[models.Model]]) -> str:
    rows = " UNION ALL ".join(f"SELECT xmin, ctid FROM {model._meta.db_table}" for model in tables)  # noqa: S608  # nosec B608
    return f"SELECT clock_timestamp(), (SELECT string_agg(xmin || ' ' || ctid, ',') FROM ({rows}) AS each)"  # noqa: S608  # nosec B608
