"""Each kind of token at its own price: real calls, what is refused for want of a price, and the rows themselves."""

import importlib
import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from aiohttp import web
from django.db import connection

from llm import prices
from llm.models import Credential, Model, ModelPrice, Usage
from llm.relay.engine import engine
from llm.relay.snapshot import prices_of_columns
from llm.relay.statistics import Statistics
from llm.seeds import plant
from notifications.models import Alert

from .conftest import ASK, STREAM, World, account
from .upstream import chat, completion, says, tokens

CHAT_PATH, IMAGES_PATH = "/v1/chat/completions", "/v1/images/generations"


# --- Real calls ------------------------------------------------------------------------------------------------------
UNIT = 500_000
CACHED = [("input", "3"), ("cache_read", "0.3"), ("cache_write", "3.75"), ("cache_write_long", "6"), ("output", "15")]


def priced(name: str, *rows: tuple[Any, ...], cost: str | None = None) -> Model:
    """Rows: kind, price per million (of pictures and searches: per one), and a picture's variant."""
    model = Model.objects.get(name=name)
    prices.keep(
        model,
        [
            prices.PriceRow(
                row[0],
                Decimal(row[1]),
                1 if row[0] in ("image", "web_search") else 1_000_000,
                Decimal(cost) if cost else None,
                0,
                *row[2:],
            )
            for row in rows
        ],
        {},
    )
    return model


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("streamed", [False, True])
def test_Q_M5_a_session_of_twenty_turns_pays_for_its_cache_by_kind(
    world: World, books_agree: Callable[[], None], streamed: bool
) -> None:
    """What was read costs a tenth, what was written a quarter more, and for an hour twice as much."""
    world.give(100_000_000)
    Credential.objects.update(provider="claude", base_url=world.upstream.url.removesuffix("/v1"))
    priced("claude-3-sonnet", *CACHED)
    reports, cached = [], 0
    for turn in range(20):
        written, long = 900 + turn, 100 if turn % 2 else 0
        split = {"ephemeral_5m_input_tokens": written - long, "ephemeral_1h_input_tokens": long}
        report = {"input_tokens": 7, "cache_read_input_tokens": cached, "cache_creation_input_tokens": written}
        reports.append(report | {"cache_creation": split, "output_tokens": 333})
        cached += written
    world.upstream.scripts = [(_streamed if streamed else _whole)(report) for report in reports]
    content = [{"type": "text", "text": "again", "cache_control": {"type": "ephemeral"}}]
    body = {"model": "claude-3-sonnet", "messages": [{"role": "user", "content": content}], "max_tokens": 500}

    async def scenario(w: World) -> None:
        for _ in reports:
            assert (await w.client.post(CHAT_PATH, body | {"stream": streamed})).status == 200

    world.play(scenario)
    assert all("cache_control" in asked.body["messages"][0]["content"][0] for asked in world.upstream.asked)
    rows = list(Usage.objects.order_by("pk"))
    assert [row.quota for row in rows] == [_charge(report) for report in reports]
    assert rows[-1].input_tokens == 7 + reports[-1]["cache_read_input_tokens"] + 919
    assert rows[-1].kinds == {
        "cache_read": reports[-1]["cache_read_input_tokens"],
        "cache_write": 819,
        "cache_write_long": 100,
    }
    books_agree()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("streamed", [False, True])
def test_Q_M5_twenty_turns_of_a_claude_session_pay_what_claude_reports(
    claude: World, books_agree: Callable[[], None], streamed: bool
) -> None:
    """As Claude's own clients have them: everything is sent again each turn, with a mark on the system's words, for an
    hour, and one on the newest turn. Marks arrive as they were set, and what is charged is the sum over the kinds."""
    priced("claude", *CACHED)
    before = claude.wallet.balance
    mark = {"type": "ephemeral"}
    system = [{"type": "text", "text": "Be brief.", "cache_control": mark | {"ttl": "1h"}}]
    reports = [_report(turn) for turn in range(20)]
    claude.upstream.scripts = [(_streamed if streamed else _whole)(report) for report in reports]
    sent: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []

    async def scenario(w: World) -> None:
        for turn in range(20):
            words = {"type": "text", "text": f"question {turn}"}
            marked = {"role": "user", "content": [words | {"cache_control": mark}]}
            sent.append({"model": "claude", "max_tokens": 500, "system": system, "messages": [*turns, marked]})
            answer = await w.client.post("/v1/messages", sent[-1] | {"stream": streamed})
            assert answer.status == 200, answer.body
            turns.extend([{"role": "user", "content": [words]}, {"role": "assistant", "content": "Hello"}])

    claude.play(scenario)
    for given, asked in zip(sent, claude.upstream.asked, strict=True):
        assert asked.body == given | {"model": "claude-x", "stream": streamed}
    expected = [_charge(report) for report in reports]
    assert list(Usage.objects.order_by("pk").values_list("quota", flat=True)) == expected
    assert claude.wallet.balance == before - sum(expected)
    # 9 + 750 + 6000 + 4995 and 9 + 1491.3 + 821.25 + 4995 millionths of a unit; a unit is 500,000.
    assert (expected[0], expected[19]) == (5877, 3659)
    books_agree()


def _report(turn: int) -> dict[str, Any]:
    """The first turn writes the system's 1,000 tokens for an hour; each reads all before it and writes its own 200."""
    long, short = (0 if turn else 1000), 200 + turn
    read = sum(200 + earlier for earlier in range(turn)) + (1000 if turn else 0)
    return {
        "input_tokens": 3,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": 333,
    }


def _charge(report: dict[str, Any]) -> int:
    """The rule of docs/decisions.md: the exact sum of the kinds, rounded up once."""
    split = report["cache_creation"]
    money = 3 * Fraction(report["input_tokens"]) + Fraction("0.3") * report["cache_read_input_tokens"]
    money += Fraction("3.75") * split["ephemeral_5m_input_tokens"] + 6 * split["ephemeral_1h_input_tokens"]
    return math.ceil(UNIT * (money + 15 * report["output_tokens"]) / 1_000_000)


def _message(usage: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "text", "text": "Hello"}]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return head | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def _whole(usage: dict[str, Any]) -> Any:
    return says(_message(usage))


def _streamed(usage: dict[str, Any]) -> Any:
    """The breakdown comes in the beginning only, the output in the end."""
    events = [
        {"type": "message_start", "message": {**_message(usage | {"output_tokens": 1}), "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 0, "output_tokens": 333},
        },
        {"type": "message_stop"},
    ]

    async def answer(asked: Any) -> Any:
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return web.Response(text=text, content_type="text/event-stream")

    return answer


PICTURES = {"model": "dall-e-3", "prompt": "a cat"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT_PATH, {**ASK, "service_tier": "priority"}, "service_tier"),
    (CHAT_PATH, {**STREAM, "service_tier": "turbo"}, "service_tier"),
    (CHAT_PATH, {**ASK, "web_search_options": {}}, "web_search_options"),
    (CHAT_PATH, {**ASK, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
    (IMAGES_PATH, {**PICTURES, "quality": "hd"}, "quality"),
    (IMAGES_PATH, {**PICTURES, "size": "1792x1024"}, "size"),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "body", "param"), REFUSED, ids=lambda value: str(value)[-40:])
def test_Q_M6_what_costs_more_and_has_no_price_is_refused_by_name(
    world: World, books_agree: Callable[[], None], path: str, body: dict[str, Any], param: str
) -> None:
    world.give(10_000_000)
    account(world, "openai", provider="openai")
    priced("dall-e-3", ("image", "0.04"))
    answer = world.play(lambda w: w.client.post(path, body))
    assert (answer.status, answer.json["error"]["code"], answer.json["error"]["param"]) == (400, "no_price", param)
    assert world.upstream.asked == []
    assert (world.wallet.balance, world.wallet.held, Usage.objects.count()) == (10_000_000, 0, 0)
    books_agree()


@pytest.mark.django_db(transaction=True)
def test_Q_M6_what_costs_more_is_charged_its_price(world: World, books_agree: Callable[[], None]) -> None:
    world.give(100_000_000)
    account(world, "openai", provider="openai")
    pro = priced("doubao-pro", ("input", "100"), ("output", "100"), ("web_search", "0.01"))
    prices.keep(pro, prices.rows_of(pro), {"priority": Decimal(2), "flex": Decimal("0.5")})
    priced("dall-e-3", ("image", "0.04"), ("image", "0.08", "1024x1024/hd"), ("image", "0.08", "1792x1024"))
    picture = says({"data": [{"url": "https://example.com/a.png"}]})
    said = completion("m", "Hello", tokens((10, 20)))

    async def scenario(w: World) -> None:
        for path, body, script in (
            (CHAT_PATH, {**ASK, "service_tier": "priority"}, says(said | {"service_tier": "priority"})),
            # Asked for, but not served.
            (CHAT_PATH, {**ASK, "service_tier": "priority"}, says(said | {"service_tier": "default"})),
            (CHAT_PATH, {**ASK, "service_tier": "auto"}, says(said | {"service_tier": "flex"})),
            (CHAT_PATH, ASK, says(said | {"service_tier": "unheard of"})),
            (CHAT_PATH, {**ASK, "web_search_options": {}}, chat()),
            (IMAGES_PATH, {**PICTURES, "quality": "hd", "size": "1024x1024"}, picture),
            (IMAGES_PATH, {**PICTURES, "size": "1792x1024", "quality": "standard"}, picture),
            (IMAGES_PATH, {**PICTURES, "size": "512x512"}, picture),
        ):
            w.upstream.scripts = [script]
            assert (await w.client.post(path, body)).status == 200, body

    world.play(scenario)
    charged = list(Usage.objects.order_by("pk").values_list("quota", flat=True))
    assert charged == [3000, 1500, 750, 3000, 1500 + 5000, 40_000, 40_000, 20_000]
    assert Usage.objects.order_by("pk")[0].service_tier == "priority"
    assert Usage.objects.order_by("pk")[4].kinds == {"web_search": 1}
    books_agree()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_O2_a_zero_is_believed_once_and_then_watched(
    world: World, books_agree: Callable[[], None], body: dict[str, Any]
) -> None:
    world.give(10_000_000)

    async def scenario(w: World) -> None:
        for script in (chat((0, 0)), chat((0, 0)), chat((9, 0)), chat((0, 0), ""), chat((10, 20))):
            w.upstream.scripts = [script]
            assert (await w.client.post(CHAT_PATH, body)).status == 200

    world.play(scenario)
    first, second, third, empty, last = Usage.objects.order_by("pk")
    assert (first.quota, first.usage_source) == (0, "provider")
    assert (second.usage_source, second.input_tokens > 0, second.output_tokens > 0) == ("estimate", True, True)
    assert (third.usage_source, third.input_tokens, third.output_tokens > 0) == ("estimate", 9, True)
    # The stand-in streams no answer as a blank.
    assert body is STREAM or empty.quota == 0
    assert (last.quota, last.usage_source) == (1500, "provider")
    assert [alert.key for alert in Alert.objects.filter(event="usage_zero")] == ["usage_zero:doubao-pro"]
    books_agree()


@pytest.mark.django_db(transaction=True)
def test_O2_more_than_was_held_is_charged_and_told(world: World, books_agree: Callable[[], None]) -> None:
    world.give(10_000_000)

    async def scenario(w: World) -> None:
        for used in ((10, 20), (10, 5000), (10, 6000)):
            w.upstream.scripts = [chat(used)]
            assert (await w.client.post(CHAT_PATH, ASK)).status == 200

    world.play(scenario)
    assert list(Usage.objects.order_by("pk").values_list("quota", flat=True)) == [1500, 250_500, 300_500]
    assert Alert.objects.get(event="usage_above_hold").key == "usage_above_hold:doubao-pro"
    books_agree()


@pytest.mark.django_db(transaction=True)
def test_live_statistics_count_what_calls_used(world: World) -> None:
    world.give(10_000_000)

    async def scenario(w: World) -> int:
        for body in (ASK, STREAM):
            await w.client.post(CHAT_PATH, body)
        found = Statistics.seen(engine().statistics, await engine().catalogue())["doubao-pro"]
        assert found.calls == 2
        return found.tokens

    assert world.play(scenario) == 60


@pytest.mark.django_db(transaction=True)
def test_the_row_keeps_what_the_call_cost_the_operator(world: World) -> None:
    world.give(10_000_000)
    priced("doubao-pro", ("input", "100"), ("output", "100"), cost="40")
    world.play(lambda w: w.client.post(CHAT_PATH, ASK))
    usage = world.usage()
    assert (usage.quota, usage.cost, usage.kinds) == (1500, 600, {})


# --- Rows ------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_rows_of_old_say_what_the_columns_said() -> None:
    plant(Model)
    ModelPrice.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("llm.migrations.0008_prices_become_rows").FORWARDS)
    for model in Model.objects.all():
        derived = sorted(map(prices.row_of, prices_of_columns(vars(model))), key=lambda row: row.place)
        assert prices.rows_of(model) == derived
        assert model.prices.count() == len(derived) > 0


@pytest.mark.django_db
def test_code_of_the_release_before_reads_what_it_can_of_new_prices() -> None:
    plant(Model)
    model = priced("gpt-4", ("input", "2.5"), ("output", "10"), ("cache_read", "0.25"))
    model.refresh_from_db()
    assert (model.measure, model.input_price, model.output_price) == ("1k_tokens", Decimal("0.0025"), Decimal("0.01"))
