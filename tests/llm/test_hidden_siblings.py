"""C4, M2, M8: siblings of what a provider lets out, and of Responses that come in another form. Users are told neither
whom we ask nor from where; an answer is one whatever it calls itself, and asked for once."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Credential, Usage

from .client import Answer
from .conftest import ASK, CHAT, MESSAGES, STREAM, World, post
from .test_responses_upstream import QUOTA, STREAMS, blocks, codex
from .upstream import Script, chunk, fails, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
CODEX: dict[str, Any] = {"model": "codex", "input": "Hi", "max_output_tokens": 100}

# --- C4: whom we ask, and from where ---------------------------------------------------------------------------------
DIAL = 'Post "https://relay.example.net:8443/v1/chat/completions": dial tcp 203.0.113.7:8443: i/o timeout'
BROKEN = b'data: {"error":{"message":"read tcp 10.0.0.5:4312->203.0.113.7:443: reset"}}\n\n'
TELLING: dict[str, tuple[Script, list[str]]] = {
    "another gateway's": (fails(500, DIAL), ["relay.example.net", "203.0.113.7", "8443"]),
    "a name that is not found": (fails(502, "dial tcp: lookup upstream.internal on 10.0.0.2:53: no such host"),
                                 ["upstream.internal", "10.0.0.2"]),
    "six": (fails(502, "connect to [2001:db8::7]:443 failed"), ["2001:db8::7"]),
    "a page of our account": (fails(429, "Rate limit reached. Visit https://platform.openai.com/account/limits."),
                              ["platform.openai.com"]),
    "in the middle of a stream": (sends(chunk({"content": "Hel"}), BROKEN), ["10.0.0.5", "203.0.113.7"]),
    "inside a 200": (says({"error": {"message": DIAL}}), ["relay.example.net", "203.0.113.7"]),
}  # fmt: skip


@pytest.mark.parametrize("door", [CHAT, MESSAGES, RESPONSES])
def test_Q_C4_users_are_not_told_whom_we_ask_and_from_where(rich: World, door: str) -> None:
    Credential.objects.update(max_retries=1)

    async def scenario(w: World) -> dict[str, bytes]:
        told = {}
        for name, (script, _words) in TELLING.items():
            w.upstream.otherwise = script
            streamed = name == "in the middle of a stream"
            body = {"model": "doubao-pro", "input": "Hi"} if door == RESPONSES else ASK
            told[name] = (await w.client.post(door, {**body, "stream": streamed})).body
        return told

    told = rich.play(scenario)
    leaked = {name: [word for word in words if word.encode() in told[name]] for name, (_s, words) in TELLING.items()}
    assert leaked == {name: [] for name in TELLING}
    # Operators are.
    assert Usage.objects.filter(error__contains="203.0.113.7:8443").exists()


def test_Q_C4_nobody_there_is_not_told_by_his_address(rich: World) -> None:
    Credential.objects.update(base_url="http://127.0.0.1:9/v1", max_retries=1)
    answer = post(rich, CHAT, ASK)
    assert answer.status == 502
    assert b"127.0.0.1" not in answer.body


@pytest.mark.parametrize("status", [400, 500])
def test_what_a_user_may_know_stays(rich: World, status: int) -> None:
    said = "max_tokens is 4.5 at 12:30, version 1.2.3; host is a field; use a.b.c"
    # His own words, when it is they that are wrong.
    said += "; no picture at https://files.example/x.png" if status == 400 else ""
    rich.upstream.otherwise = fails(status, said)
    assert said in post(rich, CHAT, ASK).json["error"]["message"]


# --- M2: Responses in another form -----------------------------------------------------------------------------------
LAST = STREAMS["text"][-1]
EMPTIED = (
    b"event: response.completed\ndata: %b\n\n"
    % json.dumps({**LAST, "response": {**LAST["response"], "output": []}}).encode()
)
FORMS: dict[str, Script] = {
    "events": sends(*blocks("text")),
    "events, called JSON": sends(*blocks("text"), kind="application/json"),
    "events whose last leaves out what was said": sends(*blocks("text")[:-1], EMPTIED),
    "events without names": sends(*(block.split(b"\n", 1)[1] for block in blocks("text"))),
}


@pytest.mark.parametrize("door", [RESPONSES, CHAT], ids=["passing", "translated"])
def test_Q_M2_a_response_in_events_is_one_and_asked_for_once(
    codex: World, door: str, books_agree: Callable[[], None]
) -> None:
    """What stands before Codex' own backend always streams."""
    codex.upstream.scripts = list(FORMS.values())
    body = CODEX if door == RESPONSES else {**ASK, "model": "codex"}

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(door, body) for _ in FORMS]

    answers = codex.play(scenario)
    assert [each.status for each in answers] == [200] * len(FORMS), answers[0].body
    said = LAST["response"]["output"][-1]["content"][0]["text"]
    assert all(said in json.dumps(each.json, ensure_ascii=False) for each in answers)
    assert len(codex.upstream.asked) == len(FORMS)
    assert set(Usage.objects.values_list("quota", "usage_source")) == {(QUOTA, "provider")}
    books_agree()


WHOLE = ["text", "two tool calls", "tool call after reasoning"]


@pytest.mark.parametrize("name", WHOLE)
def test_Q_M2_a_whole_response_where_events_were_asked_for_is_told_in_events(
    codex: World, name: str, books_agree: Callable[[], None]
) -> None:
    response = STREAMS[name][-1]["response"]
    codex.upstream.scripts = [says(response)]
    answer = post(codex, RESPONSES, {**CODEX, "stream": True, "store": False})
    assert (answer.status, len(codex.upstream.asked)) == (200, 1), answer.body
    told = [data for _name, data in answer.told]
    assert [event for event, _data in answer.told] == [data["type"] for data in told]
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    assert (told[0]["type"], told[-1]["type"]) == ("response.created", "response.completed")
    # Codex takes what it was told from these alone.
    items = [data["item"] for data in told if data["type"] == "response.output_item.done"]
    assert items == told[-1]["response"]["output"]
    # What was thought in secret is sealed for its account.
    assert [{**item, "encrypted_content": ""} for item in items] == [
        {**item, "encrypted_content": ""} for item in response["output"]
    ]
    assert told[-1]["response"]["model"] == "codex"
    assert (codex.usage().quota, codex.usage().usage_source) == (QUOTA, "provider")
    books_agree()


NONE: dict[str, Script] = {
    "nothing yet": says({**LAST["response"], "status": "queued", "output": [], "usage": None}),
    "under way": says({**LAST["response"], "status": "in_progress", "output": [], "usage": None}),
    "called off": says({**LAST["response"], "status": "cancelled", "output": [], "usage": None}),
    "a chat's": says({"choices": [{"message": {"content": "x"}}]}),
    "events that end too early": sends(*blocks("text")[:2]),
    "events that say that it failed": sends(*blocks("text")[:2], b'event: response.failed\ndata: {"type":'
                                            b'"response.failed","response":{"error":{"code":"x","message":"m"}}}\n\n'),
}  # fmt: skip


@pytest.mark.parametrize("door", [RESPONSES, CHAT], ids=["passing", "translated"])
def test_Q_M2_what_is_no_response_is_not_sold(codex: World, door: str, books_agree: Callable[[], None]) -> None:
    Credential.objects.update(max_retries=1)
    codex.upstream.scripts = list(NONE.values())
    body = CODEX if door == RESPONSES else {**ASK, "model": "codex"}

    async def scenario(w: World) -> dict[str, int]:
        return {name: (await w.client.post(door, body)).status for name in NONE}

    assert codex.play(scenario) == dict.fromkeys(NONE, 502)
    assert set(Usage.objects.values_list("quota", flat=True)) == {0}
    books_agree()


def test_Q_M8_an_account_whose_answers_break_off_is_asked_last(rich: World) -> None:
    """Wei-Shaw/sub2api#3084: that has no status, and counts all the same."""
    from .conftest import account

    account(rich, "second")
    broken, whole = sends(chunk({"content": "Hel"}), end=False), sends(chunk({"content": "Hello"}, "stop"))

    async def answers(asked: Any) -> Any:
        return await (whole if "second" in asked.request.headers["Authorization"] else broken)(asked)

    rich.upstream.otherwise = answers

    async def scenario(w: World) -> list[str]:
        for _ in range(12):
            await w.client.post(CHAT, STREAM)
        return [asked.request.headers["Authorization"] for asked in w.upstream.asked]

    assert rich.play(scenario)[-1] == "Bearer second-key"


__all__ = ["codex"]
