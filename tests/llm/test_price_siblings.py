"""M5, M6, M7, O1: siblings of what was sold at a wrong price. Reports of other shapes, pictures made of pictures, what
costs more under other names; what is charged is exact."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Credential, Usage

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, model
from .test_billing import wav
from .test_media import KIND, form
from .test_prices import priced
from .upstream import chunk, completion, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

# A quota is two millionths of a unit: one token at one unit a million is half a quota.
PRICES = [("input", "2"), ("cache_read", "0.2"), ("cache_write", "2.5"), ("cache_write_long", "4"), ("output", "20")]
EDITS = "/v1/images/edits"


@pytest.fixture
def openai(world: World) -> World:
    world.give(10**9)
    Credential.objects.update(provider="openai", max_retries=1)
    model("thinker", provider="openai", capabilities=["chat"], max_tokens=4096)
    model("painter", provider="openai", capabilities=["image"], max_tokens=4096)
    priced("thinker", *PRICES)
    priced("painter", ("input", "10"), ("input_image", "20"), ("output", "20"), ("output_image", "80"))
    return world


def played(world: World, *asked: tuple[str, Any]) -> list[Answer]:
    async def scenario(w: World) -> list[Answer]:
        return [
            await w.client.post(path, body, headers=KIND if isinstance(body, bytes) else {}) for path, body in asked
        ]

    answers: list[Answer] = world.play(scenario)
    return answers


# --- M5, M7: reports ---------------------------------------------------------------------------------------------
DETAILS = {"cached_tokens": 0, "cache_creation_tokens": 1000}
SPLIT = {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600}
# A report, and what it costs: in, read, written, written for an hour, out.
REPORTS: dict[str, tuple[dict[str, Any], tuple[int, int, int, int, int]]] = {
    "M7 thoughts that only the total tells of": (
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}, (20, 0, 0, 0, 603)),
    "M7 nothing but thoughts": (
        {"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 420}, (20, 0, 0, 0, 400)),
    "M7 thoughts beside, of which none are told": (
        {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28,
         "completion_tokens_details": {"reasoning_tokens": 5}}, (20, 0, 0, 0, 8)),
    "M7 a total that is less": ({"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 1}, (20, 0, 0, 0, 8)),
    "M5 Claude's cache beside the prompt": (
        {"prompt_tokens": 17, "completion_tokens": 5, "total_tokens": 1022, "cache_read_input_tokens": 1000},
        (17, 1000, 0, 0, 5)),
    "M5 what was written, told beside the details": (
        {"prompt_tokens": 1017, "completion_tokens": 5, "total_tokens": 1022, "cache_creation_input_tokens": 1000,
         "prompt_tokens_details": {"cached_tokens": 0}}, (17, 0, 1000, 0, 5)),
    "M5 LiteLLM's hour": (
        {"prompt_tokens": 1017, "completion_tokens": 5, "total_tokens": 1022,
         "prompt_tokens_details": {**DETAILS, "cache_creation_token_details": SPLIT}}, (17, 0, 400, 600, 5)),
    "M5 Claude's hour in chat's shape": (
        {"prompt_tokens": 1017, "completion_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": SPLIT},
        (17, 0, 400, 600, 5)),
    "M5 DeepSeek's hit and miss": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_cache_hit_tokens": 64,
         "prompt_cache_miss_tokens": 36}, (36, 64, 0, 0, 5)),
    "M5 more cached than there was": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 50}},
        (0, 10, 0, 0, 5)),
}  # fmt: skip


@pytest.mark.parametrize("streamed", ["whole", "streamed", "in the choice"])
def test_Q_M5_M7_a_report_of_any_shape_is_charged_by_kind(
    openai: World, streamed: str, books_agree: Callable[[], None]
) -> None:
    """Moonshot's report stands in the choice."""
    for usage, _kinds in REPORTS.values():
        if streamed == "whole":
            openai.upstream.scripts.append(says(completion("x", "hi", usage)))
            continue
        last = chunk({}, "stop", usage=usage)
        if streamed == "in the choice":
            choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}
            last = b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()
        openai.upstream.scripts.append(sends(chunk({"content": "hi"}), last, b"data: [DONE]\n\n"))
    body = {**(ASK if streamed == "whole" else STREAM), "model": "thinker"}
    answers = played(openai, *[(CHAT, body)] * len(REPORTS))
    assert {answer.status for answer in answers} == {200}
    rows = Usage.objects.order_by("pk")
    assert dict(zip(REPORTS, rows.values_list("usage_source", flat=True), strict=True)) == dict.fromkeys(
        REPORTS, "provider"
    )
    expected = {}
    for name, (_usage, (read, cached, written, long, wrote)) in REPORTS.items():
        # A unit a million is half a quota a token.
        twentieths = 20 * read + 2 * cached + 25 * written + 40 * long + 200 * wrote
        expected[name] = -(-twentieths // 20)
    assert dict(zip(REPORTS, rows.values_list("quota", flat=True), strict=True)) == expected
    books_agree()


# --- M5, M6: pictures ----------------------------------------------------------------------------------------------
def test_Q_M5_a_picture_made_of_a_picture_is_paid_like_one_that_is_drawn(
    openai: World, books_agree: Callable[[], None]
) -> None:
    """The edits tell no more of their output than how much it was (BerriAI/litellm#31142)."""
    details = {"text_tokens": 20, "image_tokens": 300}
    usage = {"input_tokens": 320, "output_tokens": 1000, "total_tokens": 1320, "input_tokens_details": details}
    told = {**usage, "output_tokens_details": {"text_tokens": 100, "image_tokens": 900}}
    picture = {"created": 1, "data": [{"b64_json": "AAAA"}]}
    openai.upstream.scripts = [says({**picture, "usage": each}) for each in (usage, usage, told)]
    edit = form(b"png", file="image", model="painter", prompt="a hat")
    answers = played(
        openai, (EDITS, edit), ("/v1/images/generations", {"model": "painter", "prompt": "x"}), (EDITS, edit)
    )
    assert [answer.status for answer in answers] == [200] * 3
    # Half a quota for each unit a million.
    plain = (20 * 10 + 300 * 20 + 1000 * 80) // 2
    mixed = (20 * 10 + 300 * 20 + 100 * 20 + 900 * 80) // 2
    assert list(Usage.objects.order_by("pk").values_list("quota", flat=True)) == [plain, plain, mixed]
    books_agree()


LARGE: dict[str, Any] = {
    "stars": {"size": "1792*1024"},
    "a large X": {"size": "1792X1024"},
    "a sign": {"size": "1792×1024"},
    "blanks": {"size": " 1792x1024 "},
    "in words": {"size": "4K"},
    "in small words": {"size": "2k"},
    "fine, in capitals": {"quality": "HD"},
}
TWICE: dict[str, tuple[tuple[str, str], ...]] = {
    "M6 a size twice": (("size", "1024x1024"), ("size", "1792x1024")),
    "M6 a quality twice": (("quality", "standard"), ("quality", "hd")),
    "M6 a model twice": (("model", "dall-e-3"),),
    "M6 a number twice": (("n", "1"), ("n", "9")),
}


def test_Q_M6_pictures_that_cost_more_are_refused_however_that_is_written(openai: World) -> None:
    asked = [("/v1/images/generations", {"model": "dall-e-3", "prompt": "x", **more}) for more in LARGE.values()]
    asked += [(EDITS, form(b"png", *more, file="image", model="dall-e-3", prompt="x")) for more in TWICE.values()]
    answers = played(openai, *asked)
    found = {
        name: (each.status, each.json["error"]["code"] == "no_price")
        for name, each in zip([*LARGE, *TWICE], answers, strict=True)
    }
    assert found == dict.fromkeys(LARGE, (400, True)) | dict.fromkeys(TWICE, (400, False))
    assert openai.upstream.asked == []


# --- M6: what costs more ---------------------------------------------------------------------------------------------
SEARCHING: dict[str, dict[str, Any]] = {
    "Groq": {"tools": [{"type": "browser_search"}]},
    "OpenRouter": {"tools": [{"type": "openrouter:web_search"}]},
    "Gemini": {"tools": [{"google_search": {}}]},
    "Gemini, in camels": {"tools": [{"googleSearch": {}}]},
    "Baidu": {"web_search": {"enable": True}},
    "Hunyuan": {"enable_enhancement": True},
    "Hunyuan, always": {"force_search_enhancement": True},
    "Cohere": {"connectors": [{"id": "web-search"}]},
    "what a library would have unpacked": {"extra_body": {"enable_search": True}},
    "a tool there": {"extra_body": {"tools": [{"google_search": {}}]}},
    "OpenAI, of the day": {"tools": [{"type": "web_search_preview_2025_03_11"}]},
}
SEARCHING_NOTHING: dict[str, dict[str, Any]] = {
    "Baidu": {"web_search": {"enable": False}},
    "Hunyuan": {"enable_enhancement": False},
    "Cohere": {"connectors": [{"id": "my-files"}]},
    "a function of the client's": {"tools": [{"type": "function", "function": {"name": "google_search"}}]},
    "other things beside": {"extra_body": {"enable_thinking": False}},
}


def test_Q_M6_searches_are_refused_by_other_names_too(openai: World) -> None:
    asked = [(CHAT, {**ASK, "model": "thinker", **more}) for more in [*SEARCHING.values(), *SEARCHING_NOTHING.values()]]
    answers = played(openai, *asked)
    codes = [each.status if each.status == 200 else each.json["error"]["code"] for each in answers]
    assert codes == ["no_price"] * len(SEARCHING) + [200] * len(SEARCHING_NOTHING)
    assert len(openai.upstream.asked) == len(SEARCHING_NOTHING)


DEARER: dict[str, dict[str, Any]] = {
    "an adviser, which is another model": {
        "tools": [{"type": "advisor_20260301", "name": "a", "model": "claude-opus"}]
    },
    "code in a container": {"tools": [{"type": "code_execution_20250825", "name": "c"}]},
    "fast": {"speed": "fast"},
    "in one country": {"inference_geo": "us"},
    "a tier": {"service_tier": "priority"},
    "a search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
}


def test_Q_M6_what_claude_would_charge_more_for_is_refused(claude: World) -> None:
    answers = played(claude, *[(MESSAGES, {**CLAUDE, **more}) for more in DEARER.values()])
    assert dict(zip(DEARER, (each.status for each in answers), strict=True)) == dict.fromkeys(DEARER, 400)
    assert claude.upstream.asked == []


# --- O1, M8: recordings ----------------------------------------------------------------------------------------------
LENGTHS: dict[str, tuple[Any, int]] = {
    "milliseconds": (60_000, 60),
    "a text": ("59.2", 60),
    "nonsense": ("long", 60),
    "nothing": (0, 60),
    "below nothing": (-5, 60),
    "true": (True, 60),
    "no number": (float("nan"), 60),
}


def test_Q_O1_a_recording_is_as_long_as_it_can_be(openai: World, books_agree: Callable[[], None]) -> None:
    openai.upstream.scripts = [says({"text": "x", "duration": told}) for told, _ in LENGTHS.values()]
    content = form(wav(60), model="whisper-1", response_format="verbose_json")
    assert {each.status for each in played(openai, *[("/v1/audio/transcriptions", content)] * len(LENGTHS))} == {200}
    seconds = Usage.objects.order_by("pk").values_list("input_tokens", flat=True)
    assert dict(zip(LENGTHS, seconds, strict=True)) == {name: length for name, (_told, length) in LENGTHS.items()}
    books_agree()
