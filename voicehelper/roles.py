"""What the roles that come along may do: each app says it in AppConfig.ready(). accounts/roles.py makes groups of it.

roles.grant(roles.SUPPORT, "topup", "view_order change_order")
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

SUPPORT, FINANCE, MODELS, READ_ONLY = "support", "finance", "models", "read-only"


@dataclass(frozen=True)
class StandardRole:
    """What a role is called, and what it is for."""

    title: Any
    purpose: Any


ROLES: Mapping[str, StandardRole] = {
    SUPPORT: StandardRole(
        _("Support"), _("Finds anything, asks platforms about payments, signs out, resets. Moves no money.")
    ),
    FINANCE: StandardRole(_("Finance"), _("Refunds, differences, quota by hand up to a limit, codes, statistics.")),
    MODELS: StandardRole(
        _("Model operations"), _("Provider accounts, models, prices, and what was used of them. No customers’ money.")
    ),
    READ_ONLY: StandardRole(_("Read-only"), _("Sees every page of the admin and changes nothing.")),
}

_granted: dict[str, set[str]] = {name: set() for name in ROLES}


def grant(role: str, app: str, codenames: str) -> None:
    """Give a role permissions of an app."""
    _granted[role] |= {f"{app}.{codename}" for codename in codenames.split()}


def granted(role: str) -> frozenset[str]:
    """What apps gave a role: "topup.view_order"."""
    return frozenset(_granted[role])
