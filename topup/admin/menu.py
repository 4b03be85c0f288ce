"""The sidebar, and the badge that says when this is not the real thing (named in settings.UNFOLD)."""

from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications.models import Alert, Channel, Delivery, Rule
from voicehelper.accounts.models import ApiKey, MiniProgramSettings, Share, User
from voicehelper.admin.base import list_url, may
from voicehelper.wallet.models import Adjustment, AuditRun, Entry, Hold, Wallet, WalletSettings

from ..models import (
    AlipaySettings,
    CodeBatch,
    Difference,
    GatewayCall,
    Notice,
    Order,
    RechargeSettings,
    Reconciliation,
    Refund,
    WeChatSettings,
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of pages; an operator sees those that Django's permissions allow."""
    alerts = _page(request, _("Alerts"), "notifications", Alert)
    alerts["badge"] = _open_alerts() if alerts["show"] else None
    groups = {
        "": [{"title": _("Overview"), "icon": "space_dashboard", "link": reverse("admin:index"), "show": True}],
        _("Recharge"): [
            _page(request, _("All orders"), "receipt_long", Order),
            _page(request, _("Refunds"), "undo", Refund),
            _page(request, _("Reconciliation"), "balance", Reconciliation),
            _page(request, _("Differences"), "difference", Difference),
            _named(request, _("Recharge statistics"), "bar_chart", "topup", "order", page="statistics"),
            _page(request, _("Notices"), "move_to_inbox", Notice),
            _page(request, _("Gateway calls"), "swap_horiz", GatewayCall),
            _page(request, _("Redemption codes"), "redeem", CodeBatch),
        ],
        _("Large models"): [
            _named(request, _("Provider accounts"), "key", "llm", "credential"),
            _named(request, _("Models and prices"), "neurology", "llm", "model"),
            _named(request, _("Model statistics"), "monitoring", "llm", "usage", page="statistics"),
            _named(request, _("Usage log"), "receipt", "llm", "usage"),
            _page(request, _("API keys"), "password", ApiKey),
            _named(request, _("Chat sessions"), "forum", "llm", "chatsession"),
        ],
        _("Files"): [
            _named(request, _("Files"), "folder", "storage_backends", "storedfile"),
            _named(request, _("Buckets"), "database", "storage_backends", "bucket"),
        ],
        _("Ledger"): [
            _page(request, _("Wallets"), "account_balance_wallet", Wallet),
            _page(request, _("Entries"), "list_alt", Entry),
            _page(request, _("Holds"), "lock_clock", Hold),
            _page(request, _("Adjustments"), "tune", Adjustment),
            _page(request, _("Audit runs"), "fact_check", AuditRun),
        ],
        _("Users"): [
            _page(request, _("Users"), "person", User),
            _page(request, _("Roles"), "group", Group),
            _page(request, _("Shares"), "share", Share),
        ],
        _("Alerts"): [
            alerts,
            _page(request, _("Deliveries"), "outgoing_mail", Delivery),
            _page(request, _("Alert channels"), "campaign", Channel),
            _page(request, _("Alert rules"), "rule", Rule),
            _page(request, _("Operators’ log"), "history", LogEntry),
        ],
        _("Settings"): [
            _page(request, _("Recharge settings"), "sell", RechargeSettings),
            _page(request, _("WeChat Pay settings"), "qr_code_2", WeChatSettings),
            _page(request, _("Alipay settings"), "qr_code_2", AlipaySettings),
            _page(request, _("Mini program settings"), "smartphone", MiniProgramSettings),
            _page(request, _("Wallet settings"), "account_balance_wallet", WalletSettings),
        ],
    }
    shown: list[dict[str, Any]] = [
        {"title": title, "items": [item for item in items if item["show"]]} for title, items in groups.items()
    ]
    _mark_where_we_are(request, [item for group in shown for item in group["items"]])
    return shown


def _mark_where_we_are(request: HttpRequest, items: list[dict[str, Any]]) -> None:
    """One entry at the most: a page below another's address would light up both."""
    index = reverse("admin:index")
    around = [item["link"] for item in items if request.path.startswith(item["link"]) and item["link"] != index]
    here = max(around, key=len, default=index if request.path == index else "")
    for item in items:
        item["active"] = item["link"] == here


def environment(request: HttpRequest) -> list[str] | None:
    """A badge while the providers are stand-ins."""
    return [_("Demo: no real money"), "warning"] if settings.SANDBOX else None


def _page(request: HttpRequest, title: str, icon: str, model: type[Model]) -> dict[str, Any]:
    show = may(request, model, "view") or may(request, model, "change")
    return {"title": title, "icon": icon, "link": list_url(model), "show": show}


def _named(
    request: HttpRequest, title: str, icon: str, app: str, model: str, *, page: str = "changelist"
) -> dict[str, Any]:
    """A page of an app that this one does not import."""
    show = any(request.user.has_perm(f"{app}.{verb}_{model}") for verb in ("view", "change"))
    return {"title": title, "icon": icon, "link": reverse(f"admin:{app}_{model}_{page}"), "show": show}


def _open_alerts() -> str | None:
    count = Alert.objects.filter(resolved_at=None).count()
    return f"{count:,}" if count else None
