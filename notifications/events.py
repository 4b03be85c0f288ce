"""What can be alerted about. Whoever raises an event names it here; a rule and a reader know it by its label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class AlertKind:
    """A kind of alert: its usual level, its name for people, and whether it can be critical and
    about money."""

    level: str
    label: Any
    money: bool = False


# Whose trouble it can be; whoever knows platforms adds them in AppConfig.ready().
PLATFORMS: dict[str, Any] = {}


EVENTS: Mapping[str, AlertKind] = {
    "forged_notice": AlertKind("critical", _("Forged notice"), money=True),
    "notice_mismatch": AlertKind("critical", _("Notice that does not match its order"), money=True),
    "unknown_order": AlertKind("critical", _("Payment for an unknown order"), money=True),
    "notice_while_off": AlertKind("info", _("Notice for a gateway that is switched off")),
    "late_payment": AlertKind("info", _("Late payment")),
    "manual_completion": AlertKind("warning", _("Order completed without proof")),
    "manual_confirmed": AlertKind("info", _("Payment of an order completed by hand")),
    "gateway_unreachable": AlertKind("critical", _("Payment gateway unreachable"), money=True),
    "gateway_not_ready": AlertKind("critical", _("Payment gateway not ready"), money=True),
    "odd_pay_address": AlertKind("critical", _("Odd address to pay at"), money=True),
    "quota_adjusted": AlertKind("warning", _("Quota given or taken by hand")),
    "refund_failed": AlertKind("critical", _("Refund failed"), money=True),
    "refund_mismatch": AlertKind("critical", _("Refund that does not match"), money=True),
    "refund_shortfall": AlertKind("warning", _("Refund of spent quota")),
    "refund_slow": AlertKind("warning", _("Refund without an outcome")),
    "console_refund": AlertKind("warning", _("Refund made at the provider"), money=True),
    "settings_changed": AlertKind("warning", _("Settings changed")),
    "certificate_expires": AlertKind("warning", _("Client certificate expires"), money=True),
    "reconciliation_difference": AlertKind("critical", _("Reconciliation difference"), money=True),
    "audit_failed": AlertKind("critical", _("Audit failure"), money=True),
    "provider_circuit_open": AlertKind("critical", _("Model provider resting after errors")),
    "upstream_bill_differs": AlertKind("warning", _("Bill of a model provider differs")),
    "usage_above_hold": AlertKind("warning", _("Call that used more than was held")),
    "usage_zero": AlertKind("warning", _("Model that reports no usage")),
    "provider_low_balance": AlertKind("warning", _("Low balance at a model provider")),
    "archiving_failed": AlertKind("critical", _("Archiving of old rows failed")),
    "files_differ": AlertKind("warning", _("Files and their store differ")),
    "sessions_run_out": AlertKind("critical", _("Sessions at PostgreSQL run out")),
    "disk_fills": AlertKind("critical", _("Disk of files fills up")),
    "job_missed": AlertKind("critical", _("Scheduled job missed")),
    "passkey_copied": AlertKind("critical", _("Passkey that may have been copied")),
    "wechat_login_broken": AlertKind("critical", _("Mini program users cannot sign in")),
    "channel_failed": AlertKind("critical", _("Alert channel does not work")),
}


def level_of(event: str) -> str:
    return EVENTS[event].level if event in EVENTS else "warning"


def label_of(event: str) -> str:
    """The event's name in the current language; one that is not listed is called as the code calls it."""
    return str(EVENTS[event].label) if event in EVENTS else event


def platform_of(name: str) -> str:
    """A platform's name in the current language; one that is not listed is called as the code calls it."""
    return str(PLATFORMS.get(name, name))
