"""Who wrote an entry into the ledger, in words: people by their names, programs by what they do."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from .services import OWNER

PROGRAMS: Mapping[str, Any] = {
    "notice": _("a notice"),
    "poll": _("the payment page"),
    "sweep": _("the scheduled query"),
    "create": _("placing the order"),
    "bill": _("the reconciliation"),
    "cancel": _("the buyer’s cancelling"),
    "search": _("an operator’s search"),
    "schedule": _("the schedule"),
    "seed_demo": _("the demo"),
}


def named(actor: str) -> str:
    """`Entry.actor` for people."""
    return str(_("the user") if actor.startswith(OWNER) else PROGRAMS.get(actor, actor))
