"""Every dialect × every kind of upstream × every feature, streamed and whole, over HTTP: see table.py."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from llm.models import Credential, Usage
from llm.relay import loops
from llm.relay.engine import engine
from tests.emptying import empty
from tests.llm.client import Answer, ApiClient
from tests.llm.conftest import World, model
from tests.llm.upstream import Asked, Script, Upstream, says, sends
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import audit

from .neutral import Ask, Said
from .table import DIALECTS, PAIRS, ROWS, SEALED, UPSTREAMS, Passed, Refused, Row, Translated, document

TOO_LONG = "The context is too long."
# What the upstreams call the model that users know by another name.
THERE, PROVIDERS = "model-there", {"OpenAI": "openai", "Responses": "openai", "Claude": "claude"}
GIFT = 10**9


@dataclass
class Seen:
    """What one cell came to."""

    sent: dict[str, Any]
    asked: list[Asked]
    answered: bytes
    answer: Answer
    usage: dict[str, Any]
    failures: int


@dataclass(frozen=True)
class Place:
    """A cell of the table, streamed or whole."""

    row: Row
    dialect: str
    upstream: str
    streamed: bool

    @property
    def model(self) -> str:
        return f"by-{self.upstream}"

    @property
    def anew(self) -> bool:
        """Whether the answer is written anew: it is asked for streamed then, whichever way it was asked for here."""
        return DIALECTS[self.dialect] is not UPSTREAMS[self.upstream]

    def __str__(self) -> str:
        return f"{self.row.name}: {self.dialect} → {self.upstream}{', streamed' if self.streamed else ''}"


PLACES = [
    place
    for row in ROWS
    for pair in PAIRS
    for place in (Place(row, *pair, streamed) for streamed in (False, True))
    # What passes whole is no stream anywhere.
    if row.cell(*pair) is not None and (place.streamed or place.anew or row.error != "in the stream")
]


@pytest.fixture(scope="module")
def seen(django_db_setup: None, django_db_blocker: Any) -> dict[str, Seen]:
    """All cells, played one after another on one event loop, by one user at two accounts."""
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        stack.enter_context(override_settings(LLM_ACCOUNTS={}))
        user, upstream = User.objects.create_user("matrix"), Upstream()
        for name, provider in PROVIDERS.items():
            base_url = upstream.url.removesuffix("/v1") if provider == "claude" else upstream.url
            credential = Credential.objects.create(
                name=name, provider=provider, base_url=base_url, api_key="key", from_environment=True, max_retries=1
            )
            speaks = {"responses_api": "only"} if name == "Responses" else {}
            model(f"by-{name}", provider=provider, provider_model_id=THERE, credential=credential, **speaks)
        world = World(user, ApiClient(create_api_key(user, "test")[1]), upstream, credential)
        world.give(GIFT)
        found = world.play(_play)
        charged = sum(Usage.objects.values_list("quota", flat=True))
        assert (world.wallet.balance, world.wallet.held) == (GIFT - charged, 0)
        assert audit.run(full=True).findings == []
        loops.hang_up()
        empty()
    return found


async def _play(world: World) -> dict[str, Seen]:
    found, failures = {}, dict.fromkeys((place.model for place in PLACES), 0)
    for place in PLACES:
        each = found[str(place)] = await _cell(world, place)
        each.failures, failures[place.model] = each.failures - failures[place.model], each.failures
    for usage in [usage async for usage in Usage.objects.values()]:
        for each in found.values():
            if usage["request_id"] in each.answer.headers.values():
                each.usage = usage
    return found


async def _cell(world: World, place: Place) -> Seen:
    dialect, row = DIALECTS[place.dialect], place.row
    ask = await _handed_back(world, place) if row.ask.effort else row.ask
    body = dialect.ask(ask, place.model, streamed=place.streamed)
    row.more.get(place.dialect, lambda body: None)(body)
    script, answered = _script(place, row.said)
    world.upstream.scripts, world.upstream.asked = [script], []
    answer = await world.client.post(dialect.door, body)
    world.upstream.scripts = []
    return Seen(body, list(world.upstream.asked), answered, answer, {}, await _failures(place.model))


async def _handed_back(world: World, place: Place) -> Ask:
    """The request with the signature that an earlier answer gave out."""
    dialect, upstream = DIALECTS[place.dialect], UPSTREAMS[place.upstream]
    thought = next(turn for turn in place.row.ask.turns if turn.thought)
    said = Said("Hello", thought.thought, thought.signature)
    world.upstream.scripts = [sends(upstream.whole(said, THERE), kind="application/json")]
    question = replace(place.row.ask, turns=place.row.ask.turns[:1])
    answer = await world.client.post(dialect.door, dialect.ask(question, place.model, streamed=False))
    signature = dialect.read(answer.body).signature
    turns = (replace(turn, signature=signature) if turn.thought else turn for turn in place.row.ask.turns)
    return replace(place.row.ask, turns=tuple(turns))


def _script(place: Place, said: Said) -> tuple[Script, bytes]:
    """What the upstream answers."""
    upstream = UPSTREAMS[place.upstream]
    if place.row.error == "before":
        body = upstream.error(TOO_LONG)
        return says(json.loads(body), 400), body
    if place.row.error:
        events = upstream.broken(THERE)
    elif place.streamed or place.anew:
        events = upstream.events(said, THERE)
    else:
        body = upstream.whole(said, THERE)
        return sends(body, kind="application/json"), body
    return sends(*events), b"".join(events)


async def _failures(name: str) -> int:
    relay = engine()
    await relay.statistics.share()
    health = relay.statistics.seen(await relay.catalogue()).get(name)
    return health.failures if health else 0


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_cell_is_as_the_table_says(seen: dict[str, Seen], place: Place) -> None:
    found, cell = seen[str(place)], place.row.cell(place.dialect, place.upstream)
    if isinstance(cell, Refused):
        _refused(place, found, cell)
        return
    assert len(found.asked) == 1, found.answer.body
    asked = found.asked[0]
    assert asked.path == UPSTREAMS[place.upstream].door
    assert bool(asked.body.get("stream")) == (place.streamed or place.anew)
    if isinstance(cell, Passed):
        assert asked.body == {**found.sent, "model": THERE}
        if not place.row.error:
            assert found.answer.body == found.answered.replace(THERE.encode(), place.model.encode())
    elif isinstance(cell, Translated):
        assert UPSTREAMS[place.upstream].asked(asked.body) == cell.up(place.row.ask)
    if place.row.error:
        _failed(place, found)
    else:
        _answered(place, found, cell)


def _answered(place: Place, found: Seen, cell: Passed | Translated | None) -> None:
    assert found.answer.status == 200, found.answer.body
    dialect, said = DIALECTS[place.dialect], place.row.said
    read = dialect.read_events if place.streamed else dialect.read
    if isinstance(cell, Translated):
        got, expected = read(found.answer.body), cell.down(said)
        if expected.signature == SEALED:
            assert got.signature.startswith("vh1.")
            got = replace(got, signature=SEALED)
        assert got == expected
        assert THERE.encode() not in found.answer.body
    usage, used = found.usage, said.used
    assert (usage["outcome"], usage["input_tokens"], usage["output_tokens"]) == ("ok", used.read, used.wrote)
    kinds = {"cache_read": used.cached, "cache_write": used.written}
    assert usage["kinds"] == {kind: number for kind, number in kinds.items() if number}
    assert (usage["usage_source"], usage["quota"] > 0, found.failures) == ("provider", True, 0)


def _failed(place: Place, found: Seen) -> None:
    dialect, answer, usage = DIALECTS[place.dialect], found.answer, found.usage
    if place.row.error == "before":
        assert (answer.status, usage["quota"], usage["outcome"], found.failures) == (400, 0, "failed", 0)
        assert dialect.error_in(answer.body).startswith(TOO_LONG)
        return
    if not place.streamed:
        # Half of an answer is none.
        assert (answer.status, usage["quota"], usage["outcome"], found.failures) == (502, 0, "failed", 1)
        assert b"boiler broke" in answer.body
        return
    text, why = dialect.error_in_events(answer.body)
    assert (answer.status, text, usage["outcome"], found.failures) == (200, "Hel", "failed", 1)
    assert "boiler broke" in why
    assert usage["quota"] > 0


def _refused(place: Place, found: Seen, cell: Refused) -> None:
    assert (found.answer.status, found.asked, found.failures) == (400, [], 0)
    text = DIALECTS[place.dialect].error_in(found.answer.body)
    assert cell.named in text
    assert place.dialect == "messages" or text.endswith(f"({cell.code or cell.named})")
    if found.usage:
        # What is refused at the door is not even noted.
        assert (found.usage["quota"], found.usage["outcome"]) == (0, "failed")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_is_left_without_an_outcome(row: Row) -> None:
    """A feature that a dialect has words for is passed, translated or refused at every upstream."""
    for dialect, upstream in PAIRS:
        said = dialect in row.words and (not row.more or dialect in row.more)
        assert (row.cell(dialect, upstream) is not None) == said, (dialect, upstream)


def test_the_document_is_the_table() -> None:
    path = Path(__file__).parents[3] / "docs" / "dialects.md"
    assert path.read_text() == document(), "python -m tests.llm.matrix.table > docs/dialects.md"
