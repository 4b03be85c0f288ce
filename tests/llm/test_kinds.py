"""Usage by kind, without a call: what reports say, what that costs to the last quota, and what is held for it."""

from fractions import Fraction
from typing import Any

import pytest

from llm.providers.chat_events import ChatEvents
from llm.providers.events import Event
from llm.providers.usage import image_tokens, tokens_of
from llm.relay.billing import Amount, ceiling, charge, cost, tariff_for
from llm.relay.catalogue import Catalogue, Price, PriceTable, Pricing
from llm.relay.estimates import Calibration
from llm.relay.operations import CHAT, IMAGES, text_of
from llm.relay.questions import Question

from ..vectors import load
from .test_router import spec

VECTORS = load("usage/usage")["vectors"]


def table(rows: list[dict[str, Any]], factors: dict[str, Fraction] | None = None) -> PriceTable:
    return PriceTable.of(
        [Price(row["kind"], Fraction(row["price"]) / row["per"], None, row["from_tokens"]) for row in rows], factors
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_report_is_read_by_its_shape_and_charged_exactly(vector: dict[str, Any]) -> None:
    if vector["provider"] == "openai-images":
        report = image_tokens(vector["usage"])
    else:
        beside = {name: vector.get(name) for name in ("service_tier", "tool_usage")}
        report = tokens_of(vector["usage"], **beside)
    assert report is not None
    assert report.kinds == vector["kinds"]
    given = vector["table"]
    factors = {vector["service_tier"]: Fraction(given["factor"])} if "service_tier" in vector else {}
    model = spec("m", prices=table(given["prices"], factors))
    catalogue = Catalogue({}, {}, Pricing(given["quota_per_unit"], {"default": Fraction(given["ratio"])}))
    used = Amount(report.kinds, report.service_tier)
    price = tariff_for(catalogue, model, "default", used)
    exact = Fraction(sum(number * price.rates.get(kind, 0) for kind, number in used.kinds.items()), price.divisor)
    assert charge(price, used) == vector["charge"]
    assert exact == Fraction(vector["exact"])


@pytest.mark.parametrize(
    ("usage", "kinds"),
    [
        ({"prompt_tokens": 1, "completion_tokens": True}, None),
        ({"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}}, None),
        ({"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 10**9}, None),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}, None),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}, {"input": 9, "output": 2}),
        # xAI: the total says that reasoning stands beside the output.
        (
            {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 800}
            | {"completion_tokens_details": {"reasoning_tokens": 690}},
            {"input": 100, "output": 700},
        ),
        # Inside: not added again.
        (
            {"prompt_tokens": 100, "completion_tokens": 700, "total_tokens": 800}
            | {"completion_tokens_details": {"reasoning_tokens": 690}},
            {"input": 100, "output": 700},
        ),
    ],
)
def test_Q_M7_reasoning_is_counted_once_and_nonsense_is_no_report(usage: dict[str, Any], kinds: Any) -> None:
    found = tokens_of(usage)
    assert (found.kinds if found else None) == kinds


def test_Q_M10_a_thought_under_two_names_is_one_thought() -> None:
    for delta in ({"reasoning": "hm", "reasoning_content": "hm", "content": ""}, {"reasoning": "hm"}):
        event = Event(b"", b"", {"choices": [{"delta": delta}]})
        (chunk,) = ChatEvents(1, None, hide_usage=True).read(event, more=False)
        assert (chunk.output, chunk.text) == (True, "hm")
    assert text_of({"content": "x", "reasoning": "hm", "reasoning_content": "hm"}) == "xhm"


# --- Holds -----------------------------------------------------------------------------------------------------------
DEAR = PriceTable.of(
    [
        *(Price(kind, Fraction(each)) for kind, each in (("input", 1), ("cache_write", 2), ("cache_write_long", 3))),
        *(Price(kind, Fraction(each)) for kind, each in (("input_image", 7), ("output", 10), ("output_audio", 20))),
        Price("web_search", Fraction(1000)),
        Price("input", Fraction(5), None, 100_000),
    ],
    {"priority": Fraction(2), "flex": Fraction(1, 2)},
)
PLAIN = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 10}
MARKED = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
LONG = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
PICTURE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


@pytest.mark.parametrize(
    ("more", "weight", "held"),
    [
        ({}, 100.0, 115 + 100),
        ({"n": 3}, 100.0, 115 + 300),
        ({"max_tokens": 999_999}, 100.0, 115 + 40960),
        ({"messages": [{"role": "user", "content": MARKED}]}, 100.0, 2 * 115 + 100),
        ({"messages": [{"role": "user", "content": LONG}]}, 100.0, 3 * 115 + 100),
        ({"messages": [{"role": "user", "content": PICTURE}]}, 100.0, 7 * 115 + 100),
        ({"modalities": ["text", "audio"]}, 100.0, 115 + 200),
        ({"web_search_options": {}}, 100.0, 115 + 100 + 10_000),
        ({"service_tier": "priority"}, 100.0, 2 * (115 + 100)),
        ({"service_tier": "auto"}, 100.0, 2 * (115 + 100)),
        ({"service_tier": "flex"}, 100.0, 108),
        # Within 15 % below the limit the dear tier may come to count.
        ({}, 70_000.0, 80_500 + 100),
        ({}, 80_000.0, 5 * 92_000 + 100),
    ],
)
def test_the_hold_is_the_most_that_the_call_could_cost(more: dict[str, Any], weight: float, held: int) -> None:
    model = spec("m", provider="claude", prices=DEAR)
    most = CHAT.most(Question({**PLAIN, **more}, weight), model, Calibration())
    assert abs(ceiling(Catalogue({}, {}, Pricing(1, {})), model, "default", most) - held) <= 5


def test_what_is_asked_for_is_what_is_held_for() -> None:
    model = spec("m", provider="ark", max_tokens=1500)
    for body in ({}, {"max_tokens": 9}, {"max_completion_tokens": 9999, "max_tokens": 9}):
        question = Question({"messages": [], **body})
        sent = question.to_chat(model)
        asked = max(sent.get("max_tokens", 0), sent.get("max_completion_tokens", 0))
        assert asked == CHAT.most(question, model, Calibration()).output <= 1500


def test_a_cost_is_known_of_all_kinds_or_not_at_all() -> None:
    rows = [Price("input", Fraction(2), Fraction(1)), Price("output", Fraction(2)), Price("image", Fraction(1), None)]
    model, catalogue = spec("m", prices=PriceTable.of(rows)), Catalogue({}, {}, Pricing(1, {"default": Fraction(3)}))
    for kinds, known in (({"input": 5}, 5), ({"input": 5, "output": 1}, None), ({"cache_read": 4}, 4), ({}, 0)):
        used = Amount(kinds)
        assert cost(tariff_for(catalogue, model, "default", used), used) == known


def test_pictures_counted_in_tokens_are_held_for_in_tokens() -> None:
    rows = [Price("input", Fraction(1)), Price("output_image", Fraction(2))]
    model = spec("m", provider="openai", prices=PriceTable.of(rows))
    most = IMAGES.most(Question({"prompt": "a cat", "n": 2}), model, Calibration())
    assert (most.output, most.output_kinds) == (2 * 4096, ("output_image",))
