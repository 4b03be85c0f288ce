"""The doors of /v1: what goes wrong, what takes long, and what else there is."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest
from aiohttp import web
from backports import zstd

from llm.api import v1_request
from llm.api.v1_body import unpacked
from llm.models import Credential, Model, Usage
from llm.relay.errors import CallRefused
from tests.conftest import rarely, sampled

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, model, post
from .upstream import DONE, USED, Asked, Script, chat, chunk, fails, never, says, sends

pytestmark = pytest.mark.django_db(transaction=True)


# --- Errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "script",
    [
        says("<html><body>nginx at 10.0.0.7</body></html>", 502),
        fails(429, "Rate limit reached for gpt-4 in organization org-AbC123xyz on tokens per min."),
        fails(400, "organization org-AbC123xyz may not use this, key sk-proj-1234567890"),
    ],
)
def test_Q_C4_who_we_are_to_a_provider_is_told_to_operators_alone(rich: World, script: Script) -> None:
    Credential.objects.update(max_retries=1)
    rich.upstream.otherwise = script
    answer = post(rich, CHAT, ASK)
    assert answer.status in (400, 429, 502)
    for secret in ("org-", "<html", "10.0.0.7", "sk-proj"):
        assert secret not in answer.json["error"]["message"]
    assert any(secret in rich.usage().error for secret in ("org-AbC", "nginx")) or answer.status == 400


@pytest.mark.parametrize(("path", "status"), [(MESSAGES, 529), (CHAT, 503)])
def test_Q_C5_an_overloaded_provider_is_overloaded_here(claude: World, path: str, status: int) -> None:
    claude.upstream.otherwise = says(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529
    )
    answer = post(claude, path, CLAUDE)
    assert answer.status == status
    if path == MESSAGES:
        assert answer.json["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "{key}"},
        {"authorization": "bearer {key}"},
        {"authorization": "", "api-key": "{key}"},
        {"authorization": "", "x-api-key": "{key}"},
        {"authorization": "Basic abc", "x-api-key": "Bearer {key}"},
    ],
)
@pytest.mark.parametrize("path", ["/models", *rarely("/v1/models/", "/v1/v1/models", "/models/doubao-pro")])
def test_Q_C5_keys_and_addresses_are_taken_as_clients_send_them(
    world: World, headers: dict[str, str], path: str
) -> None:
    given = {name: value.format(key=world.client.key) for name, value in headers.items()}
    answer = world.play(lambda w: w.client.request("GET", path, b"", headers=given))
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions/", "/v1/v1/chat/completions", "/messages"])
def test_Q_C5_calls_without_v1_are_served(rich: World, path: str) -> None:
    assert post(rich, path, ASK).status == 200
    assert rich.usage().quota


def test_Q_C1_a_browser_may_call_from_any_page_and_sends_no_cookie(world: World) -> None:
    async def scenario(w: World) -> list[Answer]:
        asks = {"origin": "https://a.example", "access-control-request-headers": "authorization,x-stainless-os"}
        preflight = await w.client.request("OPTIONS", CHAT, b"", headers={**asks, "authorization": ""})
        return [
            preflight,
            await w.client.get("/v1/models"),
            await w.client.post(CHAT, {}, headers={"authorization": ""}),
        ]

    preflight, listed, refused = world.play(scenario)
    assert (preflight.status, listed.status, refused.status) == (204, 200, 401)
    assert preflight.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    for answer in (preflight, listed, refused):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


_MIB = 1024 * 1024


def _far_back(body: bytes) -> bytes:
    """Whoever unpacks it has to remember 128 MiB."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    return packer.compress(body) + packer.flush()


ENCODINGS: dict[str, tuple[str, Any, int]] = {
    "gzip": ("gzip", gzip.compress, 200),
    "deflate": ("deflate", zlib.compress, 200),
    "deflate, bare": ("deflate", lambda body: zlib.compress(body, wbits=-15), 200),
    "zstd": ("zstd", zstd.compress, 200),
    "zstd in frames": ("ZSTD", lambda body: zstd.compress(body[:9]) + zstd.compress(body[9:]), 200),
    "br": ("br", brotli.compress, 200),
    "one in another": ("zstd, br", lambda body: brotli.compress(zstd.compress(body)), 200),
    "half a gzip": ("gzip", lambda body: gzip.compress(body)[:-9], 400),
    "half a zstd": ("zstd", lambda body: zstd.compress(body)[:-3], 400),
    "half a br": ("br", lambda body: brotli.compress(body)[:-2], 400),
    "no zstd": ("zstd", bytes, 400),
    "no br": ("br", lambda body: b"\xff" + body, 400),
    "a gzip bomb": ("gzip", lambda _body: gzip.compress(b" " * (33 * _MIB)), 413),
    "a zstd bomb": ("zstd", lambda _body: zstd.compress(b" " * (33 * _MIB)), 413),
    "a zstd bomb in frames": ("zstd", lambda _body: zstd.compress(b" " * (5 * _MIB)) * 8, 413),
    "a br bomb": ("br", lambda _body: brotli.compress(b" " * (33 * _MIB), quality=1), 413),
    "a zstd that wants much memory": ("zstd", _far_back, 400),
    "compress": ("compress", bytes, 415),
}  # fmt: skip


@pytest.mark.parametrize(("encoding", "pack", "status"), sampled(ENCODINGS.values(), keep=6), ids=ENCODINGS)
def test_W14_bodies_may_come_compressed(rich: World, encoding: str, pack: Any, status: int) -> None:
    body = pack(json.dumps(ASK).encode())
    answer = post(rich, CHAT, body, headers={"content-encoding": encoding})
    assert answer.status == status
    if status == 415:
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, br"


@pytest.mark.parametrize("name", ["gzip", "zstd", "br"])
def test_a_bomb_is_never_larger_than_what_may_come(name: str) -> None:
    once = b"\0" * (64 * _MIB)
    pack = {"gzip": gzip.compress, "zstd": zstd.compress, "br": lambda body: brotli.compress(body, quality=1)}
    bomb = pack[name](once)
    tracemalloc.start()
    try:
        with pytest.raises(CallRefused):
            unpacked(bomb, name.encode(), 4 * _MIB)
        assert tracemalloc.get_traced_memory()[1] < 16 * _MIB
    finally:
        tracemalloc.stop()


# --- Time ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(v1_request, "KEEP_ALIVE_S", 0.1)
    return


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.usefixtures("hasty")
def test_Q_C3_a_stream_that_waits_says_so(rich: World, path: str) -> None:
    rich.upstream.scripts = [sends(chunk({"content": "a"}), DONE, pause_s=0.35)]
    answer = post(rich, path, STREAM)
    assert answer.pieces[0] == b": keep-alive\n\n"
    assert answer.pieces.count(b": keep-alive\n\n") >= 4
    assert answer.body.replace(b": keep-alive\n\n", b"").startswith((b"data: {", b"event: message_start"))


@pytest.mark.usefixtures("hasty")
def test_Q_C3_an_error_after_the_wait_is_an_event(rich: World) -> None:
    async def late(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return await fails(400, "too strange")(asked)

    rich.upstream.scripts = [late]
    answer = post(rich, CHAT, STREAM)
    assert (answer.status, answer.events[-1]["error"]["message"]) == (200, "too strange")
    assert rich.usage().quota == 0


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_Q_M8_the_first_byte_may_take_as_long_as_the_model_is_given(rich: World, body: dict[str, Any]) -> None:
    Credential.objects.update(timeout_s=1)
    rich.upstream.scripts = [chat(after_s=1.5)]
    assert post(rich, CHAT, body).status == 200
    assert len(rich.upstream.asked) == 1


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_Q_M8_what_may_have_begun_is_not_repeated(
    rich: World, body: dict[str, Any], books_agree: Callable[[], None]
) -> None:
    Credential.objects.update(timeout_s=1)
    Model.objects.update(patience_s=1)
    rich.upstream.otherwise = never()
    assert post(rich, CHAT, {**body, "fallbacks": ["doubao-lite"]}).status == 504
    assert (len(rich.upstream.asked), rich.usage().quota) == (1, 0)
    books_agree()


# --- Other routes ----------------------------------------------------------------------------------------------------
@pytest.fixture
def openai(world: World) -> World:
    """Everything OpenAI has, at the scripted upstream."""
    world.give(10**9)
    Credential.objects.create(
        name="openai", provider="openai", base_url=world.upstream.url, api_key="k", from_environment=True
    )
    capabilities = ["chat", "completion", "moderation", "rerank"]
    model("org/all:1", provider="openai", provider_model_id="all-id", capabilities=capabilities, context_tokens=128_000)
    return world


@pytest.mark.parametrize(
    ("path", "body", "said", "used"),
    [
        ("/v1/completions", {"prompt": "a"}, {"choices": [{"text": "b"}], "usage": USED, "new": 1}, (10, 20)),
        ("/v1/completions", {"prompt": "a" * 38}, {"choices": [{"text": "b" * 76}]}, (10, 20)),
        ("/v1/moderations", {"input": "a" * 38}, {"id": "m", "results": [{"flagged": False}], "model": "x"}, (10, 0)),
        (
            "/v1/rerank",
            {"query": "a", "documents": ["b"]},
            {"results": [{"index": 0}], "usage": {"total_tokens": 9}},
            (9, 0),
        ),
    ],
)
def test_Q_C6_other_operations_pass_through(openai: World, path: str, body: Any, said: Any, used: Any) -> None:
    openai.upstream.scripts = [says(said)]
    answer = post(openai, path, {"model": "org/all:1", **body, "odd": None})
    assert answer.status == 200, answer.body
    assert answer.json == said | ({"model": "org/all:1"} if "model" in said else {})
    assert openai.upstream.asked[0].path == path
    usage = openai.usage()
    assert (usage.input_tokens, usage.output_tokens) == used


def test_Q_C6_older_completions_stream(openai: World) -> None:
    part = b'data: {"choices":[{"index":0,"text":"hi","finish_reason":null}],"odd":1}\n\n'
    last = (
        b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":%b}\n\n' % json.dumps(USED).encode()
    )
    openai.upstream.scripts = [sends(part, last, b"data: [DONE]\n\n")]
    answer = post(openai, "/v1/completions", {"model": "org/all:1", "prompt": "a", "stream": True})
    assert answer.body == part + last + b"data: [DONE]\n\n"
    assert (openai.usage().input_tokens, openai.usage().output_tokens) == (10, 20)


def test_what_a_provider_does_not_have_is_refused_by_name(rich: World) -> None:
    Model.objects.filter(name="doubao-pro").update(capabilities=["chat", "completion", "moderation"])
    asked = (("/v1/completions", {"prompt": "a"}), ("/v1/moderations", {"input": "a"}))

    async def scenario(w: World) -> list[int]:
        return [(await w.client.post(path, {"model": "doubao-pro", **body})).status for path, body in asked]

    assert rich.play(scenario) == [400, 400]
    assert not Usage.objects.exclude(quota=0).exists()


def test_Q_C6_models_tell_their_limits_and_may_have_slashes_and_colons(openai: World) -> None:
    one = openai.play(lambda w: w.client.get("/v1/models/org/all:1")).json
    assert one["created"] > 1_700_000_000
    assert (one["id"], one["context_length"], one["max_output_tokens"]) == ("org/all:1", 128_000, 4096)


def test_Q_C6_a_key_tells_what_is_left(world: World) -> None:
    world.give(1_000_000)

    async def scenario(w: World) -> list[Any]:
        assert (await w.client.post(CHAT, ASK)).status == 200
        paths = ("/v1/key", "/v1/dashboard/billing/subscription", "/dashboard/billing/usage?start_date=2020-01-01")
        return [(await w.client.get(path)).json for path in paths]

    key, subscription, usage = world.play(scenario)
    assert (key["data"]["balance"], key["data"]["used"]) == (998_500, 1500)
    assert (subscription["hard_limit_usd"], usage["total_usage"]) == (2.0, 0.3)


def test_every_door_is_in_the_api_document(rich: World, client: Any) -> None:
    from llm.api.v1 import _GET, _POST

    document = client.get("/api/schema", headers={"Accept": "application/json"}).json()["paths"]
    documented = {(path, method) for path, item in document.items() for method in item if path.startswith("/v1/")}
    one = "/v1/responses/{id}"
    doors = {(path, "post") for path in _POST} | {(path, "get") for path in _GET} | {("/v1/models/{id}", "get")}
    doors |= {(one, "get"), (one, "delete"), (f"{one}/input_items", "get")}
    assert documented == doors
    for path, method in documented:
        assert {"200", "401", "429", "503"} <= set(document[path][method]["responses"])


def test_the_application_leaves_the_pages_alone() -> None:
    from llm.api.v1 import path_of

    pages = ("/", "/chat", "/chat/abc", "/keys", "/usage", "/api/chat/message", "/v1x", "/modelsx", "/key")
    assert [path_of(path) for path in pages] == [None] * len(pages)
