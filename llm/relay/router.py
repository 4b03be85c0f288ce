"""Which models may answer, in which order: a pure function of what is on offer and what has been seen lately.

Scores: cost (cheapest first), speed (lowest latency first), quality (highest first), and
balanced = 0.4·quality + 0.3·max(0, 1 - latency/1000) + 0.3·max(0, 1 - cost). Latency is the model's typical one until
`ENOUGH` calls were measured lately, and their mean from then on. A model that cools down, or that failed more often
than it answered, goes last whatever its score. A request may say how many times as dear as the cheapest that fits a
model may be: dearer ones are not asked, whatever their score and whoever failed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from .catalogue import ModelSpec, fits

# So many recent calls outweigh what the operator typed.
ENOUGH = 20


class Priority(StrEnum):
    COST = "cost"
    SPEED = "speed"
    QUALITY = "quality"
    BALANCED = "balanced"


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """A model's last minutes: calls, those that failed, the mean latency of the others, tokens; `cooling_down`: all its
    accounts cool down."""

    calls: int = 0
    failures: int = 0
    latency_ms: float = 0.0
    tokens: int = 0
    cooling_down: bool = False


class RoutingRequest(NamedTuple):
    """What a call needs. With `names`, only those, in that order; else the best by `priority`. Of all of them only what
    is `allowed` (names and wildcards; none: all). Of those that are not named, none that costs more than so many
    `times` what the cheapest does."""

    needs: frozenset[str]
    max_tokens: int | None = None
    priority: Priority = Priority.BALANCED
    names: tuple[str, ...] = ()
    provider: str = ""
    allowed: tuple[str, ...] = ()
    times: int | None = None


def route(
    models: Mapping[str, ModelSpec], seen: Mapping[str, ModelHealth], asked_for: RoutingRequest
) -> tuple[ModelSpec, ...]:
    """The candidates, best first; empty when nothing fits. A model asked for by name is replaced by its own fallbacks
    only."""
    found = [model for model in _asked_for(models, asked_for) if _fits(model, asked_for)]
    if not asked_for.names:
        if asked_for.times is not None:
            found = affordable(found, asked_for.times)
        score = _SCORES[asked_for.priority]
        found.sort(key=lambda each: (score(each, latency_ms(each, seen.get(each.name))), -each.quality, each.name))
    found.sort(key=lambda model: goes_last(seen.get(model.name)))
    return tuple(found)


def _asked_for(models: Mapping[str, ModelSpec], asked_for: RoutingRequest) -> Iterable[ModelSpec]:
    if not asked_for.names:
        return models.values()
    names: dict[str, None] = dict.fromkeys(asked_for.names)
    # The operator's fallbacks stand behind everything the caller named.
    for name in asked_for.names:
        if name in models:
            names.update(dict.fromkeys(models[name].fallbacks))
    return [models[name] for name in names if name in models]


def _fits(model: ModelSpec, asked_for: RoutingRequest) -> bool:
    return (
        asked_for.needs <= model.capabilities
        # The limit is lowered for a model that was asked for by name.
        and (bool(asked_for.names) or asked_for.max_tokens is None or asked_for.max_tokens <= model.max_tokens)
        and asked_for.provider in ("", model.provider)
        and (not asked_for.allowed or fits(model.name, asked_for.allowed))
    )


def affordable(models: Iterable[ModelSpec], times: int) -> list[ModelSpec]:
    """Those that cost at most so many times what the cheapest does that is not free, for as much output as input."""
    priced = [(model, sum(model.prices.per_measure)) for model in models]
    most = times * min((price for _model, price in priced if price), default=Fraction(0))
    return [model for model, price in priced if price <= most]


def latency_ms(model: ModelSpec, seen: ModelHealth | None) -> float:
    """The measured mean after enough calls, else the typical one."""
    measured = seen is not None and seen.calls - seen.failures >= ENOUGH
    return seen.latency_ms if seen is not None and measured else model.latency_ms


def goes_last(seen: ModelHealth | None) -> bool:
    """Whether a model is tried only when every other one failed."""
    return seen is not None and (seen.cooling_down or (seen.calls >= ENOUGH and 2 * seen.failures > seen.calls))


def balanced(model: ModelSpec, latency: float) -> float:
    """The mission's formula; higher is better."""
    return 0.4 * model.quality + 0.3 * max(0.0, 1 - latency / 1000) + 0.3 * max(0.0, 1 - model.cost)


# Lower is better.
_SCORES: dict[Priority, Callable[[ModelSpec, float], float]] = {
    Priority.COST: lambda model, latency: model.cost,
    Priority.SPEED: lambda model, latency: latency,
    Priority.QUALITY: lambda model, latency: -model.quality,
    Priority.BALANCED: lambda model, latency: -balanced(model, latency),
}
