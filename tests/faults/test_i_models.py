"""Faults I at the models' API: injection, requests that lead inside, foreign web pages."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llm import services
from llm.models import Credential, Usage
from llm.providers.base import ProviderError
from llm.relay import loops
from llm.relay.engine import close_engine
from tests.conftest import full, sampled
from tests.far_side import FarSide, http
from tests.llm.client import Answer, ApiClient
from tests.llm.conftest import ASK, STREAM, World
from tests.llm.providers.test_http_async import ADDRESSES
from tests.llm.upstream import Asked, chat, in_a_thread
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token, revoke_api_key
from voicehelper.asgi import application
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry, Hold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_connection_is_kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By no thread of the server, to a database that goes away."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.CHAT_RATE_LIMIT = "1000000 per minute"


CHAT = "/v1/chat/completions"
POSTS = [
    CHAT, "/v1/messages", "/v1/embeddings", "/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions",
]  # fmt: skip

# --- I7: injection ---------------------------------------------------------------------------------------------------
NASTY = [
    "' OR '1'='1", "'; DROP TABLE wallet_wallet; --", '" OR ""="', "$1::json", "%s", "%(x)s", "\\'", "{}", "\0", "a\0b",
    "\u02bc OR 1=1", "𐀀" * 50, "x" * 70_000, "\r\nX-Evil: 1", "../../etc/passwd", "null", "NaN", "-1", "\ufffe",
    "\x1b[31m",
]  # fmt: skip
texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 2**64])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = [
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "tools", "functions",
    "tool_choice", "temperature", "response_format", "models", "fallbacks", "priority", "provider", "input", "prompt",
    "voice", "user", "system", "stop_sequences", "metadata", "seed", "size", "dimensions", "encoding_format",
]  # fmt: skip
parts = st.dictionaries(
    st.sampled_from(["type", "text", "image_url", "source", "tool_use_id", "content", "input"]),
    st.one_of(values, st.sampled_from(["text", "image", "image_url", "tool_result", "tool_use"])),
    max_size=5,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "function", "\0"])},
        optional={
            "content": st.one_of(texts, values, st.lists(parts, max_size=3)),
            "tool_calls": st.one_of(values, st.lists(st.dictionaries(st.sampled_from(["id", "function"]), values))),
            "function_call": values,
            "name": values,
        },
    ),
    max_size=3,
)
bodies = st.builds(
    lambda base, given, changes: {**base, **given, **changes},
    st.sampled_from([ASK, STREAM, {"model": "doubao-embedding", "input": "a"}, {"model": "doubao-pro"}]),
    st.fixed_dictionaries({}, optional={"messages": messages}),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
)
contents = st.one_of(
    bodies.map(lambda body: json.dumps(body).encode()),
    # Half characters, which JSON can spell and UTF-8 cannot.
    st.sampled_from([b'{"model": "\\ud800", "messages": []}', b'{"\\ud800": 1}', b"[" * 100_000, b'{"model": 1e999}']),
    st.binary(max_size=200),
)
# What a server hands on: no line breaks.
header = st.one_of(
    st.sampled_from([n.encode() for n in NASTY if "\n" not in n]),
    st.binary(max_size=200).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
)


async def answers_what_was_asked(asked: Asked) -> web.StreamResponse:
    if not asked.path.endswith("/embeddings"):
        return await chat()(asked)
    given = asked.body["input"]
    one = isinstance(given, str) or isinstance(given[0], int)
    vectors = [{"index": n, "embedding": [0.5]} for n in range(1 if one else len(given))]
    return web.json_response({"data": vectors, "usage": {"prompt_tokens": 1, "total_tokens": 1}})


@pytest.fixture
def runner(world: World) -> Iterator[asyncio.Runner]:
    """One event loop for many requests, with the upstream beside it."""
    world.give(10**12)
    world.upstream.otherwise = answers_what_was_asked
    with in_a_thread(world.upstream), asyncio.Runner() as one:
        yield one
        one.run(close_engine())


def no_mishap(answer: Answer) -> None:
    assert 200 <= answer.status < 500, (answer.status, answer.body)
    assert "x-evil" not in answer.headers


def nothing_left_behind() -> None:
    assert not Hold.objects.filter(state="open").exists()
    assert audit.run(full=True).findings == []


PATIENT = settings(
    max_examples=full(1500, 120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_I7_whatever_is_sent_to_the_models_api_is_answered_and_settled(world: World, runner: asyncio.Runner) -> None:
    @PATIENT
    @given(path=st.sampled_from(POSTS), content=contents, kind=st.one_of(st.just("application/json"), st.none()))
    @example(path=CHAT, content=json.dumps({**ASK, "model": "\0"}).encode(), kind="application/json")
    @example(path=CHAT, content=json.dumps({**ASK, "user": "\0", "fallbacks": ["\0'"]}).encode(), kind=None)
    def send(path: str, content: bytes, kind: str | None) -> None:
        headers = {"content-type": kind} if kind else {}
        no_mishap(runner.run(world.client.request("POST", path, content, headers=headers)))

    send()
    nothing_left_behind()
    assert Usage.objects.exists()


def test_I7_whatever_a_form_holds_is_answered_and_settled(world: World, runner: asyncio.Runner) -> None:
    names = st.one_of(st.sampled_from(["model", "file", "prompt", "language", "response_format", "provider"]), texts)

    @PATIENT
    @given(
        fields=st.lists(st.tuples(names, texts, st.one_of(st.none(), texts)), max_size=5),
        boundary=st.one_of(st.just("b"), texts),
    )
    def send(fields: list[tuple[str, str, str | None]], boundary: str) -> None:
        content = b""
        for name, value, filename in fields:
            named = f'; filename="{filename}"' if filename is not None else ""
            head = f'Content-Disposition: form-data; name="{name}"{named}'.replace("\r", "").replace("\n", "")
            content += f"--b\r\n{head}\r\n\r\n{value}\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}".replace("\r", "").replace("\n", "")
        request = world.client.request("POST", POSTS[-1], content + b"--b--\r\n", headers={"content-type": kind})
        no_mishap(runner.run(request))

    send()
    nothing_left_behind()


def test_I7_no_header_and_no_path_opens_the_door(world: World, runner: asyncio.Runner) -> None:
    """The key reaches the database as a digest; whatever else stands there is refused, and nothing is asked."""

    @PATIENT
    @given(
        value=header, name=st.sampled_from(["authorization", "x-api-key"]), path=st.sampled_from([*POSTS, "/v1/models"])
    )
    @example(value=b"Bearer sk-' OR '1'='1", name="authorization", path=CHAT)
    @example(value=b"Bearer sk-\0", name="authorization", path=CHAT)
    @example(value=b"sk-\xff\xfe", name="x-api-key", path=CHAT)
    @example(value=b"Bearer sk-" + b"x" * 100_000, name="authorization", path=CHAT)
    def knock(value: bytes, name: str, path: str) -> None:
        for text in (value, b"Bearer " + value, b"Bearer sk-" + value, b"sk-" + value):
            assert runner.run(raw(path, [(name.encode(), text)])).status == 401

    @PATIENT
    @given(path=texts)
    def look_around(path: str) -> None:
        no_mishap(runner.run(world.client.get(f"/v1/{path}")))
        no_mishap(runner.run(world.client.get(f"/v1/models/{path}")))

    knock()
    look_around()
    assert world.upstream.asked == []
    assert Usage.objects.count() == 0


async def raw(path: str, headers: list[tuple[bytes, bytes]], method: str = "POST", content: bytes = b"{}") -> Answer:
    """A request with just these headers."""
    answer = Answer()

    bodies = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        # And then the client waits.
        return bodies.pop() if bodies else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        answer.body += message.get("body", b"")

    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
    await application(scope, receive, send)
    return answer


@pytest.mark.parametrize("name", sampled(NASTY, keep=4))
def test_I7_a_name_of_a_key_is_only_text(world: World, name: str) -> None:
    """It is kept as it was written, or refused."""
    world.give(10**9)
    try:
        key, text = create_api_key(world.user, name)
    except ValueError:
        assert len(name) > 64 or not name.isprintable()
        return
    key.refresh_from_db()
    assert key.name == " ".join(name.split())
    assert world.play(lambda w: ApiClient(text).post(CHAT, ASK)).status == 200


# --- I11: requests that lead inside ----------------------------------------------------------------------------------
@pytest.mark.parametrize("host", sampled(ADDRESSES, keep=5))
def test_I11_an_address_an_operator_typed_leads_nowhere_inside(world: World, host: str) -> None:
    """Whatever is asked, and by whomever: the caller, or the button that tests the credential. No connection is made,
    so the key goes nowhere; nothing is charged."""
    world.give(10_000_000)
    with FarSide() as inside:
        Credential.objects.update(base_url=f"http://{host}:{inside.port}/v1", from_environment=False, max_retries=1)

        async def scenario(w: World) -> list[Answer]:
            return [
                await w.client.post(CHAT, ASK),
                await w.client.post(CHAT, STREAM),
                await w.client.post("/v1/embeddings", {"model": "doubao-embedding", "input": "a"}),
            ]

        answers = world.play(scenario)
        with pytest.raises(ProviderError):
            services.probe(Credential.objects.get(), "doubao-pro")
        loops.hang_up()
        assert inside.connections == 0
    assert [answer.status for answer in answers] == [502] * 3
    assert all(b"ark-key" not in answer.body for answer in answers)
    assert not Entry.objects.filter(kind="spend").exists()
    nothing_left_behind()


@pytest.mark.parametrize(
    "status", sampled(["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"], keep=2)
)
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_I11_a_redirect_gets_neither_a_visit_nor_the_key(world: World, status: str, body: dict[str, Any]) -> None:
    world.give(10_000_000)
    with FarSide() as elsewhere:
        location = f"Location: {elsewhere.url.replace('127.0.0.1', 'localhost')}/v1/chat/completions\r\n"
        with FarSide(lambda _seen: http(b"", status=status, headers=f"{location}Connection: close\r\n")) as provider:
            Credential.objects.update(base_url=f"{provider.url}/v1", max_retries=1)
            answer = world.play(lambda w: w.client.post(CHAT, body))
            with pytest.raises(ProviderError, match="redirect"):
                services.probe(Credential.objects.get(), "doubao-pro")
            loops.hang_up()
            assert provider.connections >= 2
        assert elsewhere.connections == 0
    assert answer.status == 502
    assert not Entry.objects.filter(kind="spend").exists()


# --- I16: foreign web pages ------------------------------------------------------------------------------------------
ORIGIN = (b"origin", b"https://evil.example")


@pytest.fixture
def session(world: World) -> tuple[bytes, bytes]:
    """The cookies of a browser in which the user is signed in."""
    world.give(10_000_000)
    browser = Client()
    browser.force_login(world.user)
    browser.get("/accounts/password")
    jar = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    assert "sessionid" in jar
    return b"cookie", jar.encode()


@pytest.mark.parametrize("path", sampled([*POSTS, "/v1/models"], keep=2))
def test_I16_a_browsers_session_is_nobody_at_the_models_api(
    world: World, session: tuple[bytes, bytes], path: str
) -> None:
    """Neither for a foreign page, with the requests a browser sends without asking first, nor for one of ours."""
    content = json.dumps(STREAM).encode()
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"application/json"):
        for more in ([ORIGIN], [], [(b"authorization", b"Basic " + session[1][-20:])]):
            for method in ("POST", "GET"):
                headers = [session, (b"content-type", kind), *more]
                answer = asyncio.run(_closing(raw(path, headers, method, content)))
                assert answer.status == 401
                assert "access-control-allow-credentials" not in answer.headers
                assert "set-cookie" not in answer.headers
    assert world.upstream.asked == []


@pytest.mark.parametrize("path", sampled([*POSTS, "/v1/models"], keep=2))
def test_I16_C1_a_foreign_page_may_call_with_a_key_and_never_with_a_session(
    world: World, session: tuple[bytes, bytes], path: str
) -> None:
    """Whoever has the key may read the answer; a browser is not allowed to send its cookies along."""
    ask = [ORIGIN, (b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"authorization")]
    with_key = [ORIGIN, session, (b"authorization", f"Bearer {world.client.key}".encode())]
    with in_a_thread(world.upstream):
        for headers, method in ((ask, "OPTIONS"), (with_key, "POST"), (with_key, "OPTIONS")):
            answer = asyncio.run(_closing(raw(path, headers, method, json.dumps(ASK).encode())))
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
            assert (answer.status == 204) == (method == "OPTIONS")


async def _closing(work: Any) -> Any:
    try:
        return await work
    finally:
        await close_engine()


def test_I16_only_a_key_that_is_valid_now_opens(world: World, buyer: User, session: tuple[bytes, bytes]) -> None:
    """Not the bearer token of the other API, not a revoked key, not one of somebody who may not sign in."""
    revoked, revoked_text = create_api_key(world.user, "old")
    revoke_api_key(world.user, revoked.pk)
    _, closed_text = create_api_key(buyer, "closed")
    User.objects.filter(pk=buyer.pk).update(is_active=False)
    token = issue_token(world.user)
    with in_a_thread(world.upstream):
        for text in (token, f"sk-{token}", revoked_text, closed_text, closed_text.upper()):
            for name, value in (("authorization", f"Bearer {text}"), ("x-api-key", text)):
                headers = [session, (name.encode(), value.encode())]
                assert asyncio.run(_closing(raw(CHAT, headers, "POST", json.dumps(ASK).encode()))).status == 401
    assert world.upstream.asked == []


# Whatever a browser sends along by itself; and what only a page of ours can add.
CHATS = ["/api/chat/stream", "/api/chat/message"]
QUESTION = {"content": "Say hello", "model": "doubao-pro"}
HEADERS = [(b"host", b"testserver"), (b"content-type", b"application/json")]


@pytest.mark.parametrize("path", CHATS)
def test_I16_a_foreign_page_cannot_chat_with_a_browsers_session(
    world: World, session: tuple[bytes, bytes], path: str
) -> None:
    """Nor start a stream by a link, an image or an EventSource, which can only GET. Nothing is asked, nothing paid."""
    content = json.dumps(QUESTION).encode()
    token = next(part for part in session[1].split(b"; ") if part.startswith(b"csrftoken=")).partition(b"=")[2]
    site = [*HEADERS, (b"content-length", b"%d" % len(content))]
    foreign = [
        ("POST", [*site, session, ORIGIN]),
        ("POST", [*site, session]),
        ("POST", [*site, (b"content-type", b"text/plain"), session, ORIGIN]),
        ("POST", [*site, session, ORIGIN, (b"x-csrftoken", b"x" * len(token))]),
        # Even with a token that leaked: it comes from the wrong place.
        ("POST", [*site, session, ORIGIN, (b"x-csrftoken", token)]),
        ("GET", [*site, session]),
        ("GET", [*site, session, ORIGIN]),
        ("OPTIONS", [*site, ORIGIN, (b"access-control-request-method", b"POST")]),
        ("POST", [*site, ORIGIN]),
    ]
    with in_a_thread(world.upstream):
        for method, headers in foreign:
            answer = asyncio.run(_closing(raw(path, headers, method, content)))
            assert answer.status in (401, 403, 405, 415), (method, headers, answer)
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert world.upstream.asked == []
        ours = [*site, session, (b"origin", b"http://testserver"), (b"x-csrftoken", token)]
        answer = asyncio.run(_closing(raw(path, ours, "POST", content)))
        assert answer.status == 200, answer
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert Usage.objects.count() == 1


@pytest.mark.parametrize("path", sampled(CHATS, keep=1))
def test_I7_whatever_is_said_to_the_chat_api_is_answered_and_settled(
    world: World, runner: asyncio.Runner, path: str
) -> None:
    token = {"authorization": f"Bearer {issue_token(world.user)}"}
    fields = ["content", "sessionId", "contentType", "model", "priority"]
    given_bodies = st.dictionaries(st.sampled_from(fields), values, max_size=4).map(lambda more: {**QUESTION, **more})

    @settings(PATIENT, max_examples=full(400, 40))
    @given(content=st.one_of(given_bodies.map(lambda body: json.dumps(body).encode()), contents))
    @example(content=b'{"content": "\\ud800", "model": "\\udfff"}')
    @example(content=b'{"content": "a\\u0000b", "sessionId": "\\u0000\'"}')
    def send(content: bytes) -> None:
        no_mishap(runner.run(world.client.request("POST", path, content, headers=token)))

    send()
    nothing_left_behind()
