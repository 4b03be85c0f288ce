"""The sidebar, and the badge that says when this is not the real thing (named in settings.UNFOLD)."""

from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications.models import Alert
from voicehelper.accounts.models import MiniProgramSettings, User
from voicehelper.admin.base import list_url, may
from voicehelper.wallet.models import AuditRun, Entry, Hold, Wallet

from ..models import AlipaySettings, GatewayCall, Notice, Order, RechargeSettings, Refund, WeChatSettings


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of pages; an operator sees those that Django's permissions allow."""
    alerts = _page(request, _("Alerts"), "notifications", Alert)
    alerts["badge"] = _open_alerts() if alerts["show"] else None
    groups = {
        "": [{"title": _("Overview"), "icon": "space_dashboard", "link": reverse("admin:index"), "show": True}],
        _("Recharge"): [
            _page(request, _("All orders"), "receipt_long", Order),
            _page(request, _("Refunds"), "undo", Refund),
            _page(request, _("Notices"), "move_to_inbox", Notice),
            _page(request, _("Gateway calls"), "swap_horiz", GatewayCall),
        ],
        _("Ledger"): [
            _page(request, _("Wallets"), "account_balance_wallet", Wallet),
            _page(request, _("Entries"), "list_alt", Entry),
            _page(request, _("Holds"), "lock_clock", Hold),
            _page(request, _("Audit runs"), "fact_check", AuditRun),
        ],
        _("Users"): [_page(request, _("Users"), "person", User), _page(request, _("Roles"), "group", Group)],
        _("Alerts"): [alerts, _page(request, _("Operators’ log"), "history", LogEntry)],
        _("Settings"): [
            _page(request, _("Recharge settings"), "sell", RechargeSettings),
            _page(request, _("WeChat Pay settings"), "qr_code_2", WeChatSettings),
            _page(request, _("Alipay settings"), "qr_code_2", AlipaySettings),
            _page(request, _("Mini program settings"), "smartphone", MiniProgramSettings),
        ],
    }
    return [{"title": title, "items": [item for item in items if item["show"]]} for title, items in groups.items()]


def environment(request: HttpRequest) -> list[str] | None:
    """A badge while the providers are stand-ins."""
    return [_("Demo: no real money"), "warning"] if settings.SANDBOX else None


def _page(request: HttpRequest, title: str, icon: str, model: type[Model]) -> dict[str, Any]:
    show = may(request, model, "view") or may(request, model, "change")
    return {"title": title, "icon": icon, "link": list_url(model), "show": show}


def _open_alerts() -> str | None:
    count = Alert.objects.filter(resolved_at=None).count()
    return f"{count:,}" if count else None
