"""What goes wrong reaches OpenAI's own client as the exceptions its users know."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llm.models import Usage
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key

from .conftest import Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)


def ask(client: openai.OpenAI, text: str = "Hello", **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "doubao-pro", "messages": messages, "max_tokens": 20, **more})


def test_a_wrong_key_is_an_authentication_error(deployment: Deployment) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(deployment.openai(api_key="sk-wrong"))
    assert caught.value.code == "invalid_api_key"


def test_an_empty_wallet_is_raised_at_once(deployment: Deployment, other_user: User) -> None:
    poor = deployment.openai(api_key=create_api_key(other_user, "k")[1], max_retries=2)
    started = time.monotonic()
    with pytest.raises(openai.APIStatusError) as caught:
        ask(poor)
    assert (caught.value.status_code, caught.value.code) == (402, "insufficient_quota")
    assert time.monotonic() - started < 0.5
    with pytest.raises(openai.APIStatusError):
        ask(poor, stream=True)


def test_an_unknown_model_is_not_found(deployment: Deployment) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(deployment.openai(), model="gpt-9")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"max_tokens": 10**6}, {"temperature": 9}, {"stop": 7}])
def test_a_wrong_parameter_is_a_bad_request(deployment: Deployment, wrong: dict[str, Any]) -> None:
    """Also when it is only the provider who finds it wrong."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(deployment.openai(), **wrong)
    assert next(iter(wrong)) in caught.value.message


def test_refused_content_is_a_bad_request_with_the_providers_code(deployment: Deployment) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(deployment.openai(), "[[fault: risk]]")
    assert caught.value.code == "InputTextRiskDetection"
    assert deployment.usage().quota == 0


def test_a_provider_that_is_too_busy_is_a_rate_limit(deployment: Deployment) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(deployment.openai(), "[[fault: 429 60]]")
    assert int(caught.value.response.headers["retry-after"]) > 50
    assert deployment.usage().quota == 0


def test_a_provider_that_fails_is_a_server_error(deployment: Deployment) -> None:
    for fault in ("500", "html", "cut"):
        with pytest.raises(openai.InternalServerError):
            ask(deployment.openai(), f"[[fault: {fault}]]")


def test_our_debts_at_the_provider_are_not_told(deployment: Deployment) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ask(deployment.openai(), "[[fault: overdue]]")
    assert "overdue" not in caught.value.message
    assert "overdue" in deployment.usage().error


def test_we_try_again_before_anybody_notices(deployment: Deployment) -> None:
    deployment.script(provider="ark", fault="500")
    deployment.script(provider="ark", fault="429", number=0.1)
    assert ask(deployment.openai()).choices
    usage = deployment.usage()
    assert (usage.outcome, usage.tries) == ("ok", 3)


def test_the_client_tries_again_and_pays_once(deployment: Deployment) -> None:
    deployment.script(provider="ark", fault="500", times=3)
    assert ask(deployment.openai(max_retries=1)).choices
    deployment.usage(2)
    assert [row.outcome for row in Usage.objects.order_by("pk")] == ["failed", "ok"]
    assert [bool(row.quota) for row in Usage.objects.order_by("pk")] == [False, True]


def test_a_slow_provider_is_the_clients_timeout(deployment: Deployment) -> None:
    """What the provider answers after that is charged: it was generated."""
    with pytest.raises(openai.APITimeoutError):
        ask(deployment.openai(timeout=0.2), "Hello [[fault: slow 40]]")
    assert deployment.usage().output_tokens == 20


@pytest.mark.parametrize("fault", ["cut", "error_in_stream"])
def test_a_stream_that_breaks_raises_after_what_came(deployment: Deployment, fault: str) -> None:
    chunks: list[Any] = []
    with pytest.raises(openai.APIError):
        chunks.extend(ask(deployment.openai(), f"Hello [[fault: {fault} 6]]", stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks).startswith("Hello")
    usage = deployment.usage()
    assert (usage.outcome, usage.usage_source, usage.output_tokens) == ("failed", "cumulative", 5)


def test_a_broken_line_in_a_stream_is_not_noticed(deployment: Deployment) -> None:
    chunks = list(ask(deployment.openai(), "Hello [[fault: broken_line]]", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).startswith("Hello!")
    assert deployment.usage().output_tokens == 20


@pytest.mark.parametrize("stream", [False, True])
def test_without_a_report_the_usage_is_estimated(deployment: Deployment, stream: bool) -> None:
    answer = ask(deployment.openai(), "Hello [[fault: no_usage]]", stream=stream)
    assert list(answer) if stream else answer.choices
    usage = deployment.usage()
    assert usage.usage_source == "estimate"
    assert 5 < usage.output_tokens < 60


@pytest.mark.parametrize("stream", [False, True])
def test_the_providers_report_wins_even_over_max_tokens(deployment: Deployment, stream: bool) -> None:
    answer = ask(deployment.openai(), "Hello [[fault: too_much_usage 3]]", stream=stream)
    assert list(answer) if stream else answer.choices
    assert (deployment.usage().output_tokens, deployment.usage().usage_source) == (60, "provider")
