"""The settings pages of recharging: prices and offers, and one of each gateway."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldBooleanSwitchWidget

from voicehelper import clock
from voicehelper.admin.base import change_url, url_name
from voicehelper.admin.effects import ShownPrice
from voicehelper.admin.forms import Status
from voicehelper.admin.rows import Column
from voicehelper.admin.sections import ProbedSectionAdmin, SectionForm
from voicehelper.clock import BEIJING
from voicehelper.net.addresses import typed_address
from voicehelper.net.probe import Probe, nothing_called

from .. import services
from ..gateways import GATEWAYS
from ..gateways.errors import NotConfigured
from ..models import GatewaySettings, Notice, RechargeSettings
from ..models.sections import SettingsCard
from ..services import options
from ..services.accounts import burden_of, would_retire
from . import accounts, preview
from .rows import NumbersField, TableField
from .trying import TriedForm, TriedSectionAdmin

_AMOUNT = Column("amount", _("Units"), "100")


class AddressField(forms.URLField):
    """https unless something else is typed, also of a host with a port."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(typed_address(str(value or "")))


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


@admin.register(RechargeSettings)
class RechargeSettingsAdmin(ProbedSectionAdmin):
    form = RechargeForm
    test_label = _("Test the server address")
    test_hint = _("Calls this server by it, as payment platforms do.")
    purpose = _("What a recharge costs, what it credits, and what the recharge page offers.")
    password_help = _("Only needed when you change a price, ratio, discount or bonus, or the limit for refunds.")
    fieldsets = (
        (_("Pricing"), {"fields": ["price", "quota_per_unit", "display_type"]}),
        (_("Recharge page"), {"fields": ["amount_options", "amount_discounts", "amount_bonuses", "group_ratios"]}),
        (
            _("Order handling"),
            {"fields": ["server_address", "order_life_minutes", "confirm_above", "approve_refunds_above"]},
        ),
        (_("What buyers read"), {"fields": ["merchant_name", "support_contact"]}),
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
        "merchant_name": _("Who sells, on payment cards and receipts. Empty: VoiceHelper."),
        "support_contact": _("How buyers reach somebody: on payment cards and receipts, and where something failed."),
        "confirm_above": _("Payments above this are credited only after the provider, asked again, confirms. 0: all."),
    }

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        address = form.base_fields.get("server_address")
        if address is not None:
            address.widget.attrs["placeholder"] = RechargeSettings.load().typed_address
        return form

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "server_address":
            kwargs |= {"form_class": AddressField, "assume_scheme": "https"}
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        return services.reach_ourselves()

    def problems(self, row: Any) -> Mapping[str, str]:
        return options.problems(row)

    def prices_of(self, row: Any, other: Any) -> Mapping[str, ShownPrice]:
        return preview.prices_of(row, other)


class GatewayForm(TriedForm):
    """A gateway's fields, and a tick for retiring an account that still has orders under way."""

    retire = forms.BooleanField(required=False, label=_("Retire this account"), widget=UnfoldBooleanSwitchWidget)
    # What is said of them; empty while no tick is needed.
    leaves_behind = ""

    def _post_clean(self) -> None:
        super()._post_clean()
        row: Any = self.instance
        leaving = would_retire(row)
        count = burden_of(leaving).under_way if leaving else 0
        if leaving is None or not count:
            return
        text = ngettext(
            "%(count)d order of merchant %(merchant)s is under way. It is served to its end by that account, which is"
            " retired: its keys are kept for notices, queries, refunds and bills.",
            "%(count)d orders of merchant %(merchant)s are under way. They are served to their end by that account,"
            " which is retired: its keys are kept for notices, queries, refunds and bills.",
            count,
        )
        self.leaves_behind = text % {"count": count, "merchant": leaving.merchant_id}
        if not self.cleaned_data.get("retire"):
            self.add_error("retire", gettext("Tick this to go on."))


class GatewayAdmin(TriedSectionAdmin):
    """A gateway's page, by the card of its section: status, keys, the callback address to enter at the provider, the
    test of the connection, and the accounts that were retired."""

    card: SettingsCard
    form = GatewayForm
    change_form_template = "admin/topup/gateway.html"

    def __init__(self, model: type[GatewaySettings], site: admin.AdminSite) -> None:
        self.card = card = model.card
        self.purpose = card.purpose
        self.multiline_secrets = card.multiline
        self.key_files = card.files
        self.placeholders = card.placeholders
        self.help_texts = {**_EVERY_GATEWAY, **card.help}
        cards: Any = [
            (heading, {"fields": fields, "classes": _classes(card, fields)}) for heading, fields in card.groups
        ]
        self.fieldsets = cards  # type: ignore[misc]  # the card's, not the class's
        super().__init__(model, site)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.forget_account)
        return [path("accounts/<int:pk>/delete/", view, name=url_name(self, "forget")), *super().get_urls()]

    def forget_account(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The button beside a retired account that nothing refers to."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row: Any = self.model.load()
        report = accounts.forget(row.gateway, pk)
        if report.ok:
            self.log_change(request, row, report.text)
        messages.add_message(request, messages.SUCCESS if report.ok else messages.ERROR, report.text)
        return HttpResponseRedirect(change_url(row))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row: Any = kwargs["obj"]
        context["retired"] = accounts.retired(row.gateway, request, url_name(self, "forget"))
        return super().render_change_form(request, context, *args, **kwargs)

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A choice that is not sent stays as it is."""
        form = super().get_form(request, obj, change=change, **kwargs)
        for field in form.base_fields.values():
            field.required = field.required and not isinstance(field, forms.TypedChoiceField)
        return form

    def problems(self, row: Any) -> Mapping[str, str]:
        return options.problems(row)

    def status(self, row: Any) -> Status:
        """On with its last callback, or what is still missing; and until when refunds are possible."""
        missing = self._missing(row)
        last4 = getattr(row, row.key_field).last4
        key = gettext("key ····%(last4)s") % {"last4": last4} if last4 else ""
        if missing:
            labels = gettext("still missing or wrong: %(fields)s") % {"fields": ", ".join(missing)}
            return self._with_refunds(row, "trouble" if row.enabled else "off", _on(row.enabled), labels)
        remarks = services.remarks_of(row)
        parts = filter(None, (_on(row.enabled), _last_callback(row), key, *remarks))
        tone = "trouble" if remarks else "on" if row.enabled else "off"
        return self._with_refunds(row, tone, *parts)

    def _with_refunds(self, row: Any, tone: str, *parts: str) -> Status:
        """With the certificate: until when it is good, or why there are no refunds."""
        obstacle, expires = services.refund_readiness(row)
        if obstacle:
            filled_in = bool(self.card.certificate and getattr(row, self.card.certificate))
            return Status("trouble" if filled_in else tone, (*parts, obstacle))
        if expires is None:
            return Status(tone, parts)
        day = {"day": f"{expires.astimezone(BEIJING):%Y-%m-%d}"}
        if expires < clock.now():
            text = gettext("the certificate expired on %(day)s: download a new one and upload it") % day
            return Status("trouble", (*parts, text))
        if services.expires_soon(expires):
            text = gettext("the certificate expires on %(day)s: download a new one and upload it") % day
            return Status("trouble", (*parts, text))
        return Status(tone, (*parts, gettext("certificate good until %(day)s") % day))

    def _missing(self, row: GatewaySettings) -> list[str]:
        candidate = copy.copy(row)
        candidate.enabled = True
        names = {field.name: str(field.verbose_name) for field in row._meta.fields}
        return [names.get(field, field) for field in options.problems(candidate)]

    def page_context(self, row: Any) -> dict[str, Any]:
        recharge = RechargeSettings.load()
        path = f"/api/{row.gateway}/{GATEWAYS[row.gateway].payment_callbacks[0]}"
        facts = {"url": f"{recharge.typed_address}{path}", "pages": f"{recharge.typed_address}/"}
        steps = [str(step) % facts for step in (*self.card.steps, _REACHABLE)]
        return {"callback_address": recharge.address + path, "callback_shown": facts["url"], "help_steps": steps}

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        probe = _probe(row)
        if not probe.called:
            return probe
        ours = services.reach_ourselves()
        callbacks = {gettext("Callbacks"): f"{ours.message} {ours.hint}".rstrip()}
        return replace(probe, details={**probe.details, **callbacks})


_EVERY_GATEWAY = {
    "enabled": _("Shown on the recharge page. Only complete settings can be switched on."),
    "min_topup": _("The smallest recharge, in units."),
}
_REACHABLE = _("The server must be reachable from outside at this address, by HTTPS, without signing in.")


def _classes(card: SettingsCard, fields: Sequence[str]) -> Sequence[str]:
    """By which admin.css hides a card that the chosen version does not want."""
    only = card.only_for(fields)
    return [f"vh-only-{only}"] if only else []


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


def register(gateway: str) -> None:
    """Give a gateway's section its page."""
    admin.site.register(GatewaySettings.of(gateway), GatewayAdmin)


for _name in GATEWAYS:
    register(_name)
