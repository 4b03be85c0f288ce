"""M5, M6, M7, M2: more siblings of what was sold at a wrong price. Reports of other providers, what one request makes
several of, sound that looks like words; what is charged is exact, and held for."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from llm.models import Usage
from tests.conftest import rarely, sampled

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, model
from .test_media import SPEAK, form
from .test_price_siblings import EDITS, PRICES, openai, played
from .test_prices import priced
from .upstream import Asked, Script, chunk, completion, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

HIT = {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}
THOUGHT = {"completion_tokens_details": {"reasoning_tokens": 690}}
# A report, and what it costs: in, read from a cache, written to it, written for an hour, out.
REPORTS: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    "M5 Moonshot's and Together's": (
        {"prompt_tokens": 1336, "completion_tokens": 31, "total_tokens": 1367, "cached_tokens": 1280},
        (56, 1280, 0, 0, 31)),
    "M5 the same under both names": (
        {"prompt_tokens": 1336, "completion_tokens": 31, "total_tokens": 1367, "cached_tokens": 1280,
         "prompt_tokens_details": {"cached_tokens": 1280}}, (56, 1280, 0, 0, 31)),
    "M7 the same and thoughts beside": (
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 800, "cached_tokens": 60, **THOUGHT},
        (40, 60, 0, 0, 700)),
    "M7 DeepSeek's hit and thoughts beside": (
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 800, **HIT, **THOUGHT}, (36, 64, 0, 0, 700)),
    "M7 xAI's cache and thoughts beside": (
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 800, **THOUGHT,
         "prompt_tokens_details": {"cached_tokens": 60}}, (40, 60, 0, 0, 700)),
    "M7 thoughts told beside the details": (
        {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 428, "reasoning_tokens": 400},
        (20, 0, 0, 0, 408)),
    "M7 Gemini's cache and thoughts that nobody tells of": (
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 510,
         "prompt_tokens_details": {"cached_tokens": 60}}, (40, 60, 0, 0, 410)),
    "M5 in Responses' words": (
        {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "input_tokens_details": {"cached_tokens": 60}},
        (40, 60, 0, 0, 20)),
    "M5 in Claude's words": (
        {"input_tokens": 17, "cache_read_input_tokens": 1000, "output_tokens": 5}, (17, 1000, 0, 0, 5)),
    "M5 Claude's, read and written, beside the prompt": (
        {"prompt_tokens": 17, "completion_tokens": 5, "total_tokens": 1122, "cache_read_input_tokens": 1000,
         "cache_creation_input_tokens": 100}, (17, 1000, 100, 0, 5)),
    "M5 LiteLLM's, told twice": (
        {"prompt_tokens": 1017, "completion_tokens": 5, "total_tokens": 1022, "cache_read_input_tokens": 1000,
         "cache_creation_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1000}}, (17, 1000, 0, 0, 5)),
    "new-api's, with names that stay empty": (
        {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28, "input_tokens": 0, "output_tokens": 0,
         "input_tokens_details": None, "claude_cache_creation_5_m_tokens": 0}, (20, 0, 0, 0, 8)),
    "nulls": (
        {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": None, "prompt_tokens_details": None,
         "completion_tokens_details": None, "cache_read_input_tokens": None, "cached_tokens": None}, (20, 0, 0, 0, 8)),
    "a guess that was wrong is inside": (
        {"prompt_tokens": 20, "completion_tokens": 208, "total_tokens": 228, "completion_tokens_details": {
            "rejected_prediction_tokens": 200, "accepted_prediction_tokens": 3}}, (20, 0, 0, 0, 208)),
    "M5 a cache of nothing": (
        {"prompt_tokens": 0, "completion_tokens": 8, "total_tokens": 8, "cached_tokens": 0}, (0, 0, 0, 0, 8)),
}  # fmt: skip


def quota_of(read: int, cached: int, written: int, long: int, wrote: int) -> int:
    """At PRICES, a unit a million being half a quota a token."""
    return -(-(20 * read + 2 * cached + 25 * written + 40 * long + 200 * wrote) // 20)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_Q_M5_M7_a_report_of_any_provider_is_charged_by_kind(
    openai: World, streamed: bool, books_agree: Callable[[], None]
) -> None:
    for usage, _kinds in REPORTS.values():
        last = chunk({}, "stop", usage=usage), b"data: [DONE]\n\n"
        openai.upstream.scripts.append(
            sends(chunk({"content": "hi"}), *last) if streamed else says(completion("x", "hi", usage))
        )
    body = {**(STREAM if streamed else ASK), "model": "thinker"}
    assert {each.status for each in played(openai, *[(CHAT, body)] * len(REPORTS))} == {200}
    rows = Usage.objects.order_by("pk").values_list("usage_source", "quota")
    assert dict(zip(REPORTS, rows, strict=True)) == {
        name: ("provider", quota_of(*kinds)) for name, (_usage, kinds) in REPORTS.items()
    }
    books_agree()


PLAIN = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
# Where in a stream a report may stand besides the usual places.
PLACES: dict[str, tuple[bytes, ...]] = {
    "behind the end, beside a choice that says nothing": (chunk({}, "stop"), chunk({}, usage=PLAIN)),
    "Groq's": (chunk({}, "stop", x_groq={"id": "req_x", "usage": PLAIN}),),
    "with every piece, growing": (chunk({"content": "!"}, usage={**PLAIN, "completion_tokens": 1, "total_tokens": 11}),
                                  chunk({}, "stop", usage=PLAIN)),
    "before the words, and again": (chunk({}, usage={**PLAIN, "completion_tokens": 0, "total_tokens": 10}),
                                    chunk({}, "stop"), chunk({}, usage=PLAIN)),
    "with the end, and zeros behind it": (chunk({}, "stop", usage=PLAIN), b'data: {"choices":[],"usage":{'
                                          b'"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}\n\n'),
    "with the end, and an empty one behind it": (chunk({}, "stop", usage=PLAIN),
                                                 b'data: {"choices":[],"usage":{}}\n\n'),
    "with the end, and null behind it": (chunk({}, "stop", usage=PLAIN), b'data: {"choices":[],"usage":null}\n\n'),
    "something else where Groq's is": (chunk({}, x_groq="x"), chunk({}, "stop", x_groq=None), chunk({}, usage=PLAIN)),
    "twice the same": (chunk({}, "stop", usage=PLAIN), chunk({}, usage=PLAIN), chunk({}, usage=PLAIN)),
}  # fmt: skip


def test_Q_M5_a_report_counts_once_wherever_in_a_stream_it_stands(
    openai: World, books_agree: Callable[[], None]
) -> None:
    openai.upstream.scripts = [sends(chunk({"content": "hi"}), *said, b"data: [DONE]\n\n") for said in PLACES.values()]
    answers = played(openai, *[(CHAT, {**STREAM, "model": "thinker"})] * len(PLACES))
    assert {each.status for each in answers} == {200}
    charged = dict(zip(PLACES, Usage.objects.order_by("pk").values_list("quota", flat=True), strict=True))
    assert charged == dict.fromkeys(PLACES, quota_of(10, 0, 0, 0, 20))
    books_agree()


# --- M5: what Claude does before it answers --------------------------------------------------------------------------
SUMMED = {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500, "cache_read_input_tokens": 2000}
SAID = {"type": "message", "input_tokens": 23_000, "output_tokens": 1000}
TOTAL = {"input_tokens": 23_000, "output_tokens": 1000, "cache_read_input_tokens": 0}
ITERATIONS: dict[str, tuple[list[Any], tuple[int, int, int, int, int]]] = {
    "summed up once": ([SUMMED, SAID], (203_000, 2000, 0, 0, 4500)),
    "summed up twice": ([SUMMED, SUMMED, SAID], (383_000, 4000, 0, 0, 8000)),
    "nothing but the answer, as Ark's": ([SAID], (23_000, 0, 0, 0, 1000)),
    "nonsense": (["x", None, {"type": "compaction", "input_tokens": "x"}], (23_000, 0, 0, 0, 1000)),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_Q_M5_a_conversation_that_is_summed_up_on_the_way_is_paid_for(
    claude: World, streamed: bool, books_agree: Callable[[], None]
) -> None:
    """What a compaction read and wrote stands beside the totals (Anthropic, compaction at a token threshold)."""
    priced("claude", *PRICES)
    for iterations, _kinds in ITERATIONS.values():
        claude.upstream.scripts.append(_message({**TOTAL, "iterations": iterations}, streamed=streamed))
    edits = {"context_management": {"edits": [{"type": "compact_20260112"}]}, "stream": streamed}
    answers = played(claude, *[(MESSAGES, {**CLAUDE, **edits})] * len(ITERATIONS))
    assert {each.status for each in answers} == {200}
    charged = Usage.objects.order_by("pk").values_list("quota", flat=True)
    assert dict(zip(ITERATIONS, charged, strict=True)) == {
        name: quota_of(*kinds) for name, (_given, kinds) in ITERATIONS.items()
    }
    books_agree()


def _message(usage: dict[str, Any], *, streamed: bool) -> Script:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn"}
    if not streamed:
        return says({**message, "content": [{"type": "text", "text": "hi"}], "usage": usage})
    begun = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": 23_000, "output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return sends(*(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in events))


# --- M6: searches ----------------------------------------------------------------------------------------------------
LIVE = {"search_parameters": {"mode": "auto"}}
SEARCHED: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "xAI's sources": (LIVE, {"num_sources_used": 17}, 17),
    "xAI's tools": (LIVE, {"server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 3}}, 5),
    "Perplexity's": ({"web_search_options": {}}, {"num_search_queries": 4, "citation_tokens": 30}, 4),
    "nobody counts": ({"web_search_options": {}}, {}, 1),
    "nobody searched": ({}, {"num_sources_used": 0, "num_search_queries": 0}, 0),
}


def test_Q_M6_as_many_searches_are_paid_as_the_provider_bills(openai: World, books_agree: Callable[[], None]) -> None:
    priced("thinker", *PRICES, ("web_search", "0.01"))
    openai.upstream.scripts = [says(completion("x", "hi", {**PLAIN, **more})) for _a, more, _n in SEARCHED.values()]
    asked = [(CHAT, {**ASK, "model": "thinker", **more}) for more, _usage, _n in SEARCHED.values()]
    assert {each.status for each in played(openai, *asked)} == {200}
    charged = dict(zip(SEARCHED, Usage.objects.order_by("pk").values_list("quota", flat=True), strict=True))
    assert charged == {name: quota_of(10, 0, 0, 0, 20) + 5000 * n for name, (_a, _u, n) in SEARCHED.items()}
    books_agree()


# --- H1, M6: several pictures of one request -------------------------------------------------------------------------
PICTURES = "/v1/images/generations"
SEVERAL: dict[str, tuple[dict[str, Any], int]] = {
    "OpenAI's": ({"n": 4}, 4),
    "SiliconFlow's": ({"batch_size": 4}, 4),
    "Seedream's": ({"sequential_image_generation": "auto",
                    "sequential_image_generation_options": {"max_images": 4}}, 4),
    "Seedream's, as many as it likes": ({"sequential_image_generation": "auto"}, 15),
    "Seedream's, switched off": ({"sequential_image_generation": "disabled",
                                  "sequential_image_generation_options": {"max_images": 4}}, 1),
    "one": ({}, 1),
}  # fmt: skip


@pytest.mark.parametrize(("more", "pieces"), sampled(SEVERAL.values(), keep=4), ids=SEVERAL)
@pytest.mark.parametrize("short", [1, *rarely(0)])
def test_Q_M6_as_many_pictures_are_held_for_as_may_be_drawn(
    world: World, more: dict[str, Any], pieces: int, short: int, books_agree: Callable[[], None]
) -> None:
    model("seedream", capabilities=["image"])
    priced("seedream", ("image", "0.1"))
    world.upstream.otherwise = says({"created": 1, "data": [{"url": "https://x/1"}] * pieces})
    world.give(50_000 * pieces - short)
    (answer,) = played(world, (PICTURES, {"model": "seedream", "prompt": "a cat", **more}))
    if short:
        assert (answer.status, world.upstream.asked) == (402, [])
    else:
        assert (world.usage().quota, world.usage().uncollected, world.wallet.balance) == (50_000 * pieces, 0, 0)
    books_agree()


WRONG = [{"batch_size": "4"}, {"batch_size": 0}, {"sequential_image_generation_options": {"max_images": 99},
         "sequential_image_generation": "auto"}]  # fmt: skip


def test_Q_M6_a_number_of_pictures_that_is_none_is_refused_by_name(openai: World) -> None:
    answers = played(openai, *[(PICTURES, {"model": "painter", "prompt": "x", **more}) for more in WRONG])
    assert [each.status for each in answers] == [400] * len(WRONG)
    assert all(each.json["error"]["param"] in more for each, more in zip(answers, WRONG, strict=True))
    assert openai.upstream.asked == []


def test_Q_M6_a_number_of_pictures_in_a_form_is_a_text(openai: World) -> None:
    priced("painter", ("image", "0.1"))
    openai.upstream.otherwise = says({"created": 1, "data": [{"url": "https://x/1"}]})
    numbers = (("batch_size", "x"), ("n", "2"), ("batch_size", "3"))
    asked = [(EDITS, form(b"png", each, file="image", model="painter", prompt="a hat")) for each in numbers]
    assert [each.status for each in played(openai, *asked)] == [200] * 3


# --- Other operations' reports ---------------------------------------------------------------------------------------
VECTORS = {"data": [{"embedding": [0.1]}]}
RANKS = {"results": [{"index": 0, "relevance_score": 0.9}]}
READ: dict[str, tuple[str, dict[str, Any]]] = {
    "vectors: OpenAI's": ("/v1/embeddings", {**VECTORS, "usage": {"prompt_tokens": 700, "total_tokens": 700}}),
    "vectors: the total alone": ("/v1/embeddings", {**VECTORS, "usage": {"total_tokens": 700}}),
    "vectors: a null before the total": ("/v1/embeddings",
                                         {**VECTORS, "usage": {"prompt_tokens": None, "total_tokens": 700}}),
    "vectors: in newer words": ("/v1/embeddings", {**VECTORS, "usage": {"input_tokens": 700, "output_tokens": 0}}),
    "ranks: Jina's": ("/v1/rerank", {**RANKS, "usage": {"total_tokens": 700}}),
    "ranks: SiliconFlow's and Cohere's": ("/v1/rerank", {**RANKS, "meta": {
        "billed_units": {"input_tokens": 700, "output_tokens": 0, "search_units": 0},
        "tokens": {"input_tokens": 700, "output_tokens": 0}}}),
    "ranks: Cohere's, with nulls": ("/v1/rerank", {**RANKS, "usage": None, "meta": {
        "tokens": {"input_tokens": 700, "output_tokens": None}}}),
}  # fmt: skip


def test_Q_M5_what_was_read_is_charged_as_it_is_reported(openai: World, books_agree: Callable[[], None]) -> None:
    model("reader", provider="openai", capabilities=["embedding", "rerank"])
    priced("reader", ("input", "2"), ("output", "2"))
    openai.upstream.scripts = [says(said) for _path, said in READ.values()]
    bodies = {"/v1/embeddings": {"input": "hi"}, "/v1/rerank": {"query": "a", "documents": ["b"]}}
    answers = played(openai, *[(path, {"model": "reader", **bodies[path]}) for path, _said in READ.values()])
    assert {each.status for each in answers} == {200}
    rows = Usage.objects.order_by("pk").values_list("usage_source", "quota")
    assert dict(zip(READ, rows, strict=True)) == dict.fromkeys(READ, ("provider", 700))
    books_agree()


# --- M2: sound that begins like words --------------------------------------------------------------------------------
def sound_of(body: bytes, kind: str) -> Script:
    async def answer(asked: Asked) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind)

    return answer


SOUNDS: dict[str, tuple[bytes, str, int]] = {
    "samples that begin like a tag": (b"<\x00\x3d\x00\xff\xfe" * 400, "audio/pcm", 200),
    "samples behind what looks like blanks": (b" \t\x0a\x0d<\x01\x80\xff" * 400, "application/octet-stream", 200),
    "samples that are all blanks": (b"\x20\x09" * 400 + b"\x00\x01", "audio/pcm", 200),
    "silence": (bytes(4000), "audio/pcm", 200),
    "a tag": (b"<error>boiler broke</error>", "audio/pcm", 502),
    "an excuse": (b"Bad Gateway", "audio/pcm", 502),
    "an excuse in Chinese": ('<错误 代码="5">锅炉坏了</错误>'.encode(), "audio/pcm", 502),
}


def test_Q_M2_samples_are_sound_whatever_they_look_like(openai: World, books_agree: Callable[[], None]) -> None:
    """One in 256 raw recordings begins with the byte that is "<"."""
    openai.upstream.scripts = [sound_of(body, kind) for body, kind, _status in SOUNDS.values()]
    path, body = SPEAK
    answers: list[Answer] = played(openai, *[(path, {**body, "response_format": "pcm"})] * len(SOUNDS))
    assert dict(zip(SOUNDS, (each.status for each in answers), strict=True)) == {
        name: status for name, (_body, _kind, status) in SOUNDS.items()
    }
    assert answers[0].body.endswith(SOUNDS["samples that begin like a tag"][0])
    assert [quota > 0 for quota in Usage.objects.order_by("pk").values_list("quota", flat=True)] == [
        each.status == 200 for each in answers
    ]
    books_agree()


def test_Q_M2_a_picture_without_a_report_is_not_given_away(openai: World, books_agree: Callable[[], None]) -> None:
    """Its model is paid by the token: what it has may be only estimated."""
    openai.upstream.otherwise = says({"created": 1, "data": [{"b64_json": "AAAA"}, {"b64_json": "AAAA"}]})
    answer = played(openai, (PICTURES, {"model": "painter", "prompt": "word " * 76, "n": 2}))[0]
    assert (answer.status, openai.usage().usage_source) == (200, "estimate")
    # Half a quota for each unit a million.
    assert openai.usage().quota == (100 * 10 + 2 * 1056 * 80) // 2
    books_agree()


__all__ = ["openai"]
