"""The settings pages of recharging: prices and offers, WeChat Pay, Alipay."""

import copy
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.sections import ProbedSectionAdmin, SectionAdmin, SectionForm, Status
from voicehelper.clock import BEIJING
from voicehelper.net.probe import Probe, nothing_called

from .. import services
from ..gateways.base import NotConfigured
from ..models import AlipaySettings, Notice, RechargeSettings, WeChatSettings
from ..models.sections import GatewaySettings
from ..services import options
from . import preview
from .rows import Column, NumbersField, TableField

_AMOUNT = Column("amount", _("Units"), "100")


class RechargeForm(SectionForm):
    """Prices, with rows instead of JSON."""

    amount_options = NumbersField(
        "options",
        [_AMOUNT],
        heading=_("Default group pays"),
        label=_("Amount options"),
        help_text=_("The buttons on the recharge page, in units."),
    )
    amount_discounts = TableField(
        "discounts",
        [_AMOUNT, Column("rate", _("Discount rate"), "0.95")],
        heading=_("Default group pays"),
        label=_("Discounts"),
        help_text=_("Counts when exactly this amount is bought. 0.95 means a price of 95 per cent."),
    )
    amount_bonuses = TableField(
        "bonuses",
        [Column("amount", _("From units"), "100"), Column("bonus", _("Units on top"), "10")],
        heading=_("Default group pays"),
        label=_("Amount bonuses"),
        help_text=_("“Recharge 100, get 10 more”: the highest amount reached counts. Refunds take it back."),
    )
    group_ratios = TableField(
        "ratios",
        [Column("group", _("User group"), "vip", numeric=False), Column("ratio", _("Ratio"), "1")],
        heading=_("Price of a unit"),
        label=_("Group ratios"),
        help_text=_("The price is multiplied by the ratio of the user’s group. 0, or a group not listed, means 1."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row: Any = self.instance
        for name, show in {
            "amount_options": preview.for_options(row),
            "amount_discounts": preview.for_options(row),
            "amount_bonuses": preview.for_options(row),
            "group_ratios": preview.for_ratios(row),
        }.items():
            if name in self.fields:
                self.fields[name].widget.preview = show
        if "approve_refunds_above" in self.fields:
            self.fields["approve_refunds_above"].required = False

    def clean_approve_refunds_above(self) -> Decimal:
        """Left empty, it stays what it was."""
        limit: Decimal | None = self.cleaned_data["approve_refunds_above"]
        return RechargeSettings.load().approve_refunds_above if limit is None else limit

    def clean_server_address(self) -> str:
        return str(self.cleaned_data["server_address"]).rstrip("/")


@admin.register(RechargeSettings)
class RechargeSettingsAdmin(SectionAdmin):
    form = RechargeForm
    purpose = _("What a recharge costs, what it credits, and what the recharge page offers.")
    password_help = _("Only needed when you change a price, ratio, discount or bonus, or the limit for refunds.")
    fieldsets = (
        (_("Pricing"), {"fields": ["price", "quota_per_unit", "display_type"]}),
        (_("Recharge page"), {"fields": ["amount_options", "amount_discounts", "amount_bonuses", "group_ratios"]}),
        (
            _("Order handling"),
            {"fields": ["server_address", "order_life_minutes", "confirm_above", "approve_refunds_above"]},
        ),
    )
    help_texts = {
        "price": _("Yuan for one unit."),
        "quota_per_unit": _("Quota that one unit credits."),
        "display_type": _("What users type on the recharge page: units of money, or tokens (quota)."),
        "server_address": _("Where the providers reach this server. Empty: the address set at deployment."),
        "order_life_minutes": _("How long an order can be paid: 5 to 120 minutes."),
        "approve_refunds_above": _(
            "Refunds above this wait for a second person, unless a superuser asks; exactly this much does not. Counted"
            " together: what goes back of one order ever, and to one user or by one operator alone within 24 hours."
        ),
        "confirm_above": _("Payments above this are credited only after the provider, asked again, confirms. 0: all."),
    }

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        address = form.base_fields.get("server_address")
        if address is not None:
            address.widget.attrs["placeholder"] = RechargeSettings.load().address
        return form

    def problems(self, row: Any) -> Mapping[str, str]:
        return options.problems(row)


class GatewayAdmin(ProbedSectionAdmin):
    """A gateway's page: status, keys, the callback address to enter at the provider, and the test of the connection."""

    key_field = ""

    def help_steps(self, callback: str) -> Sequence[str]:
        raise NotImplementedError

    def problems(self, row: Any) -> Mapping[str, str]:
        return options.problems(row)

    def status(self, row: Any) -> Status:
        """On with its last callback, or what is still missing."""
        missing = self._missing(row)
        last4 = getattr(row, self.key_field).last4
        key = gettext("key ····%(last4)s") % {"last4": last4} if last4 else ""
        if missing:
            labels = gettext("still missing or wrong: %(fields)s") % {"fields": ", ".join(missing)}
            return Status("trouble" if row.enabled else "off", (_on(row.enabled), labels))
        return Status("on" if row.enabled else "off", tuple(filter(None, (_on(row.enabled), _last_callback(row), key))))

    def _missing(self, row: GatewaySettings) -> list[str]:
        candidate = copy.copy(row)
        candidate.enabled = True
        names = {field.name: str(field.verbose_name) for field in row._meta.fields}
        return [names.get(field, field) for field in options.problems(candidate)]

    def page_context(self, row: Any) -> dict[str, Any]:
        callback = f"{RechargeSettings.load().address}/api/{row.gateway}/notify"
        steps = self.help_steps(callback)
        return {"callback_address": callback, "help_steps": steps}

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        return _probe(row)


def _on(enabled: bool) -> str:
    return gettext("On") if enabled else gettext("Off")


def _last_callback(row: GatewaySettings) -> str:
    genuine = Notice.objects.filter(gateway=row.gateway, replay_of=None).exclude(verdict__in=Notice.UNVERIFIED)
    last = genuine.order_by("-received").values_list("received", flat=True).first()
    if last is None:
        return gettext("no callback yet")
    today = last.astimezone(BEIJING).date() == timezone.localdate()
    time = date_format(timezone.localtime(last), "H:i" if today else "Y-m-d H:i")
    return gettext("last callback %(time)s") % {"time": time}


def _probe(row: GatewaySettings) -> Probe:
    try:
        return services.build_gateway(row).probe()
    except NotConfigured:
        candidate = copy.copy(row)
        candidate.enabled = True
        names = {field.name: str(field.verbose_name) for field in row._meta.fields}
        details = {names.get(field, field): text for field, text in options.problems(candidate).items()}
        hint = gettext("Fill these in, save, and test again.")
        return nothing_called(gettext("Nothing was called: the settings are not complete yet."), hint, details)


@admin.register(WeChatSettings)
class WeChatSettingsAdmin(GatewayAdmin):
    purpose = _("Lets users pay by scanning a QR code with WeChat; the money goes to your merchant account.")
    key_field = "api_v2_key"
    fieldsets = (
        (None, {"fields": ["enabled", "min_topup"]}),
        (_("Merchant account"), {"fields": ["app_id", "mch_id", "api_v2_key", "sign_type"]}),
        (_("Paying inside WeChat (optional)"), {"fields": ["app_secret"]}),
        (_("Certificate (for refunds only)"), {"fields": ["client_cert", "client_key"]}),
    )
    multiline_secrets = ("client_cert", "client_key")
    placeholders = {
        "app_id": _("Please enter the app id, like wx8888888888888888"),
        "mch_id": _("Please enter the WeChat Pay merchant number"),
        "api_v2_key": _("Please enter the WeChat Pay API v2 key"),
        "app_secret": _("Please enter the app secret"),
        "client_cert": "-----BEGIN CERTIFICATE-----",
        "client_key": "-----BEGIN PRIVATE KEY-----",
    }
    help_texts = {
        "enabled": _("Shown on the recharge page. Only complete settings can be switched on."),
        "min_topup": _("The smallest recharge, in units."),
        "app_id": _("The official account, mini program or app that is bound to the merchant number."),
        "mch_id": _("Usually ten digits."),
        "api_v2_key": _("Exactly 32 letters and digits. Stored encrypted and never shown again."),
        "sign_type": _("HMAC-SHA256 unless your account can only do MD5. Orders keep the one they were placed with."),
        "app_secret": _(
            "Of the official account above. With it the recharge page pays inside WeChat without a code; without it, it"
            " shows one there too."
        ),
        "client_cert": _("The content of apiclient_cert.pem."),
        "client_key": _("The content of apiclient_key.pem."),
    }

    def status(self, row: Any) -> Status:
        """With the client certificate: until when it is good, or why there are no refunds."""
        status = super().status(row)
        obstacle, expires = services.refund_readiness(row)
        if obstacle:
            return Status("trouble" if row.client_cert else status.tone, (*status.parts, obstacle))
        if expires is None:
            return status
        day = {"day": f"{expires.astimezone(BEIJING):%Y-%m-%d}"}
        if services.expires_soon(expires):
            text = gettext("the client certificate expires on %(day)s: download a new one and upload it") % day
            return Status("trouble", (*status.parts, text))
        return Status(status.tone, (*status.parts, gettext("client certificate good until %(day)s") % day))

    def help_steps(self, callback: str) -> Sequence[str]:
        return [
            gettext(
                "Merchant number: sign in at pay.weixin.qq.com;"
                " it is shown under Account centre → Merchant information."
            ),
            gettext(
                "API v2 key: Account centre → API security → Set the API v2 key (32 characters). Enter the same here."
            ),
            gettext("App id: Product centre → App id management; the app id must be bound to the merchant number."),
            gettext("Native payment must be enabled: Product centre → Native payment."),
            gettext(
                "On phones: enable H5 payment with the domain of this server; and for pages inside WeChat, enable JSAPI"
                " payment with the directory %(pages)s, and enter the domain as the official account’s web page"
                " authorization domain (mp.weixin.qq.com → Settings)."
            )
            % {"pages": f"{RechargeSettings.load().address}/"},
            gettext(
                "For refunds: Account centre → API security → API certificate. Paste apiclient_cert.pem and"
                " apiclient_key.pem of the same download."
            ),
            gettext("Callback address: %(url)s — each order carries it; where WeChat Pay asks for one, enter this.")
            % {"url": callback},
            gettext("The server must be reachable from outside at this address, by HTTPS, without signing in."),
        ]


@admin.register(AlipaySettings)
class AlipaySettingsAdmin(GatewayAdmin):
    purpose = _("Lets users pay by scanning a QR code with Alipay; the money goes to your Alipay account.")
    key_field = "private_key"
    fieldsets = (
        (None, {"fields": ["enabled", "min_topup", "sandbox"]}),
        (_("Application"), {"fields": ["app_id", "seller_id"]}),
        (_("Keys"), {"fields": ["private_key", "public_key"]}),
    )
    multiline_secrets = ("private_key", "public_key")
    placeholders = {
        "app_id": _("Please enter the Alipay app id"),
        "seller_id": _("Please enter the seller id (PID), like 2088…"),
        "private_key": _("Please enter the application private key"),
        "public_key": _("Please enter the Alipay public key"),
    }
    help_texts = {
        "enabled": _("Shown on the recharge page. Only complete settings can be switched on."),
        "min_topup": _("The smallest recharge, in units."),
        "sandbox": _("For trials with an app id of Alipay’s sandbox. Nothing real is paid."),
        "app_id": _("16 digits, shown beside the application at the open platform."),
        "seller_id": _("16 digits beginning with 2088: the account that receives the money."),
        "private_key": _("Made by Alipay’s key tool (RSA2); PKCS#1 or PKCS#8, with or without BEGIN lines."),
        "public_key": _("Alipay’s own public key, not your application’s: both are shown side by side."),
    }

    def help_steps(self, callback: str) -> Sequence[str]:
        return [
            gettext("App id: sign in at open.alipay.com → Console → your web or mobile application."),
            gettext("Seller id (PID): Account centre → Account management; 16 digits beginning with 2088."),
            gettext(
                "Keys: Development settings → Interface signing (public key mode)."
                " Upload your application’s public key, then copy the Alipay public key shown in return."
            ),
            gettext("The product “face-to-face payment” must be signed, and the application published."),
            gettext("Callback address: %(url)s — each order carries it; where Alipay asks for one, enter this.")
            % {"url": callback},
            gettext("The server must be reachable from outside at this address, by HTTPS, without signing in."),
        ]
