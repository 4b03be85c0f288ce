"""Models: what they can do, what they cost in words of money, and the order in which the router would ask them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from voicehelper.admin.base import url_name
from voicehelper.admin.columns import column
from voicehelper.admin.effects import ShownPrice
from voicehelper.admin.filters import choice
from voicehelper.admin.forms import CardAdmin, CardForm
from voicehelper.changes import Change
from voicehelper.price_changes import NotTakenBack

from .. import prices
from ..capability_names import CAPABILITY_NAMES
from ..kind_names import KIND_NAMES, name_of
from ..models import Model, provider_choices
from ..providers import PROVIDERS
from ..relay.catalogue import RESPONSES_ONLY
from . import comparing, words
from .fallbacks import FallbacksField, in_order, keep_order
from .live import Live, list_with
from .price_rows import FactorsField, PricesField
from .prices import PriceList, shown
from .routing import RoutingForm, candidates

# The kinds one of which must have a price, by the capability that is billed in it; for everything else, input.
_COUNTED_IN = {"image": ("image", "input"), "speech_to_text": ("second",), "text_to_speech": ("character",)}
# A new model's rows to begin with.
_BEGIN = [("input", "", "", "", "", ""), ("output", "", "", "", "", "")]


class ModelForm(CardForm):
    """A model; its capabilities as boxes, its prices in rows, its fallbacks in order."""

    capabilities = forms.MultipleChoiceField(
        label=_("capabilities"),
        choices=lambda: list(CAPABILITY_NAMES.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("What it may be asked for. Function calls and pictures in a chat are not checked any further."),
    )
    price_rows = PricesField(
        label=_("prices"),
        help_text=_(
            "In units; the group’s ratio multiplies them. A kind without a row costs what input or output does, web"
            " searches without one are refused. The dear price above a limit is that of every token of the request."
            " Your own cost beside it makes the margin."
        ),
    )
    tier_factors = FactorsField(
        label=_("service tiers"),
        help_text=_("What a tier that the provider says has served multiplies all prices by: flex 0.5, priority 2."),
    )
    fallbacks = FallbacksField(
        label=_("fallbacks"),
        help_text=_("Asked in this order when it fails. None: a caller who names this model gets it or an error."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "fallbacks" in self.fields:
            others = Model.objects.exclude(pk=self.instance.pk).order_by("name")
            self.fields["fallbacks"].offer(list(others))  # type: ignore[attr-defined]  # a FallbacksField
            self.initial["fallbacks"] = in_order(self.instance) if self.instance.pk else []
        stored = self.instance.pk is not None
        self._priced = (prices.rows_of(self.instance), prices.factors_of(self.instance)) if stored else ([], {})
        self.initial["price_rows"] = self._priced[0] if stored else _BEGIN
        self.initial["tier_factors"] = self._priced[1]

    def what_changed(self) -> list[Change]:
        return super().what_changed() + prices.changes(self._priced, self._prices_now())

    def prices_changed(self) -> bool:
        return super().prices_changed() or self._prices_now() != self._priced

    def _prices_now(self) -> tuple[Any, Any]:
        typed = self.cleaned_data
        return typed.get("price_rows", self._priced[0]), typed.get("tier_factors", self._priced[1])

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if not name.isprintable() or " " in name:
            raise forms.ValidationError(_("Callers write this name into a request: no spaces."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        able = set(cleaned.get("capabilities", ()))
        strangers = [other.name for other in cleaned.get("fallbacks", ()) if not able & set(other.capabilities)]
        if able and strangers:
            text = gettext("%(names)s can do nothing that this model can.") % {"names": ", ".join(strangers)}
            self.add_error("fallbacks", text)
        # For the admin, which says what they mean before they are saved.
        self.instance.typed_prices = self._prices_now()
        if "price_rows" in cleaned and (lacking := _unpriced(able, {row.kind for row in cleaned["price_rows"]})):
            self.add_error("price_rows", lacking)
        return cleaned

    def _save_m2m(self) -> None:
        # Fallbacks have an order, which Django's own way to save them would lose.
        if "fallbacks" in self.changed_data:
            keep_order(self.instance, self.cleaned_data["fallbacks"])
        if {"price_rows", "tier_factors"} & set(self.changed_data):
            prices.keep(self.instance, *self._prices_now())


@admin.register(Model)
class ModelAdmin(CardAdmin):
    form = ModelForm
    change_form_template = "admin/llm/model.html"
    change_list_template = "admin/llm/model_list.html"
    list_display = ("name", "provider_name", "capability_labels", "num_price", "num_yuan", "num_routing", "enabled")
    list_editable = ("enabled",)
    list_filter = (
        choice(_("provider"), "provider", provider_choices),
        choice(
            _("capability"),
            "capability",
            CAPABILITY_NAMES.items,
            lambda rows, name: rows.filter(capabilities__contains=[name]),
        ),
    )
    list_filter_sheet = True
    list_select_related = ("credential",)
    search_fields = ("name", "provider_model_id")
    ordering = ("provider", "name")
    sortable_by = ("name",)
    list_per_page = 100
    actions: Any = None
    purpose = _("A name callers may ask for, where it leads, what it can do and what it costs.")
    password_help = _("Only needed when you change a price.")
    save_label = _("Save")
    delete_link = True
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ["enabled", "name", "capabilities"]}),
        (_("Where it leads"), {"fields": ["provider", "provider_model_id", "credential", "responses_api"]}),
        (_("How much it can"), {"fields": ["max_tokens", "context_tokens"]}),
        (_("What it costs"), {"fields": ["price_rows", "tier_factors"]}),
        (_("Routing"), {"fields": ["cost_per_1k", "latency_ms", "quality"]}),
        (_("When it fails"), {"fields": ["patience_s", "fallbacks"]}),
    )
    placeholders = {
        "name": "doubao-pro",
        "provider_model_id": "ep-20241201140014-vbzjz",
        "patience_s": "900",
    }
    help_texts = {
        "enabled": _("Switched off, it is not offered and cannot be asked for."),
        "name": _("What callers write as “model”."),
        "provider_model_id": _("Ark: a model id or an endpoint id (ep-…)."),
        "responses_api": _(
            "“Only that” for models that refuse chat (gpt-5-codex, o3-pro): a chat is put to them as Responses."
            " “Never” for models that refuse /responses though their account has it."
        ),
        "credential": _("Empty: any account of the provider that is on and serves it, by priority and weight."),
        "max_tokens": _("The longest answer. Who asks for more by this name gets as much as this."),
        "cost_per_1k": _("What 1,000 tokens cost, in units. Priority “cheapest” takes the lowest."),
        "latency_ms": _(
            "Milliseconds to the first output, until 20 calls of the last minutes were measured."
            " Priority “fastest” takes the lowest."
        ),
        "quality": _("0 to 1, your judgement. Priority “best” takes the highest."),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("prices", "factors")

    # --- The list ----------------------------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return list_with("price_list", PriceList.now)

    provider_name = column(_("provider"), lambda model: words.provider(model.provider))
    capability_labels = column(_("capabilities"), lambda model: words.capabilities(model.capabilities))

    @admin.display(description=_("quota, in / out"))
    def num_price(self, model: Any) -> SafeString:
        rates = " / ".join(shown(rate) for rate in model.price_list.rates(model))
        measure = Model.Measure(prices.spec_of_model(model).prices.measure).label
        return format_html('{}<br><span class="vh-muted">{}</span>', rates, measure)

    num_yuan = column(
        _("about"), lambda model: " / ".join(model.price_list.yuan(rate) for rate in model.price_list.rates(model))
    )
    num_routing = column(
        _("quality, latency"),
        lambda model: format_html(
            '{}<br><span class="vh-muted">{} ms</span>', f"{model.quality:.2f}", f"{model.latency_ms:,}"
        ),
    )

    # For those who may only look.
    price_rows = column(_("prices"), lambda model: _lines(prices.rows_of(model)))
    tier_factors = column(
        _("service tiers"),
        lambda model: ", ".join(f"{tier} × {factor:f}" for tier, factor in prices.factors_of(model).items()) or "—",
    )

    # --- The form ----------------------------------------------------------------------------------------------------
    def problems(self, row: Any) -> Mapping[str, str]:
        found = dict(super().problems(row))
        if row.credential is not None and row.credential.provider != row.provider:
            found["credential"] = gettext("This account is at another provider than the model.")
        if row.responses_api == RESPONSES_ONLY and not PROVIDERS[row.provider].may_answer_responses:
            found["responses_api"] = gettext("This provider has no Responses API.")
        if not 0 <= (row.quality or 0) <= 1:
            found["quality"] = gettext("A number from 0 to 1, like 0.85.")
        return found

    def prices_of(self, row: Any, other: Any) -> Mapping[str, ShownPrice]:
        rows, factors = getattr(row, "typed_prices", None) or (prices.rows_of(row), prices.factors_of(row))
        return PriceList.now().by_label(prices.spec_with(row, rows, factors))

    def price_change(self, name: str, line: str, old: Any, new: Any) -> Change:
        read = prices.change_of if name in prices.CHANGED else super().price_change
        return read(name, line, old, new)

    def put_rows_back(self, row: Model, replaced: Sequence[Change]) -> Sequence[Change]:
        found = prices.put_back(row, replaced)
        if lacking := _unpriced(set(row.capabilities), {each.kind for each in prices.rows_of(row)}):
            raise NotTakenBack(lacking)
        return found

    def page_context(self, row: Model | None) -> dict[str, Any]:
        return {
            "title": row.name if row else gettext("New model"),
            "price_url": reverse(f"admin:{url_name(self, 'price')}"),
            "example": PriceList.now().example(prices.spec_of_model(row)) if row else None,
            "router_url": reverse(f"admin:{url_name(self, 'router')}"),
        }

    def get_urls(self) -> list[URLPattern]:
        return [
            path("price/", self.admin_site.admin_view(self.price), name=url_name(self, "price")),
            path("compare/", self.admin_site.admin_view(self.compare), name=url_name(self, "compare")),
            path("router/", self.admin_site.admin_view(self.router), name=url_name(self, "router")),
            *super().get_urls(),
        ]

    def price(self, request: HttpRequest) -> HttpResponse:
        """What a call would cost with the prices typed so far; nothing is stored."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_change_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        typed = _PriceForm(request.POST)
        rows = typed.cleaned_data["price_rows"] if typed.is_valid() else []
        example = PriceList.now().example(prices.spec_with(Model(), rows, {})) if rows else None
        return TemplateResponse(request, "admin/llm/price.html", {"example": example})

    def compare(self, request: HttpRequest) -> HttpResponse:
        """What the price list would change."""
        return comparing.page(request, self)

    def router(self, request: HttpRequest) -> HttpResponse:
        """Who would be asked now, and why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = RoutingForm(
            request.GET if "capability" in request.GET else {"capability": "chat", "priority": "balanced"}
        )
        context = {
            "title": gettext("Router preview"),
            "form": form,
            "candidates": candidates(Live.now(), form.asked_for()) if form.is_valid() else [],
        }
        return self.page(request, "admin/llm/router.html", context)


class _PriceForm(forms.Form):
    """The rows a price is made of."""

    price_rows = PricesField()


def _lines(rows: Sequence[prices.PriceRow]) -> SafeString:
    lines = ((name_of(row.kind, row.variant, row.from_tokens), prices.shown(row)) for row in rows)
    return format_html_join(mark_safe("<br>"), "{}: {}", lines)


def _unpriced(able: set[str], priced: set[str]) -> str:
    """Why a model with these capabilities cannot be sold at these prices; empty when it can."""
    for capability in CAPABILITY_NAMES:
        wanted = _COUNTED_IN.get(capability, ("input",))
        if capability in able and not priced & set(wanted):
            facts = {
                "capability": CAPABILITY_NAMES[capability],
                "kinds": " / ".join(str(KIND_NAMES[k]) for k in wanted),
            }
            return gettext("%(capability)s needs a price for: %(kinds)s.") % facts
    return ""
