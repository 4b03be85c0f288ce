"""Which models would be asked now, in which order, and why: the router itself, run on the present numbers."""

from dataclasses import dataclass

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from ..capability_names import CAPABILITY_NAMES
from ..models import provider_choices
from ..relay.catalogue import ModelSpec
from ..relay.router import ENOUGH, ModelHealth, Priority, RoutingRequest, balanced, goes_last, latency_ms, route
from . import words
from .live import Live, calls_text


class RoutingForm(forms.Form):
    """What a call asks for."""

    capability = forms.ChoiceField(
        label=gettext_lazy("Capability"),
        choices=lambda: list(CAPABILITY_NAMES.items()),
        widget=UnfoldAdminSelectWidget,
    )
    priority = forms.ChoiceField(
        label=gettext_lazy("Priority"), choices=lambda: list(words.PRIORITIES.items()), widget=UnfoldAdminSelectWidget
    )
    max_tokens = forms.IntegerField(
        label=gettext_lazy("Tokens wanted"), required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget
    )
    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"),
        required=False,
        choices=lambda: [("", gettext_lazy("Any")), *provider_choices()],
        widget=UnfoldAdminSelectWidget,
    )

    def asked_for(self) -> RoutingRequest:
        typed = self.cleaned_data
        needs = frozenset({typed["capability"]})
        return RoutingRequest(needs, typed["max_tokens"], Priority(typed["priority"]), provider=typed["provider"])


@dataclass(frozen=True)
class RankedModel:
    """A model in its place. `score` is what the priority looks at; `latency_note` says where the latency is from."""

    place: int
    name: str
    provider: str
    score: str
    quality: str
    latency: str
    latency_note: str
    cost: str
    lately: str
    last_because: str


def candidates(live: Live, asked_for: RoutingRequest) -> list[RankedModel]:
    """The router's answer, the first asked first."""
    chosen = route(live.catalogue.models, live.seen, asked_for)
    return [_candidate(place, model, live.seen[model.name], asked_for) for place, model in enumerate(chosen, 1)]


def _candidate(place: int, model: ModelSpec, seen: ModelHealth, asked_for: RoutingRequest) -> RankedModel:
    latency = latency_ms(model, seen)
    measured = seen.calls - seen.failures >= ENOUGH
    return RankedModel(
        place=place,
        name=model.name,
        provider=words.provider(model.provider),
        score=_score(model, latency, asked_for.priority),
        quality=f"{model.quality:g}",
        latency=f"{latency:,.0f} ms",
        latency_note=_("measured") if measured else _("typical"),
        cost=f"{model.cost:g}",
        lately=calls_text(seen.calls, seen.failures),
        last_because=_why_last(seen),
    )


def _score(model: ModelSpec, latency: float, priority: Priority) -> str:
    if priority == Priority.BALANCED:
        return f"{balanced(model, latency):.3f}"
    return {
        Priority.COST: f"{model.cost:g}",
        Priority.SPEED: f"{latency:,.0f} ms",
        Priority.QUALITY: f"{model.quality:g}",
    }[priority]


def _why_last(seen: ModelHealth) -> str:
    if not goes_last(seen):
        return ""
    if seen.cooling_down:
        return _("all its accounts rest")
    return _("failed more often than it answered")
