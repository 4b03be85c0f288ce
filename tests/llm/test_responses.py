"""/v1/responses in front of providers that know chats only: every vector of requests, answers and streams."""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from pydantic import TypeAdapter

from llm.api import v1_request
from llm.dialects.responses import sealed
from llm.models import Credential, KeptResponse, Model, Usage
from tests.conftest import rarely, sampled

from ..vectors import HERE, load
from .client import Answer
from .conftest import World, model, post
from .test_dialects import OUT_OF_PLACE
from .upstream import DONE, USED, chunk, fails, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
ASK: dict[str, Any] = {"model": "gpt-4o", "input": "Say hello", "store": False}
STREAM = {**ASK, "stream": True}
BODIES = sorted(path.stem for path in (HERE / "responses").glob("[0-9]*.json") if path.stem != "15-invalid")
MODELS = ("gpt-4o", "gpt-5.5", "gpt-6.2-sol", "s", "doubao-pro")
THOUGHTS = {"05-tool-loop-second-turn": "**Thinking** about it", "06-reasoning-back": "They greet me."}


@pytest.fixture
def chats(world: World) -> World:
    """Everything OpenAI has but its Responses, at the scripted upstream."""
    world.give(10**9)
    world.credential = Credential.objects.create(
        name="like-openai", provider="openai", base_url=world.upstream.url, api_key="k", from_environment=True
    )
    Model.objects.filter(name="doubao-pro").delete()
    for name in MODELS:
        model(name, provider="openai", provider_model_id=name, capabilities=["chat", "function_call", "multimodal"])
    return world


def sent(world: World) -> Any:
    """The only body that went up, the key of the cache as the client wrote it."""
    body = world.upstream.asked[0].body
    if "prompt_cache_key" in body:
        body["prompt_cache_key"] = body["prompt_cache_key"].removeprefix(f"{world.user.pk}-")
    return body


# --- In --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sampled(BODIES, keep=5))
def test_what_clients_send_reaches_a_chat_model(chats: World, name: str) -> None:
    vector = load(f"responses/{name}")
    tagged = sealed.seal_thoughts(chats.credential.pk, THOUGHTS.get(name, ""))
    body = json.loads(json.dumps(vector["body"]).replace("@TAGGED@", str(tagged)))
    answer = post(chats, RESPONSES, body)
    expected = vector["expect"]
    assert answer.status == expected["status"], answer.body
    if answer.status == 200:
        # An answer that is written anew is asked for streamed, whichever way it was asked for.
        assert sent(chats) == {**expected["chat"], "stream": True, "stream_options": {"include_usage": True}}
        return
    error = answer.json["error"]
    assert {key: error[key] for key in expected["error"]} == expected["error"]
    assert chats.upstream.asked == []


def test_what_cannot_be_is_refused_by_name(chats: World) -> None:
    vectors: Any = load("responses/15-invalid")

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(RESPONSES, vector["body"]) for vector in vectors]

    for vector, answer in zip(vectors, chats.play(scenario), strict=True):
        expected = vector["expect"]
        assert answer.status == expected["status"], vector["name"]
        error = answer.json["error"]
        assert {key: error[key] for key in expected["error"]} == expected["error"], vector["name"]
        assert vector.get("message_has", expected.get("message_has", "")) in error["message"], vector["name"]
    assert chats.upstream.asked == []
    assert not Usage.objects.exclude(quota=0).exists()


# --- Out -------------------------------------------------------------------------------------------------------------
def test_an_answer_costs_what_the_provider_reports(chats: World, books_agree: Callable[[], None]) -> None:
    answer = post(chats, RESPONSES, {**ASK, "instructions": "Be kind.", "metadata": {"a": "b"}})
    assert answer.status == 200, answer.body
    said = answer.json
    assert (said["object"], said["status"], said["model"]) == ("response", "completed", "gpt-4o")
    assert said["output"][0]["content"][0]["text"] == "Hello there"
    assert (said["instructions"], said["metadata"], said["store"]) == ("Be kind.", {"a": "b"}, False)
    assert said["usage"]["input_tokens"], said["usage"]["output_tokens"] == (10, 20)
    usage = chats.usage()
    assert (usage.quota, usage.input_tokens, usage.output_tokens, usage.outcome) == (1500, 10, 20, "ok")
    assert said["id"].removeprefix("resp_") == usage.request_id.removeprefix("req_")
    books_agree()


STREAMS: Any = load("responses/streams")
# What a chat model says, where clients were tried with the events of the same name.
SAID: dict[str, list[dict[str, Any]]] = {
    "text": [{"content": "Hell"}, {"content": "o there"}],
    "tool call after reasoning": [
        {"reasoning_content": "**Thinking** about it"},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "exec_command", "arguments": '{"cmd'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '": "echo hi-from-tool"}'}}]},
    ],
    "refusal": [{"refusal": "I cannot help"}],
    "incomplete: max_output_tokens": [{"content": "Half"}, {"content": " an ans"}],
    "custom tool": [
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "apply_patch", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"input": "*** Begin Patch\\n*** Add File: made'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '.txt\\n+made\\n*** End Patch\\n"}'}}]},
    ],
    "namespaced tool": [
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {
            "name": "multi_agent_v1__close_agent", "arguments": '{"tar'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'get": "x"}'}}]},
    ],
}  # fmt: skip
FINISH = {"incomplete: max_output_tokens": "length"}
TOOLS: list[Any] = [
    {"type": "function", "name": "exec_command", "parameters": {"type": "object"}},
    {"type": "custom", "name": "apply_patch"},
    {"type": "namespace", "name": "multi_agent_v1", "tools": [{"type": "function", "name": "close_agent"}]},
]
OTHERS = ("id", "item_id", "created_at", "sequence_number", "encrypted_content", "usage", "model")


@cache
def event_of_openai() -> TypeAdapter[Any]:
    """As OpenAI's own client reads it. Loading that takes a second."""
    return TypeAdapter(import_module("openai.types.responses").ResponseStreamEvent)


def plain(event: Any) -> Any:
    """An event without what differs from answer to answer."""
    if isinstance(event, list):
        return [plain(each) for each in event]
    if not isinstance(event, dict):
        return event
    known = {"id", "object", "status", "error", "incomplete_details", "output", "instructions", "tools", "tool_choice"}
    chosen = event if event.get("object") != "response" else {k: v for k, v in event.items() if k in known}
    return {key: plain(value) for key, value in chosen.items() if key not in OTHERS}


# The worker that has OpenAI's client already.
@pytest.mark.xdist_group("deployment")
@pytest.mark.parametrize("name", sampled(SAID, keep=3))
def test_streams_are_those_that_clients_were_tried_with(chats: World, name: str) -> None:
    ending = chunk({}, FINISH.get(name, "stop"), usage=USED) + b"data: [DONE]\n\n"
    chats.upstream.scripts = [sends(*map(chunk, SAID[name]), ending)]
    include = {"include": ["reasoning.encrypted_content"]}
    answer = post(chats, RESPONSES, {**STREAM, "tools": TOOLS, **include})
    expected = STREAMS[name] if isinstance(STREAMS[name], list) else STREAMS[name]["events"]
    if name == "incomplete: max_output_tokens":
        # What is cut says so.
        for event in expected:
            for item in (event.get("item"), *event.get("response", {}).get("output", ())):
                if item and event["type"] not in ("response.output_item.added",):
                    item["status"] = "incomplete"
    assert list(map(plain, answer.events)) == list(map(plain, expected))
    follows_the_rules(answer)


def follows_the_rules(answer: Answer) -> None:
    """What every stream must be like."""
    events = answer.events
    for event in events:
        event_of_openai().validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [name for name, _data in answer.told] == [event["type"] for event in events]
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    opened, done = {}, {}
    for event in events:
        if event["type"] == "response.output_item.added":
            assert event["output_index"] == len(opened)
            opened[event["output_index"]] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert event["output_index"] not in done
            done[event["output_index"]] = event["item"]
            assert event["item"]["id"] == opened[event["output_index"]]
        elif "item_id" in event:
            assert opened[event["output_index"]] == event["item_id"]
            assert event["output_index"] not in done
    assert events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")
    if events[-1]["type"] != "response.failed":
        assert events[-1]["response"]["output"] == [done[index] for index in sorted(done)]
        usage = events[-1]["response"]["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def call_of(index: int, arguments: str = "", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return {"tool_calls": [{"index": index, "function": function, **more}]}


def test_W3_W4_calls_that_come_in_turns_stay_apart_and_names_may_come_late(chats: World) -> None:
    said = [
        {"content": "I will."},
        call_of(0, '{"a', id="c1"),
        call_of(1, "{}", name="exec_command"),
        call_of(0, '": 1', name="exec_command"),
        {"content": "And"},
        call_of(0, "}"),
        call_of(2, "no json", name="apply_patch"),
    ]
    chats.upstream.scripts = [sends(*map(chunk, said), DONE)]
    answer = post(chats, RESPONSES, {**STREAM, "tools": TOOLS})
    follows_the_rules(answer)
    output = answer.events[-1]["response"]["output"]
    kinds = ["message", "function_call", "function_call", "message", "custom_tool_call"]
    assert [item["type"] for item in output] == kinds
    assert [item["arguments"] for item in output[1:3]] == ["{}", '{"a": 1}']
    assert output[4]["input"] == "no json"
    assert len({item["call_id"] for item in output if "call_id" in item}) == 3


@pytest.mark.parametrize("streamed", sampled([True, False], keep=1), ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("message", "finish", "status", "reason", "parts"),
    [
        ({"content": "Half"}, "content_filter", "incomplete", "content_filter", ["output_text"]),
        ({}, "content_filter", "completed", None, ["refusal"]),
        ({"content": "Yes, "}, "length", "incomplete", "max_output_tokens", ["output_text"]),
        ({"content": "No", "refusal": "I cannot"}, "stop", "completed", None, ["output_text", "refusal"]),
        ({"content": None}, "stop", "completed", None, None),
    ],
)
def test_endings(
    chats: World, message: Any, finish: str, status: str, reason: str | None, parts: Any, streamed: bool
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    whole = says({"model": "gpt-4o", "choices": [choice], "usage": USED})
    chunks = [chunk(message or {"role": "assistant"}), chunk({}, finish, usage=USED), b"data: [DONE]\n\n"]
    chats.upstream.otherwise = sends(*chunks) if streamed else whole
    answer = post(chats, RESPONSES, STREAM if streamed else ASK)
    if answer.status == 502:
        # A stream without any output is an error, whatever dialect.
        assert streamed
        assert not (message and message.get("content"))
        return
    said = answer.events[-1]["response"] if streamed else answer.json
    assert (said["status"], (said["incomplete_details"] or {}).get("reason")) == (status, reason)
    assert [part["type"] for item in said["output"] for part in item["content"]] == (parts or [])
    assert said["usage"]["output_tokens"] == 20


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_Q_M5_usage_is_told_by_kind(chats: World, streamed: bool) -> None:
    report = {
        **USED,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    ending = chunk({}, "stop", usage=report) + b"data: [DONE]\n\n"
    said = {"model": "gpt-4o", "choices": [choice], "usage": report}
    chats.upstream.scripts = [sends(chunk({"content": "Hi"}), ending) if streamed else says(said)]
    answer = post(chats, RESPONSES, STREAM if streamed else ASK)
    assert (answer.events[-1]["response"] if streamed else answer.json)["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 30,
    }
    assert chats.usage().kinds == {"cache_read": 4, "cache_write": 3}


def test_hosted_tools_that_are_always_sent_are_left_out_and_told(chats: World) -> None:
    tools = [*TOOLS, {"type": "web_search"}, {"type": "tool_search"}]
    answer = post(chats, RESPONSES, {**ASK, "tools": tools, "tool_choice": "auto"})
    assert answer.headers["x-left-out"] == "tools.web_search, tools.tool_search"
    assert len(sent(chats)["tools"]) == 3


@pytest.mark.parametrize("tools", [[], TOOLS], ids=["alone", "beside others"])
@pytest.mark.parametrize("choice", ["web_search", *rarely("tool_search", "required"), "one of"])
def test_a_search_that_an_answer_has_to_make_is_refused_by_name(
    chats: World, choice: str, tools: list[Any], books_agree: Callable[[], None]
) -> None:
    kind = "web_search" if choice in ("required", "one of") else choice
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]}
    forced: Any = {"required": "required", "one of": allowed}.get(choice, {"type": kind})
    answer = post(chats, RESPONSES, {**ASK, "tools": [*tools, {"type": kind}], "tool_choice": forced})
    error = answer.json["error"]
    assert (answer.status, error["param"], error["code"]) == (400, "tool_choice", "unsupported_tool")
    assert kind in error["message"]
    assert (chats.upstream.asked, chats.wallet.held) == ([], 0)
    books_agree()


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_search_alone_that_nobody_has_to_make_is_left_out_and_told(chats: World, choice: str | None) -> None:
    answer = post(chats, RESPONSES, {**ASK, "tools": [{"type": "web_search"}], "tool_choice": choice})
    assert (answer.status, answer.headers["x-left-out"]) == (200, "tools.web_search")
    assert "tools" not in sent(chats)


def test_only_allowed_tools_go_up(chats: World) -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    assert post(chats, RESPONSES, {**ASK, "tools": TOOLS, "tool_choice": choice}).status == 200
    assert [tool["function"]["name"] for tool in sent(chats)["tools"]] == ["apply_patch"]
    assert sent(chats)["tool_choice"] == "required"


def test_a_limit_above_the_models_own_is_lowered(chats: World) -> None:
    assert post(chats, RESPONSES, {**ASK, "max_output_tokens": 10**6}).status == 200
    assert sent(chats)["max_completion_tokens"] == 4096


# --- Broken ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["abort", "error"])
def test_a_stream_that_breaks_ends_with_what_there_is(chats: World, kind: str, books_agree: Callable[[], None]) -> None:
    said = [chunk({"content": "Half an ans"}), chunk(call_of(0, '{"cmd', id="c", name="exec_command"))]
    if kind == "error":
        said.append(b'data: {"error":{"message":"boiler broke","type":"server_error"}}\n\n')
    chats.upstream.scripts = [sends(*said, end=kind == "error")]
    answer = post(chats, RESPONSES, {**STREAM, "tools": TOOLS})
    follows_the_rules(answer)
    last = answer.events[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"]["code"] == "server_error"
    kinds = [(item["type"], item["status"]) for item in last["response"]["output"]]
    assert kinds == [("message", "completed"), ("function_call", "incomplete")]
    # Nobody is told to carry out half a call.
    done = [event["item"]["type"] for event in answer.events if event["type"] == "response.output_item.done"]
    assert done == ["message"]
    usage = chats.usage()
    assert (usage.outcome, usage.quota > 0) == ("failed", True)
    assert last["response"]["usage"]["output_tokens"] == usage.output_tokens > 0
    books_agree()


def test_Q_M3_an_error_before_any_output_has_its_status(chats: World, books_agree: Callable[[], None]) -> None:
    chats.upstream.otherwise = sends(b'event: error\ndata: {"code":"Bad","message":"boiler broke"}\n\n')
    answer = post(chats, RESPONSES, STREAM)
    assert (answer.status, chats.usage().quota) == (502, 0)
    books_agree()


@pytest.mark.usefixtures("hasty")
def test_Q_C3_an_error_after_the_wait_is_a_response_that_failed(chats: World) -> None:
    async def late(asked: Any) -> Any:
        await asyncio.sleep(0.3)
        return await fails(400, "too strange")(asked)

    chats.upstream.scripts = [late]
    answer = post(chats, RESPONSES, STREAM)
    names = [event["type"] for event in answer.events]
    assert names == ["response.created", "response.in_progress", "response.failed"]
    assert answer.events[-1]["response"]["error"] == {"code": "invalid_prompt", "message": "too strange"}
    follows_the_rules(answer)
    assert chats.usage().quota == 0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v1_request, "KEEP_ALIVE_S", 0.1)


def test_who_hangs_up_pays_for_what_was_written(chats: World, books_agree: Callable[[], None]) -> None:
    chats.upstream.scripts = [sends(*(chunk({"content": f"word{n} "}) for n in range(20)), DONE, pause_s=0.02)]
    chats.play(lambda w: w.client.post(RESPONSES, {**STREAM, "store": True}, leave_after=2))
    assert (chats.usage().outcome, chats.usage().quota) == ("abandoned", 1500)
    assert not KeptResponse.objects.exists()
    books_agree()


# --- Thoughts --------------------------------------------------------------------------------------------------------
THINKS = [{"reasoning_content": "They "}, {"reasoning_content": "greet."}, {"content": "Hello"}]


def test_thoughts_are_summed_up_and_come_back_to_who_thought_them(chats: World) -> None:
    chats.upstream.scripts = [sends(*map(chunk, THINKS), DONE)]
    include = {"include": ["reasoning.encrypted_content"]}

    async def scenario(w: World) -> list[Answer]:
        first = await w.client.post(RESPONSES, {**STREAM, **include})
        output = first.events[-1]["response"]["output"]
        again = [{"role": "user", "content": "hi"}, *output, {"role": "user", "content": "again"}]
        second = await w.client.post(RESPONSES, {**ASK, "input": again})
        output[0]["encrypted_content"] = str(sealed.seal_thoughts(w.credential.pk + 1, "of another"))
        third = await w.client.post(RESPONSES, {**ASK, "input": again})
        return [first, second, third]

    answers = chats.play(scenario)
    assert [answer.status for answer in answers] == [200] * 3
    follows_the_rules(answers[0])
    reasoning = answers[0].events[-1]["response"]["output"][0]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "They greet."}]
    second, third = (asked.body["messages"][1] for asked in chats.upstream.asked[1:])
    assert second == {"role": "assistant", "content": "Hello", "reasoning_content": "They greet."}
    assert third == {"role": "assistant", "content": "Hello"}


def test_thoughts_are_sealed_for_who_asks_only(chats: World) -> None:
    chats.upstream.otherwise = sends(*map(chunk, THINKS), DONE)
    assert b"encrypted_content" not in post(chats, RESPONSES, STREAM).body


@pytest.mark.parametrize(
    "content",
    sampled(
        ["gAAAAA", "vh1", "vh1.t..", "vh1.t.{tag}.%%%", "vh1.z.{tag}.IkEi", "vh1.t.{tag}.WzFd", "vh1.c.{tag}.WzFd"],
        keep=3,
    ),
)
def test_what_does_not_read_as_sealed_is_left_out(chats: World, content: str) -> None:
    item = {"type": "reasoning", "encrypted_content": content.format(tag=sealed.tag_of(chats.credential.pk))}
    asked = [{"role": "user", "content": "hi"}, item, {"role": "assistant", "content": "Hello"}]
    assert post(chats, RESPONSES, {**ASK, "input": asked}).status == 200
    assert sent(chats)["messages"][1] == {"role": "assistant", "content": "Hello"}


# --- Oddities of the field -------------------------------------------------------------------------------------------
def test_Q_M3_W16_an_error_inside_a_200_is_told_and_free(chats: World, books_agree: Callable[[], None]) -> None:
    async def scenario(w: World) -> None:
        for name, script in OUT_OF_PLACE:
            w.upstream.otherwise = script
            answer = await w.client.post(RESPONSES, ASK if name.startswith("whole") else STREAM)
            assert answer.status == 502, name

    chats.play(scenario)
    assert not Usage.objects.exclude(quota=0, outcome="failed").exists()
    books_agree()


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_W6_W13_odd_words_are_not_lost(chats: World, streamed: bool) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hello"}]
    choice = {"index": 0, "message": {"content": parts}, "finish_reason": "stop"}
    odd = b'data: {"choices":[{"index":0,"delta":{"content":" \\ud83d"},"logprobs":{"a":NaN}}]}\n\n'
    half = b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n'
    chats.upstream.scripts = [
        sends(chunk({"content": parts}), odd, half, DONE) if streamed else says({"choices": [choice], "usage": USED})
    ]
    answer = post(chats, RESPONSES, STREAM if streamed else ASK)
    said = answer.events[-1]["response"] if streamed else answer.json
    assert said["output"][-1]["content"][0]["text"] == ("Hello \U0001f600" if streamed else "Hello")
