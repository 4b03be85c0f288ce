"""Several credentials for a model: who is asked, who stays with whom, and how what failed comes back. And aliases."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from llm.models import Alias, Credential, Model
from llm.providers.base import Account
from llm.relay import pools
from llm.relay.catalogue import CredentialSpec
from llm.relay.engine import engine
from llm.relay.snapshot import read_now
from llm.relay.statistics import Statistics
from llm.seeds import plant_aliases
from tests.conftest import sampled

from .conftest import ASK, STREAM, World, account
from .conftest import model as make_model
from .upstream import chat, fails, stream

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
LITE = {**ASK, "model": "doubao-lite"}


def keys_asked(world: World) -> list[str]:
    return [asked.request.headers["Authorization"].removeprefix("Bearer ") for asked in world.upstream.asked]


def conversation(number: int, *more: str) -> dict[str, Any]:
    said = [f"This is conversation {number}", *more]
    roles = ("user", "assistant")
    return {**ASK, "messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]}


INPUT: dict[str, Any] = {"instructions": "Be brief", "input": [{"role": "user", "content": "Hello"}]}


# --- Who is asked ----------------------------------------------------------------------------------------------------
def spec(number: int, priority: int = 0, weight: int = 1) -> CredentialSpec:
    return CredentialSpec(number, str(number), Account("ark", "https://x", "k"), 1, 0.0, priority, weight)


def test_conversations_are_shared_by_weight_and_move_only_when_they_must() -> None:
    names = [f"conversation-{n}" for n in range(4000)]
    pool = [spec(1, weight=3), spec(2), spec(3, weight=4), spec(4, priority=-1, weight=100)]
    order = {name: [each.id for each in pools.in_order(pool, name)] for name in names}
    share = Counter(ids[0] for ids in order.values())
    for number, weight in ((1, 3), (2, 1), (3, 4)):
        assert abs(share[number] / len(names) - weight / 8) < 0.03, share
    assert {ids[-1] for ids in order.values()} == {4}
    without = [each for each in pool if each.id != 3]
    for name in names:
        assert [each.id for each in pools.in_order(without, name)] == [n for n in order[name] if n != 3]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"prompt_cache_key": "a", "messages": [1]}, {"prompt_cache_key": "a", "messages": [2]}, True),
        ({"metadata": {"user_id": "u_session_1"}}, {"metadata": {"user_id": "u_session_2"}}, False),
        (conversation(1), conversation(1, "Yes?", "Go on"), True),
        (conversation(1), conversation(2), False),
        ({**conversation(1), "system": "Be brief"}, conversation(1), False),
        (INPUT, {**INPUT, "input": [*INPUT["input"], {"type": "function_call_output"}]}, True),
    ],
)  # fmt: skip
def test_a_conversation_is_known_by_what_its_client_calls_it_or_by_how_it_begins(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert pools.conversation_of(one)
    assert (pools.conversation_of(one) == pools.conversation_of(other)) is same


def test_a_conversation_stays_with_its_credential_while_that_is_well(world: World) -> None:
    world.give(10_000_000)
    account(world, "second", priority=0)
    account(world, "third", priority=0)
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> None:
        for turn in range(3):
            for number in range(12):
                body = conversation(number, *["…"] * 2 * turn)
                assert (await w.client.post(CHAT, body)).status == 200

        first = keys_asked(w)[:12]
        assert keys_asked(w) == first * 3
        assert len(set(first)) > 1
        # One rests: its conversations go elsewhere, the others stay.
        w.upstream.asked.clear()
        engine().statistics.cool_down(ids[first[0]], 60, said_so=False)
        for number in range(12):
            assert (await w.client.post(CHAT, conversation(number))).status == 200
        for before, now in zip(first, keys_asked(w), strict=True):
            assert (now == before) is (before != first[0])

    ids = {row.api_key.reveal(): row.pk for row in Credential.objects.all()}
    world.play(scenario)


def test_a_credential_serves_the_models_it_is_for(world: World) -> None:
    world.give(10_000_000)
    account(world, "cheap", priority=5, served=["*-lite", "other"])

    async def scenario(w: World) -> None:
        for body in (ASK, LITE):
            assert (await w.client.post(CHAT, body)).status == 200

    world.play(scenario)
    assert keys_asked(world) == ["ark-key", "cheap-key"]


# --- Coming back -----------------------------------------------------------------------------------------------------
def test_a_model_that_is_limited_for_an_hour_leaves_the_other_alone_and_comes_back_by_one_call(world: World) -> None:
    """Twenty at once when the time is over: one finds out, the others are answered elsewhere meanwhile."""
    world.give(100_000_000)
    account(world, "second")
    world.upstream.scripts = [fails(429, retry_after="3600")]

    async def scenario(w: World) -> None:
        assert (await w.client.post(CHAT, ASK)).status == 200
        w.upstream.asked.clear()
        assert [(await w.client.post(CHAT, body)).status for body in (LITE, ASK)] == [200, 200]
        assert keys_asked(w) == ["ark-key", "second-key"]
        w.upstream.asked.clear()
        _time_is_over()
        w.upstream.scripts = [chat(after_s=0.5)]
        w.upstream.otherwise = chat(after_s=0.05)
        answers = await asyncio.gather(*(w.client.post(CHAT, ASK) for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert Counter(keys_asked(w)) == {"ark-key": 1, "second-key": 19}
        w.upstream.asked.clear()
        assert (await w.client.post(CHAT, ASK)).status == 200
        assert keys_asked(w) == ["ark-key"]

    world.play(scenario)


def _time_is_over() -> None:
    for circuit in engine().statistics._circuits.values():
        circuit.cools_until = time.time() - 1


@pytest.mark.parametrize(
    "failure", sampled([fails(500), fails(401), fails(429, retry_after="60")], keep=1), ids=["500", "401", "429"]
)
def test_what_is_still_failing_costs_one_call_and_not_everybodys(world: World, failure: Any) -> None:
    world.give(100_000_000)
    account(world, "second")
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> None:
        engine().statistics.cool_down(w.credential.pk, 60, said_so=False, model="doubao-pro")
        for _ in range(2):
            _time_is_over()
            w.upstream.asked.clear()
            w.upstream.scripts = [failure]
            answers = [await w.client.post(CHAT, ASK) for _ in range(5)]
            assert {answer.status for answer in answers} == {200}
            assert Counter(keys_asked(w)) == {"ark-key": 1, "second-key": 5}

    world.play(scenario)


def test_the_only_credential_is_probed_by_one_call_while_the_others_wait(world: World) -> None:
    world.give(100_000_000)
    world.upstream.scripts = [fails(429, retry_after="1")]
    under_way, most = 0, []

    async def counted(asked: Any) -> Any:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        answer = await chat(after_s=0.3)(asked)
        under_way -= 1
        return answer

    async def scenario(w: World) -> None:
        engine().statistics.cool_down(w.credential.pk, 1, said_so=True, model="doubao-pro")
        w.upstream.scripts, w.upstream.otherwise = [counted], counted
        answers = await asyncio.gather(*(w.client.post(CHAT, ASK) for _ in range(8)))
        assert {answer.status for answer in answers} == {200}

    world.play(scenario)
    assert most[:2] == [1, 1]
    assert len(most) == 8


def test_one_call_of_all_processes_finds_out(world: World) -> None:
    async def scenario(w: World) -> list[bool]:
        mine, other = Statistics(), Statistics()
        place = (w.credential.pk, "doubao-pro")
        for each in (mine, other):
            each.cool_down(*place[:1], 60, said_so=False, model=place[1])
            each._circuits[place].cools_until = time.time() - 1
        told = [await mine.begin_probe(place), await other.begin_probe(place), await mine.begin_probe(place)]
        await mine.end_probe(place)
        told.append(await other.begin_probe(place))
        await other.end_probe(place)
        await mine.close()
        await other.close()
        return told

    assert world.play(scenario) == [True, False, False, True]


# --- The first token -------------------------------------------------------------------------------------------------
def test_a_models_patience_ends_a_stream_that_does_not_begin_and_nothing_is_repeated(world: World) -> None:
    world.give(10_000_000)
    account(world, "second")
    Model.objects.filter(name="doubao-pro").update(patience_s=1)
    Model.objects.filter(name="doubao-lite").update(patience_s=30)
    world.upstream.otherwise = stream(["Hello"], first_after_s=1.5)

    async def scenario(w: World) -> tuple[Any, Any]:
        impatient = await w.client.post(CHAT, STREAM)
        asked = len(w.upstream.asked)
        patient = await w.client.post(CHAT, {**STREAM, "model": "doubao-lite"})
        assert (impatient.status, asked, patient.status) == (504, 1, 200)
        return impatient, patient

    impatient, _ = world.play(scenario)
    assert impatient.json["error"]["code"] == "upstream_timeout"
    assert world.wallet.held == 0


# --- Aliases ---------------------------------------------------------------------------------------------------------
def test_claude_codes_own_names_lead_to_a_claude_model(world: World) -> None:
    """As they come along: to the best one there is, whatever it is called, and to none when there is none."""
    plant_aliases(Alias)
    plant_aliases(Alias)
    names = ["claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805", "claude-haiku-4-5-20251001", "claude-3-5-haiku"]
    made = make_model("my-claude", quality="0.99", provider="claude")

    assert [read_now().named(name) for name in names] == [None] * 4
    account(world, "anthropic", provider="claude")
    assert {found.name for name in names if (found := read_now().named(name))} == {"my-claude"}
    made.delete()
    assert {found.name for name in names if (found := read_now().named(name))} == {"claude-3-sonnet"}


def test_the_most_exact_name_counts_and_a_models_own_above_all(world: World) -> None:
    world.give(10_000_000)
    pro, lite = (Model.objects.get(name=f"doubao-{name}") for name in ("pro", "lite"))
    off = make_model("off", enabled=False)
    for pattern, model in {"*": pro, "fast-*": lite, "doubao-*": pro, "fast-off*": off}.items():
        Alias.objects.create(pattern=pattern, model=model, shown=pattern == "fast-*")
    Alias.objects.create(pattern="shown", model=lite, shown=True)
    expected = {"anything": "vbzjz", "fast-1": "lite", "fast-off-1": "lite", "doubao-lite": "lite", "doubao-x": "vbzjz"}

    async def scenario(w: World) -> Any:
        for name in expected:
            assert (await w.client.post(CHAT, {**ASK, "model": name})).status == 200
        return (await w.client.get("/v1/models")).json

    listed = world.play(scenario)
    assert [asked.body["model"].rpartition("-")[2] for asked in world.upstream.asked] == list(expected.values())
    names = [each["id"] for each in listed["data"]]
    assert "shown" in names
    assert not [name for name in names if "*" in name]
