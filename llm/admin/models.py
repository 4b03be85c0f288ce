"""Models: what they can do, what they cost in words of money, and the order in which the router would ask them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from voicehelper.admin.base import url_name
from voicehelper.admin.columns import column
from voicehelper.admin.effects import Price
from voicehelper.admin.filters import choice
from voicehelper.admin.forms import CardAdmin, CardForm

from ..models import Model, provider_choices
from . import words
from .fallbacks import FallbacksField, in_order, keep_order
from .live import Live, list_with
from .prices import PriceList, shown
from .routing import RoutingForm, candidates

# What can be counted in a measure, by the capability that is billed in it; tokens are counted for everything else.
_MEASURED_BY = {
    "image": (Model.Measure.IMAGE, Model.Measure.TOKENS),
    "speech_to_text": (Model.Measure.SECOND,),
    "text_to_speech": (Model.Measure.CHARACTERS,),
}


class ModelForm(CardForm):
    """A model; its capabilities as boxes, its fallbacks in order."""

    capabilities = forms.MultipleChoiceField(
        label=_("capabilities"),
        choices=lambda: list(words.CAPABILITIES.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("What it may be asked for. Function calls and pictures in a chat are not checked any further."),
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
        return cleaned

    def _save_m2m(self) -> None:
        # Fallbacks have an order, which Django's own way to save them would lose.
        if "fallbacks" in self.changed_data:
            keep_order(self.instance, self.cleaned_data["fallbacks"])


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
            words.CAPABILITIES.items,
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
        (_("Where it leads"), {"fields": ["provider", "provider_model_id", "credential", "max_tokens"]}),
        (_("What it costs"), {"fields": ["measure", "input_price", "output_price"]}),
        (_("Routing"), {"fields": ["cost_per_1k", "latency_ms", "quality"]}),
        (_("When it fails"), {"fields": ["fallbacks"]}),
    )
    placeholders = {
        "name": "doubao-pro",
        "provider_model_id": "ep-20241201140014-vbzjz",
        "input_price": _("the cost below"),
        "output_price": _("the cost below"),
    }
    help_texts = {
        "enabled": _("Switched off, it is not offered and cannot be asked for."),
        "name": _("What callers write as “model”."),
        "provider_model_id": _("Ark: a model id or an endpoint id (ep-…)."),
        "credential": _("Empty: any account of the provider that is on, in order of their making."),
        "max_tokens": _("The longest answer. Calls that want more go to other models."),
        "measure": _("What the price is for. Pictures, speech and recordings are not counted in tokens."),
        "input_price": _("Units for one measure of input; the group’s ratio multiplies it. Empty: the cost."),
        "output_price": _("Units for one measure of output. Empty: the cost."),
        "cost_per_1k": _(
            "What 1,000 tokens cost, in units. Priority “cheapest” takes the lowest."
            " It is also the price where none is set."
        ),
        "latency_ms": _(
            "Milliseconds to the first output, until 20 calls of the last minutes were measured."
            " Priority “fastest” takes the lowest."
        ),
        "quality": _("0 to 1, your judgement. Priority “best” takes the highest."),
    }

    # --- The list ----------------------------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return list_with("prices", PriceList.now)

    provider_name = column(_("provider"), lambda model: words.provider(model.provider))
    capability_labels = column(_("capabilities"), lambda model: words.capabilities(model.capabilities))

    @admin.display(description=_("quota, in / out"))
    def num_price(self, model: Any) -> SafeString:
        rates = " / ".join(shown(rate) for rate in model.prices.rates(model))
        return format_html('{}<br><span class="vh-muted">{}</span>', rates, model.get_measure_display())

    num_yuan = column(
        _("about"), lambda model: " / ".join(model.prices.yuan(rate) for rate in model.prices.rates(model))
    )
    num_routing = column(
        _("quality, latency"),
        lambda model: format_html(
            '{}<br><span class="vh-muted">{} ms</span>', f"{model.quality:.2f}", f"{model.latency_ms:,}"
        ),
    )

    # --- The form ----------------------------------------------------------------------------------------------------
    def problems(self, row: Any) -> Mapping[str, str]:
        found = dict(super().problems(row))
        if row.credential is not None and row.credential.provider != row.provider:
            found["credential"] = gettext("This account is at another provider than the model.")
        if not 0 <= (row.quality or 0) <= 1:
            found["quality"] = gettext("A number from 0 to 1, like 0.85.")
        measure = _measure_problem(row)
        if measure:
            found["measure"] = measure
        return found

    def prices_of(self, row: Any, other: Any) -> Mapping[str, Price]:
        return PriceList.now().by_label(row)

    def page_context(self, row: Model | None) -> dict[str, Any]:
        return {
            "title": row.name if row else gettext("New model"),
            "price_url": reverse(f"admin:{url_name(self, 'price')}"),
            "example": PriceList.now().example(row) if row else None,
            "router_url": reverse(f"admin:{url_name(self, 'router')}"),
        }

    def get_urls(self) -> list[URLPattern]:
        return [
            path("price/", self.admin_site.admin_view(self.price), name=url_name(self, "price")),
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
        example = PriceList.now().example(Model(**typed.cleaned_data)) if typed.is_valid() else None
        return TemplateResponse(request, "admin/llm/price.html", {"example": example})

    def router(self, request: HttpRequest) -> HttpResponse:
        """Who would be asked now, and why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = RoutingForm(
            request.GET if "capability" in request.GET else {"capability": "chat", "priority": "balanced"}
        )
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Router preview"),
            "opts": self.opts,
            "form": form,
            "candidates": candidates(Live.now(), form.asked_for()) if form.is_valid() else [],
        }
        return TemplateResponse(request, "admin/llm/router.html", context)


class _PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """The fields a price is made of."""

    class Meta:
        model = Model
        fields = ("measure", "input_price", "output_price", "cost_per_1k")


def _measure_problem(model: Model) -> str:
    """Why a price cannot be for this measure; empty when it can."""
    able = [name for name in words.CAPABILITIES if name in (model.capabilities or ())]
    counted = [measure for name in able for measure in _MEASURED_BY.get(name, (Model.Measure.TOKENS,))]
    if not able or model.measure in counted:
        return ""
    labels = " / ".join(str(measure.label) for measure in dict.fromkeys(counted))
    return gettext("What this model can do is counted per: %(measures)s.") % {"measures": labels}
