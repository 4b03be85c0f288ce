"""M2, M8, W15, W16: siblings in the form of answers. One is an answer in whatever form it comes, and is asked for once;
why it ends is said in every dialect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Usage

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, post
from .test_wording_siblings import RESPONSES, SAID
from .upstream import DONE, USED, Script, chunk, completion, says, sends, tokens

pytestmark = pytest.mark.django_db(transaction=True)


# --- M2, M8: an answer that was promised in another form -------------------------------------------------------------
EVENTS = (chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), DONE)
FORMS: dict[str, tuple[bool, Script]] = {
    "events where a whole answer was asked for": (False, sends(*EVENTS)),
    "the same, called JSON": (False, sends(*EVENTS, kind="application/json")),
    "the same, behind a comment": (False, sends(b": PROCESSING\n\n", *EVENTS)),
    "the same, in one packet, called text": (False, sends(b"".join(EVENTS), kind="text/plain")),
    "a whole answer where events were asked for, called events": (
        True, sends(json.dumps(completion("x", "Hello", tokens((10, 20)))).encode())),
    "the same, called text, over several lines": (
        True, sends(json.dumps(completion("x", "Hello", tokens((10, 20))), indent=1).encode(), kind="text/plain")),
    "the same, with a mark": (
        True, sends(b"\xef\xbb\xbf" + json.dumps(completion("x", "Hello", tokens((10, 20)))).encode())),
    "events, called JSON": (True, sends(*EVENTS, kind="application/json")),
    "events, called nothing known": (True, sends(*EVENTS, kind="application/octet-stream")),
}  # fmt: skip


@pytest.mark.parametrize("door", [CHAT, MESSAGES], ids=["passing", "translated"])
def test_Q_M2_an_answer_in_another_form_is_one_and_asked_for_once(
    rich: World, door: str, books_agree: Callable[[], None]
) -> None:
    rich.upstream.scripts = [script for _streamed, script in FORMS.values()]

    async def scenario(w: World) -> dict[str, tuple[int, bool, int]]:
        found = {}
        for name, (streamed, _script) in FORMS.items():
            before = len(w.upstream.asked)
            answer = await w.client.post(door, {**ASK, "stream": streamed})
            found[name] = (answer.status, _words(door, answer, streamed) == "Hello", len(w.upstream.asked) - before)
        return found

    assert rich.play(scenario) == dict.fromkeys(FORMS, (200, True, 1))
    assert set(Usage.objects.values_list("quota", "usage_source")) == {(1500, "provider")}
    books_agree()


def _words(door: str, answer: Answer, streamed: bool) -> str:
    if answer.status != 200:
        return ""
    if door == CHAT:
        return answer.text if streamed else str(answer.json["choices"][0]["message"]["content"])
    if streamed:
        return "".join(data["delta"].get("text", "") for _name, data in answer.told if "delta" in data)
    return "".join(block.get("text", "") for block in answer.json["content"])


# --- W: streams ------------------------------------------------------------------------------------------------------
FILTERS = b'data: {"choices":[],"id":"","object":"","prompt_filter_results":[{"prompt_index":0}]}\n\n'
ODD: dict[str, tuple[bytes, ...]] = {
    "Azure's filter first": (FILTERS, chunk({"role": "assistant"}), chunk({"content": "Hello"}), DONE),
    "no number of a choice": (b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n', DONE),
    "the end with every piece": (chunk({"content": "Hel"}, "stop"), chunk({"content": "lo"}, "stop"), DONE),
    "the end with the last words": (chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop", usage=USED),
                                    b"data: [DONE]\n\n"),
    "calls that are null": (chunk({"content": "Hello", "tool_calls": None, "function_call": None}), DONE),
    "calls that are none": (chunk({"content": "Hello", "tool_calls": []}), DONE),
    "names that nobody knows": (chunk({"content": "Hello", "x": None, "obfuscation": ""}), DONE),
    "the end twice": (chunk({"content": "Hello"}), DONE, b"data: [DONE]\n\n"),
    "events with names": (b"event: message\n" + chunk({"content": "Hello"}), b"event: done\n" + DONE),
    "a comment in an event": (b": x\n" + chunk({"content": "Hello"}), b":\n\n", DONE),
    "an error that is null": (chunk({"content": "Hello"}, error=None), DONE),
    "an error that is empty": (chunk({"content": "Hello"}, error={}), DONE),
    "a code that is none": (chunk({"content": "Hello"}, code=0, message="ok"), DONE),
    "an error behind the end": (chunk({"content": "Hello"}), chunk({}, "stop", usage=USED), b"data: [DONE]\n\n",
                                b'data: {"error":{"message":"late"}}\n\n'),
}  # fmt: skip


@pytest.mark.parametrize("door", [CHAT, MESSAGES], ids=["passing", "translated"])
def test_Q_W15_streams_with_odd_pieces_are_whole(rich: World, door: str, books_agree: Callable[[], None]) -> None:
    rich.upstream.scripts = [sends(*blocks) for blocks in ODD.values()]

    async def scenario(w: World) -> dict[str, str]:
        return {name: _text(door, await w.client.post(door, STREAM)) for name in ODD}

    assert rich.play(scenario) == dict.fromkeys(ODD, "Hello")
    assert len(rich.upstream.asked) == len(ODD)
    charged = dict(zip(ODD, Usage.objects.order_by("pk").values_list("quota", flat=True), strict=True))
    assert charged == dict.fromkeys(ODD, 1500)
    books_agree()


def _text(door: str, answer: Answer) -> str:
    if door == MESSAGES:
        return _words(door, answer, True)
    choices = [choice for event in answer.events if event != "[DONE]" for choice in event.get("choices") or ()]
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)


# --- Endings ---------------------------------------------------------------------------------------------------------
# Why an answer ends, and what is said of it in Anthropic's words and in Responses'.
ENDINGS: dict[str, tuple[str, str, str]] = {
    "Mistral's": ("model_length", "max_tokens", "max_output_tokens"),
    "Gemini's": ("MAX_TOKENS", "max_tokens", "max_output_tokens"),
    "Claude's, through a gateway": ("max_tokens", "max_tokens", "max_output_tokens"),
    "in capitals": ("STOP", "end_turn", ""),
    "Zhipu's": ("sensitive", "refusal", "content_filter"),
    "Gemini's filter": ("SAFETY", "refusal", "content_filter"),
    "Together's": ("eos", "end_turn", ""),
    "calls that there are none of": ("tool_calls", "end_turn", ""),
    "the same, in other words": ("tool_use", "end_turn", ""),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_Q_W16_an_answer_that_was_cut_says_so_in_every_dialect(rich: World, streamed: bool) -> None:
    """Who takes half an answer for all of it goes on with it; who waits for a call that there is none of, for ever."""

    async def scenario(w: World) -> dict[str, tuple[str, str]]:
        found = {}
        for name, (reason, _messages, _responses) in ENDINGS.items():
            w.upstream.otherwise = sends(chunk({"content": "Hel"}), chunk({}, reason, usage=USED), b"data: [DONE]\n\n")
            said = await w.client.post(MESSAGES, {**ASK, "stream": streamed})
            stop = said.told[-2][1]["delta"]["stop_reason"] if streamed else said.json["stop_reason"]
            answer = await w.client.post(RESPONSES, {"model": "doubao-pro", "input": "Hi", "stream": streamed})
            told = answer.told[-1][1]["response"] if streamed else answer.json
            found[name] = (stop, (told["incomplete_details"] or {}).get("reason", ""))
        return found

    assert rich.play(scenario) == {name: ending[1:] for name, ending in ENDINGS.items()}


# --- M2: a message that came whole -----------------------------------------------------------------------------------
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm", "signature": "s=="},
    {"type": "text", "text": "Hello"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    {"type": "of_the_future", "x": 1},
]


def test_Q_M2_a_whole_message_where_events_were_asked_for_is_told_in_events(
    claude: World, books_agree: Callable[[], None]
) -> None:
    claude.upstream.scripts = [says({**SAID, "content": BLOCKS, "stop_reason": "tool_use"})]
    answer = post(claude, MESSAGES, {**CLAUDE, "stream": True})
    assert (answer.status, len(claude.upstream.asked)) == (200, 1), answer.body
    told = answer.told
    assert [name for name, _data in told[:2]] == ["message_start", "content_block_start"]
    assert [name for name, _data in told[-2:]] == ["message_delta", "message_stop"]
    assert told[0][1]["message"]["model"] == "claude"
    found: dict[int, dict[str, Any]] = {}
    for _name, data in told:
        if "content_block" in data:
            found[data["index"]] = dict(data["content_block"])
        for name, value in data["delta"].items() if "index" in data and "delta" in data else ():
            if name != "type":
                found[data["index"]][name] = found[data["index"]].get(name, "") + value
    found[2]["input"] = json.loads(found[2].pop("partial_json"))
    assert list(found.values()) == BLOCKS
    assert told[-2][1]["delta"]["stop_reason"] == "tool_use"
    assert (claude.usage().quota, claude.usage().usage_source) == (1500, "provider")
    books_agree()


def test_Q_M2_a_message_in_events_where_a_whole_one_was_asked_for_is_one(
    claude: World, books_agree: Callable[[], None]
) -> None:
    whole = {**SAID, "content": BLOCKS, "stop_reason": "tool_use", "stop_sequence": None}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for index, block in enumerate(BLOCKS):
        given = {**block, **{name: "" for name in ("text", "thinking", "signature") if name in block}}
        told.append({"type": "content_block_start", "index": index, "content_block": given})
        for name, kind in (("text", "text_delta"), ("thinking", "thinking_delta"), ("signature", "signature_delta")):
            if name in block:
                told.append({"type": "content_block_delta", "index": index, "delta": {"type": kind, name: block[name]}})
        if "input" in block:
            told[-1]["content_block"]["input"] = {}
            for piece in ('{"a"', ":1}"):
                delta = {"type": "input_json_delta", "partial_json": piece}
                told.append({"type": "content_block_delta", "index": index, "delta": delta})
        told.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    told += [{"type": "message_delta", "delta": ending, "usage": SAID["usage"]}, {"type": "message_stop"}]
    lines = (b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in told)
    claude.upstream.scripts = [sends(*lines)]
    answer = post(claude, MESSAGES, CLAUDE)
    assert (answer.status, len(claude.upstream.asked)) == (200, 1), answer.body
    assert answer.json == {**whole, "model": "claude"}
    assert (claude.usage().quota, claude.usage().usage_source) == (1500, "provider")
    books_agree()
