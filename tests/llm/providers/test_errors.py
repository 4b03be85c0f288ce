"""Refusals, silence and lies: what each error tells the relay to do, and what it never tells anybody."""

import time
import traceback
from email.utils import formatdate
from typing import Any

import pytest

from llm.providers import open_provider
from llm.providers.base import Account, ProviderError, Recovery
from llm.providers.errors import retry_after

from .upstream import KEY, Script, account, answer, asked, collect, completion, talk


def refused(provider: str, script: Any, streamed: bool = False, **more: Any) -> ProviderError:
    async def scenario(speaker: Any, _upstream: Any) -> None:
        await (collect(speaker, asked()) if streamed else speaker.chat(asked()))

    with pytest.raises(ProviderError) as caught:
        talk(provider, script, scenario, **more)
    return caught.value


@pytest.mark.parametrize(
    ("status", "recovery", "cool_down"),
    [
        (400, Recovery.FAIL, False),
        (401, Recovery.FAILOVER, True),
        (402, Recovery.FAILOVER, True),
        (403, Recovery.FAILOVER, True),
        (404, Recovery.FAILOVER, False),
        (408, Recovery.RETRY, False),
        (409, Recovery.RETRY, False),
        (413, Recovery.FAIL, False),
        (422, Recovery.FAIL, False),
        (429, Recovery.RETRY, True),
        (500, Recovery.RETRY, False),
        (502, Recovery.RETRY, False),
        (504, Recovery.RETRY, False),
        (529, Recovery.RETRY, False),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("provider", ["openai", "ark", "claude"])
def test_a_status_says_what_to_do(
    provider: str, streamed: bool, status: int, recovery: Recovery, cool_down: bool
) -> None:
    script = answer(b"<h1>Sorry</h1>", f"{status} Sorry", "Retry-After: 3\r\n", "text/html")
    error = refused(provider, script, streamed)
    assert (error.recovery, error.cool_down, error.status) == (recovery, cool_down, status)
    assert (error.text, error.retry_after_s) == ("<h1>Sorry</h1>", 3.0)


@pytest.mark.parametrize(
    ("said", "status", "recovery", "code"),
    [
        ({"error": {"message": "m", "code": "insufficient_quota"}}, 429, Recovery.FAILOVER, "insufficient_quota"),
        ({"error": {"message": "m", "code": "model_not_found"}}, 403, Recovery.FAILOVER, "model_not_found"),
        (
            {"error": {"message": "m", "code": "content_policy_violation"}},
            400,
            Recovery.FAIL,
            "content_policy_violation",
        ),
        ({"error": {"message": "m", "type": "server_error"}}, 200, Recovery.RETRY, "server_error"),
        ({"error": {"message": "m", "code": 429}}, 200, Recovery.RETRY, "429"),
        ({"error": {"message": "m", "code": 400}}, 200, Recovery.FAIL, "400"),
        ({"error": "m"}, 400, Recovery.FAIL, ""),
        ({"message": "m"}, 500, Recovery.RETRY, ""),
    ],
)
def test_a_code_says_more_than_a_status(said: Any, status: int, recovery: Recovery, code: str) -> None:
    error = refused("openai", answer(said, f"{status} X"))
    assert (error.text, error.recovery, error.code) == ("m", recovery, code)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "soon"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "4294967"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_when_to_try_again_is_read_where_it_makes_sense(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers) == wait


def test_when_to_try_again_may_be_a_date() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert wait is not None
    assert 55 < wait <= 60


@pytest.mark.parametrize(
    ("script", "recovery"),
    [
        ([10.0], Recovery.RETRY),
        ([None], Recovery.RETRY),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", None], Recovery.RETRY),
        ([b"SSH-2.0-OpenSSH\r\n", None], Recovery.RETRY),
        (answer(b"<html>not an api</html>"), Recovery.FAILOVER),
        (answer([1]), Recovery.FAILOVER),
        (answer({"hello": "world"}), Recovery.FAILOVER),
    ],
    ids=["silence", "hang up", "half", "no HTTP", "no JSON", "a list", "something else"],
)
@pytest.mark.parametrize("provider", ["openai", "claude"])
def test_no_answer_and_no_sense_are_errors_in_words(provider: str, script: Script, recovery: Recovery) -> None:
    error = refused(provider, script, timeout_s=0.3)
    assert error.recovery is recovery
    assert error.text


def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(ProviderError) as caught:
        talk("openai", answer({}), _unplugged)
    error = caught.value
    assert (error.recovery, error.status, error.text) == (Recovery.RETRY, 0, "The connection was refused.")


async def _unplugged(provider: Any, upstream: Any) -> None:
    upstream._server.close()
    await provider.chat(asked())


# --- Secrets ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("provider", ["openai", "ark", "claude"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_key_is_in_no_error_and_no_repr(provider: str, streamed: bool) -> None:
    echo = {"error": {"message": f"Incorrect API key: {KEY}", "type": "x"}}
    errors = [
        refused(provider, script, streamed, timeout_s=0.3)
        for script in (answer(echo, "401 Unauthorized"), answer(echo), answer(KEY.encode(), "500 X"), [None], [9.0])
    ]
    for error in errors:
        assert KEY not in f"{error!r} {error.text} {error.__dict__} {''.join(traceback.format_exception(error))}"
    assert errors[0].text == "Incorrect API key: …"
    mine = account(provider, "http://127.0.0.1:1")
    assert KEY not in f"{mine!r} {open_provider(mine)!r}"


def test_a_key_with_a_line_break_is_an_error_in_words() -> None:
    async def scenario(_speaker: Any, upstream: Any) -> None:
        bad = open_provider(Account("openai", f"{upstream.url}/v1", "sk-a\r\nX-Evil: 1", trusted=True))
        try:
            await bad.chat(asked())
        finally:
            await bad.close()

    with pytest.raises(ProviderError, match="HTTP does not allow"):
        talk("openai", answer(completion()), scenario)


# --- Probes -----------------------------------------------------------------------------------------------------------
def probed(provider: str, script: Any, end: str | None = None) -> Any:
    async def scenario(speaker: Any, upstream: Any) -> str:
        if end is None:
            return str(await speaker.probe("m"))
        other = open_provider(Account(provider, f"{upstream.url}{end}", KEY, trusted=True))
        try:
            return await other.probe("m")
        finally:
            await other.close()

    return talk(provider, script, scenario)


def test_a_probe_is_one_cheap_call() -> None:
    name, upstream = probed("openai", answer(completion(model="m-2024")))
    assert name == "m-2024"
    assert [seen.json["max_tokens"] for seen in upstream.seen] == [1]


def test_a_model_that_does_not_chat_is_found_in_the_list() -> None:
    def script(seen: Any) -> Script:
        if seen.line.startswith("GET /v1/models"):
            return answer({"data": [{"id": "m"}]})
        return answer({"error": {"message": "This is not a chat model", "code": None}}, "404 Not Found")

    assert probed("openai", script)[0] == "m"


@pytest.mark.parametrize(
    ("provider", "end", "status", "code", "hint"),
    [
        ("openai", None, "401 X", "invalid_api_key", "key is wrong"),
        ("openai", None, "404 X", "model_not_found", "does not know this model"),
        ("openai", None, "429 X", "insufficient_quota", "Recharge"),
        ("openai", "", "404 X", "", "usually ends with /v1"),
        ("openai", "/v1/v1", "404 X", "", "holds too much"),
        ("openai", "/v1/chat/completions", "404 X", "", "holds too much"),
        ("ark", None, "403 X", "AccountOverdueError", "Recharge"),
        ("ark", "/v1", "404 X", "", "usually ends with /v3"),
        ("ark", None, "404 X", "InvalidEndpointOrModel.NotFound", "does not know this model"),
        ("claude", "/v1", "404 X", "not_found_error", "Leave out /v1"),
        ("claude", None, "401 X", "authentication_error", "key is wrong"),
        ("claude", None, "402 X", "billing_error", "Recharge"),
    ],
)
def test_a_failed_probe_names_the_mistake(provider: str, end: str | None, status: str, code: str, hint: str) -> None:
    script = answer({"error": {"message": "No.", "code": code}}, status)
    with pytest.raises(ProviderError) as caught:
        probed(provider, script, end)
    assert caught.value.text == "No."
    assert hint in caught.value.hint
    assert hint in str(caught.value)


def test_a_probe_of_something_else_says_so() -> None:
    with pytest.raises(ProviderError, match="not the provider's API"):
        probed("openai", answer(b"<html>"))
