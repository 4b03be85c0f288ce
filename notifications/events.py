"""What can be alerted about. Whoever raises an event names it here; a rule and a reader know it by its label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Event:
    """A kind of alert: its usual level, and its name for people."""

    level: str
    label: Any


EVENTS: Mapping[str, Event] = {
    "forged_notice": Event("critical", _("Forged notice")),
    "notice_mismatch": Event("critical", _("Notice that does not match its order")),
    "unknown_order": Event("critical", _("Payment for an unknown order")),
    "notice_while_off": Event("info", _("Notice for a gateway that is switched off")),
    "late_payment": Event("info", _("Late payment")),
    "manual_completion": Event("warning", _("Order completed without proof")),
    "manual_confirmed": Event("info", _("Payment of an order completed by hand")),
    "gateway_unreachable": Event("critical", _("Payment gateway unreachable")),
    "gateway_not_ready": Event("critical", _("Payment gateway not ready")),
    "odd_pay_address": Event("critical", _("Odd address to pay at")),
    "quota_adjusted": Event("warning", _("Quota given or taken by hand")),
    "refund_failed": Event("critical", _("Refund failed")),
    "refund_mismatch": Event("critical", _("Refund that does not match")),
    "refund_shortfall": Event("warning", _("Refund of spent quota")),
    "refund_slow": Event("warning", _("Refund without an outcome")),
    "console_refund": Event("warning", _("Refund made at the provider")),
    "settings_changed": Event("warning", _("Settings changed")),
    "certificate_expires": Event("warning", _("Client certificate expires")),
    "reconciliation_difference": Event("critical", _("Reconciliation difference")),
    "audit_failed": Event("critical", _("Audit failure")),
    "provider_circuit_open": Event("critical", _("Model provider resting after errors")),
    "upstream_bill_differs": Event("warning", _("Bill of a model provider differs")),
    "usage_above_hold": Event("warning", _("Call that used more than was held")),
    "usage_zero": Event("warning", _("Model that reports no usage")),
    "provider_low_balance": Event("warning", _("Low balance at a model provider")),
    "files_differ": Event("warning", _("Files and their store differ")),
    "job_missed": Event("critical", _("Scheduled job missed")),
    "wechat_login_broken": Event("critical", _("Mini program users cannot sign in")),
    "channel_failed": Event("critical", _("Alert channel does not work")),
}


def level_of(event: str) -> str:
    return EVENTS[event].level if event in EVENTS else "warning"


def label_of(event: str) -> str:
    """The event's name in the current language; one that is not listed is called as the code calls it."""
    return str(EVENTS[event].label) if event in EVENTS else event
