"""Who is asked, and in which order: the mission's formulas, worked out here by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.relay.catalogue import ModelSpec, Price, PriceTable
from llm.relay.router import ENOUGH, ModelHealth, Priority, RoutingRequest, affordable, route


def spec(name: str, cost: float = 0.1, latency: float = 300, quality: float = 0.9, **more: object) -> ModelSpec:
    made = ModelSpec(
        name=name,
        provider="ark",
        provider_model_id=name,
        capabilities=frozenset({"chat"}),
        max_tokens=4096,
        cost=cost,
        latency_ms=latency,
        quality=quality,
        prices=PriceTable.of([Price("input", Fraction(1, 1000)), Price("output", Fraction(1, 1000))]),
        credentials=(1,),
    )
    return replace(made, **more)  # type: ignore[arg-type]


PRO = spec("doubao-pro", 0.1, 300, 0.92, capabilities=frozenset({"chat", "function_call", "code_generation"}))
LITE = spec("doubao-lite", 0.05, 150, 0.85, max_tokens=2048)
EMBEDDING = spec("doubao-embedding", 0.02, 100, 0.90, max_tokens=512, capabilities=frozenset({"embedding"}))
DEAR = spec("dear", 2.0, 1500, 1.0)
ALL = {model.name: model for model in (PRO, LITE, EMBEDDING, DEAR)}
CHAT = frozenset({"chat"})


def names(asked_for: RoutingRequest, seen: dict[str, ModelHealth] | None = None) -> list[str]:
    return [model.name for model in route(ALL, seen or {}, asked_for)]


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        (Priority.COST, ["doubao-lite", "doubao-pro", "dear"]),
        (Priority.SPEED, ["doubao-lite", "doubao-pro", "dear"]),
        (Priority.QUALITY, ["dear", "doubao-pro", "doubao-lite"]),
        # 0.34 + 0.255 + 0.285 = 0.88; 0.368 + 0.21 + 0.27 = 0.848; 0.4 + 0 + 0 = 0.4
        (Priority.BALANCED, ["doubao-lite", "doubao-pro", "dear"]),
    ],
)
def test_the_order_follows_the_priority(priority: Priority, expected: list[str]) -> None:
    assert names(RoutingRequest(CHAT, priority=priority)) == expected


def test_what_a_model_cannot_do_it_is_not_asked_for() -> None:
    assert names(RoutingRequest(frozenset({"embedding"}))) == ["doubao-embedding"]
    assert names(RoutingRequest(frozenset({"chat", "function_call"}))) == ["doubao-pro"]
    assert names(RoutingRequest(frozenset({"image"}))) == []


def test_an_answer_must_fit() -> None:
    assert names(RoutingRequest(CHAT, 2048, Priority.COST)) == ["doubao-lite", "doubao-pro", "dear"]
    assert names(RoutingRequest(CHAT, 2049, Priority.COST)) == ["doubao-pro", "dear"]
    assert names(RoutingRequest(CHAT, 4097)) == []


def test_a_name_is_not_replaced() -> None:
    assert names(RoutingRequest(CHAT, names=("doubao-pro",))) == ["doubao-pro"]
    assert names(RoutingRequest(CHAT, names=("unknown",))) == []
    assert names(RoutingRequest(CHAT, names=("doubao-embedding",))) == []


def test_fallbacks_come_in_order_the_operators_last() -> None:
    assert names(RoutingRequest(CHAT, names=("dear", "doubao-pro", "dear"))) == ["dear", "doubao-pro"]
    models = ALL | {"dear": replace(DEAR, fallbacks=("doubao-lite", "unknown"))}
    asked_for = RoutingRequest(CHAT, names=("dear", "doubao-pro"))
    assert [model.name for model in route(models, {}, asked_for)] == ["dear", "doubao-pro", "doubao-lite"]


def test_a_provider_can_be_asked_for() -> None:
    models = ALL | {"gpt": spec("gpt", 0.0, 0, 1.0, provider="openai")}
    assert [model.name for model in route(models, {}, RoutingRequest(CHAT, provider="openai"))] == ["gpt"]


def test_what_was_measured_replaces_the_typical_latency() -> None:
    asked_for = RoutingRequest(CHAT, priority=Priority.SPEED)
    assert names(asked_for, {"doubao-lite": ModelHealth(ENOUGH - 1, 0, 900.0)})[0] == "doubao-lite"
    assert names(asked_for, {"doubao-lite": ModelHealth(ENOUGH, 0, 900.0)})[0] == "doubao-pro"
    assert names(asked_for, {"dear": ModelHealth(ENOUGH, 0, 10.0)})[0] == "dear"


def test_what_rests_or_mostly_fails_goes_last() -> None:
    asked_for = RoutingRequest(CHAT, priority=Priority.COST)
    assert names(asked_for, {"doubao-lite": ModelHealth(cooling_down=True)}) == ["doubao-pro", "dear", "doubao-lite"]
    assert names(asked_for, {"doubao-lite": ModelHealth(ENOUGH, ENOUGH // 2 + 1)})[-1] == "doubao-lite"
    assert names(asked_for, {"doubao-lite": ModelHealth(ENOUGH, ENOUGH // 2, 1.0)})[0] == "doubao-lite"
    assert names(RoutingRequest(CHAT, names=("dear", "doubao-pro")), {"dear": ModelHealth(cooling_down=True)}) == [
        "doubao-pro",
        "dear",
    ]


score = st.floats(0, 1, allow_nan=False)


@given(
    rows=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3000), score, st.integers(1, 8000)), max_size=8),
    priority=st.sampled_from(Priority),
    wanted=st.none() | st.integers(1, 8000),
)
def test_the_order_is_that_of_the_formula(
    rows: list[tuple[float, float, float, int]], priority: Priority, wanted: int | None
) -> None:
    models = {
        f"m{n}": spec(f"m{n}", cost, latency, quality, max_tokens=most)
        for n, (cost, latency, quality, most) in enumerate(rows)
    }
    found = route(models, {}, RoutingRequest(CHAT, wanted, priority))
    assert {model.name for model in found} == {n for n, m in models.items() if wanted is None or m.max_tokens >= wanted}

    def worth(model: ModelSpec) -> float:
        match priority:
            case Priority.COST:
                return -model.cost
            case Priority.SPEED:
                return -model.latency_ms
            case Priority.QUALITY:
                return model.quality
        cheap, quick = max(0.0, 1 - model.cost), max(0.0, 1 - model.latency_ms / 1000)
        return 0.4 * model.quality + 0.3 * quick + 0.3 * cheap

    worths = [worth(model) for model in found]
    assert worths == sorted(worths, reverse=True)


def test_a_dearer_model_than_allowed_is_not_asked_whatever_its_score() -> None:
    def priced(name: str, price: Fraction, **more: object) -> ModelSpec:
        return spec(name, prices=PriceTable.of([Price("input", price), Price("output", price)]), **more)

    cheap, dear = priced("cheap", Fraction(1), quality=0.1), priced("dear", Fraction(25), quality=1.0)
    models = {each.name: each for each in (cheap, dear, priced("edge", Fraction(5)), priced("free", Fraction(0)))}

    def chosen(times: int | None, names: tuple[str, ...] = ()) -> set[str]:
        asked_for = RoutingRequest(CHAT, priority=Priority.QUALITY, times=times, names=names)
        return {each.name for each in route(models, {}, asked_for)}

    assert chosen(None) == {"cheap", "dear", "edge", "free"}
    assert chosen(5) == {"cheap", "edge", "free"}
    assert chosen(1) == {"cheap", "free"}
    assert chosen(1, ("dear",)) == {"dear"}
    # Nobody is left out for costing nothing.
    assert {each.name for each in affordable([priced("free", Fraction(0))], 5)} == {"free"}
