"""Siblings of the models' incidents: the same kinds in another dialect or field, whole instead of streamed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.api.v1 import path_of
from llm.models import Model, Usage
from llm.seeds import plant
from tests.conftest import sampled

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, World, account, model, post
from .test_responses_upstream import QUOTA, STREAMS, blocks, codex
from .upstream import USED, Asked, chunk, completion, says, sends, tokens

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
CODEX: dict[str, Any] = {"model": "codex", "input": "Hi", "max_output_tokens": 100}


# --- M2, M3, W16: a 200 that is no answer ----------------------------------------------------------------------------
ENDINGS = ["network_error", "insufficient_system_resource", "abort", "error"]


@pytest.mark.parametrize("reason", sampled(ENDINGS, keep=2))
@pytest.mark.parametrize("door", [CHAT, MESSAGES], ids=["passing", "translated"])
def test_Q_W16_an_answer_that_ends_because_something_failed_is_none(
    rich: World, reason: str, door: str, books_agree: Callable[[], None]
) -> None:
    """Zhipu's, DeepSeek's and SGLang's words for it; what was counted is not asked for again."""
    said = completion("x", "Hel", tokens((10, 20)))
    said["choices"][0]["finish_reason"] = reason
    streamed = sends(chunk({"content": "Hel"}), chunk({}, reason, usage=USED), b"data: [DONE]\n\n")

    async def answers(asked: Asked) -> Any:
        return await (streamed if asked.body.get("stream") else says(said))(asked)

    rich.upstream.otherwise = answers
    answer = post(rich, door, {**ASK, "fallbacks": ["doubao-lite"]})
    assert answer.status == 502, answer.body
    assert (len(rich.upstream.asked), rich.usage().quota, rich.usage().outcome) == (1, 0, "failed")
    books_agree()


NAMED_ERRORS = {
    "beside": b'event: error\ndata: {"code":"Throttling","message":"boiler broke"}\n\n',
    "numbered": b'data: {"error_code":18,"error_msg":"boiler broke"}\n\n',
    "in words": b"event: error\ndata: boiler broke\n\n",
}


@pytest.mark.parametrize("said", sampled(NAMED_ERRORS.values(), keep=2), ids=NAMED_ERRORS)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", ["claude", "doubao-pro"], ids=["passing", "translated"])
def test_Q_M3_an_error_of_any_shape_in_a_stream_of_messages_is_told_and_free(
    claude: World, said: bytes, streamed: bool, name: str, books_agree: Callable[[], None]
) -> None:
    if name == "claude" and not streamed:
        # There the error is the whole body.
        said = json.dumps({"type": "error", "error": {"type": "api_error", "message": "boiler broke"}}).encode()
        claude.upstream.otherwise = sends(said, kind="application/json")
    else:
        claude.upstream.otherwise = sends(said, b"data: [DONE]\n\n")
    answer = post(claude, MESSAGES, {**CLAUDE, "model": name, "stream": streamed})
    assert answer.status in (429, 502)
    assert "boiler broke" in answer.json["error"]["message"]
    assert claude.usage().quota == 0
    books_agree()


# --- M6: what costs more and has no price ----------------------------------------------------------------------------
SEARCHING: dict[str, tuple[dict[str, Any], str]] = {
    "Qwen": ({"enable_search": True}, "enable_search"),
    "xAI": ({"search_parameters": {"mode": "auto"}}, "search_parameters"),
    "xAI, by a tool": ({"tools": [{"type": "x_search"}]}, "tools"),
    "OpenRouter": ({"plugins": [{"id": "web", "max_results": 3}]}, "plugins"),
    "Zhipu": ({"tools": [{"type": "web_search", "web_search": {"enable": True}}]}, "tools"),
    "Moonshot": ({"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}, "tools"),
}
FREE: dict[str, dict[str, Any]] = {
    "Qwen": {"enable_search": False},
    "xAI": {"search_parameters": {"mode": "off"}},
    "OpenRouter": {"plugins": [{"id": "file-parser"}]},
    "a function": {"tools": [{"type": "function", "function": {"name": "web_search", "parameters": {}}}]},
}


@pytest.mark.parametrize(("more", "param"), SEARCHING.values(), ids=SEARCHING)
def test_Q_M6_searches_are_refused_by_whatever_name_they_go(rich: World, more: dict[str, Any], param: str) -> None:
    answer = post(rich, CHAT, {**ASK, **more})
    error = answer.json["error"]
    assert (answer.status, error["code"], error["param"]) == (400, "no_price", param)
    assert (rich.upstream.asked, rich.wallet.held) == ([], 0)


@pytest.mark.parametrize("more", FREE.values(), ids=FREE)
def test_what_searches_nothing_is_no_search(rich: World, more: dict[str, Any]) -> None:
    assert post(rich, CHAT, {**ASK, **more}).status == 200


@pytest.mark.parametrize("tools", ["x", ["x"], [None], {"a": 1}])
def test_tools_that_are_none_are_the_clients_mistake_in_every_dialect(claude: World, tools: Any) -> None:
    claude.upstream.otherwise = says({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}, 400)

    async def scenario(w: World) -> list[int]:
        asked = [(CHAT, ASK), (MESSAGES, CLAUDE), (MESSAGES, ASK), (RESPONSES, {**CODEX, "model": "doubao-pro"})]
        return [(await w.client.post(door, {**body, "tools": tools})).status for door, body in asked]

    assert claude.play(scenario) == [400] * 4


# --- W3, W6, W13, W15: odd shapes, whole -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["tool_calls", "function_call"])
def test_Q_W3_arguments_that_are_an_object_become_a_text_in_a_whole_answer_too(rich: World, name: str) -> None:
    said = completion("x", "", tokens((10, 20)))
    function = {"name": "f", "arguments": {"city": "Xi'an"}}
    calls: Any = function if name == "function_call" else [{"id": "c", "type": "function", "function": function}]
    said["choices"][0]["message"][name] = calls
    rich.upstream.otherwise = says(said)
    answer = post(rich, CHAT, ASK)
    assert answer.status == 200, answer.body
    found = answer.json["choices"][0]["message"][name]
    called = found if name == "function_call" else found[0]["function"]
    assert json.loads(called["arguments"]) == {"city": "Xi'an"}
    assert rich.usage().quota == 1500


@pytest.mark.parametrize("door", [CHAT, MESSAGES], ids=["passing", "translated"])
def test_Q_W15_a_mark_before_a_whole_answer_is_no_part_of_it(rich: World, door: str) -> None:
    said = b"\xef\xbb\xbf" + json.dumps(completion("x", "Hello", tokens((10, 20)))).encode()
    rich.upstream.otherwise = sends(said, kind="application/json; charset=utf-8")
    answer = post(rich, door, ASK)
    assert answer.status == 200, answer.body
    assert "Hello" in json.dumps(answer.json)
    assert rich.usage().usage_source == "provider"


@pytest.mark.parametrize("door", [CHAT, MESSAGES, RESPONSES])
def test_Q_W6_W13_numbers_that_are_none_and_content_in_parts_are_read_whole(rich: World, door: str) -> None:
    said = completion("x", "", tokens((10, 20)))
    said["choices"][0]["message"]["content"] = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    said["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": float("-inf")}]}
    rich.upstream.otherwise = sends(json.dumps(said).encode(), kind="application/json")
    body = {"model": "doubao-pro", "input": "Hi"} if door == RESPONSES else ASK
    answer = post(rich, door, body)
    assert answer.status == 200, answer.body
    assert '"Hello"' in json.dumps(answer.json)
    assert b"Infinity" not in answer.body


# --- M8, M9: slow and large, in other dialects -----------------------------------------------------------------------
def test_Q_M9_one_large_event_is_read_where_a_whole_answer_is_put_together(rich: World) -> None:
    large = "x" * (2 * 1024 * 1024)
    said = chunk({"content": large}) + chunk({}, "stop", usage=USED) + b"data: [DONE]\n\n"
    rich.upstream.otherwise = sends(*(said[at : at + 100_000] for at in range(0, len(said), 100_000)))
    answer = post(rich, MESSAGES, ASK)
    assert answer.json["content"][0]["text"] == large


def test_Q_M8_what_may_have_begun_is_not_drawn_again(rich: World, books_agree: Callable[[], None]) -> None:
    plant(Model)
    account(rich, "painter", provider="openai", priority=9)
    model("painter", provider="openai", capabilities=["image"], max_tokens=4096)
    rich.upstream.otherwise = says({"error": "upstream timed out"}, 504)
    answer = post(rich, "/v1/images/generations", {"model": "painter", "prompt": "a cat"})
    assert (answer.status, len(rich.upstream.asked)) == (504, 1)
    assert Usage.objects.get().quota == 0
    books_agree()


# --- C4: who we are to a provider ------------------------------------------------------------------------------------
def test_Q_C4_a_response_that_failed_does_not_tell_who_we_are(codex: World, books_agree: Callable[[], None]) -> None:
    said = {**STREAMS["text"][-1]["response"], "status": "failed", "output": []}
    said["error"] = {"code": "rate_limit_exceeded", "message": "Limit of organization org-AbC123xyz reached"}
    last = {"type": "response.failed", "response": said, "sequence_number": 99}
    begun = blocks("text")[:6]
    codex.upstream.otherwise = sends(*begun, b"event: response.failed\ndata: %b\n\n" % json.dumps(last).encode())
    answer = post(codex, RESPONSES, {**CODEX, "stream": True})
    assert b"org-AbC123xyz" not in answer.body
    name, told = answer.told[-1]
    assert (name, told["response"]["status"], told["response"]["error"]["code"]) == (
        "response.failed", "failed", "rate_limit_exceeded",
    )  # fmt: skip
    assert (told["sequence_number"], told["response"]["model"]) == (99, "codex")
    assert codex.usage().quota == QUOTA
    books_agree()


def test_Q_C4_a_response_that_failed_otherwise_passes_as_it_came(codex: World) -> None:
    said = {**STREAMS["text"][-1]["response"], "status": "failed", "error": {"code": "x", "message": "boiler broke"}}
    last = {"type": "response.failed", "response": said, "sequence_number": 99, "new": 1.50}
    block = b"event: response.failed\ndata: %b\n\n" % json.dumps(last).replace("1.5", "1.50").encode()
    codex.upstream.otherwise = sends(*blocks("text")[:6], block)
    answer = post(codex, RESPONSES, {**CODEX, "stream": True, "store": False})
    assert answer.body.endswith(block.replace(b'"gpt-4o"', b'"codex"'))


# --- C5, C6: addresses -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("//v1/chat/completions//", "/v1/chat/completions"),
        ("/v1///v1//messages", "/v1/messages"),
        ("//responses", "/v1/responses"),
        ("/chat//completions/", "/v1/chat/completions"),
        ("//", None),
    ],
)
def test_Q_C5_slashes_too_many_are_one(path: str, meant: str | None) -> None:
    assert path_of(path) == meant


def test_Q_C6_doors_with_slashes_are_served(rich: World) -> None:
    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post("/v1//chat/completions/", ASK), await w.client.post("//v1/messages", ASK)]

    assert [answer.status for answer in rich.play(scenario)] == [200, 200]


__all__ = ["codex"]
