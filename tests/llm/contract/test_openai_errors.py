"""What goes wrong reaches OpenAI's own client as the exceptions its users know."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llm.models import Usage
from tests.conftest import sampled
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key

from .conftest import Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)


def ask(client: openai.OpenAI, text: str = "Hello", **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "doubao-pro", "messages": messages, "max_tokens": 20, **more})


@pytest.mark.parametrize(
    ("text", "more", "expected", "code"),
    sampled(
        [
            ("Hello", {"model": "gpt-9"}, "NotFoundError", "model_not_found"),
            ("[[fault: risk]]", {}, "BadRequestError", "InputTextRiskDetection"),
            ("[[fault: 429 60]]", {}, "RateLimitError", "upstream_rate_limited"),
            ("[[fault: 500]]", {}, "InternalServerError", "upstream_error"),
            ("[[fault: html]]", {}, "InternalServerError", "upstream_error"),
            ("[[fault: cut]]", {}, "InternalServerError", "upstream_error"),
        ],
        keep=3,
    ),
)
def test_what_goes_wrong_is_raised_as_its_users_know_it(
    deployment: Deployment, text: str, more: dict[str, Any], expected: str, code: str
) -> None:
    with pytest.raises(getattr(openai, expected)) as caught:
        ask(deployment.openai(), text, **more)
    assert caught.value.code == code
    assert caught.value.param == ("model" if more else None)
    assert ("retry-after" in caught.value.response.headers) == (expected == "RateLimitError")
    assert sum(Usage.objects.values_list("quota", flat=True)) == 0


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


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": 9}, {"stop": 7}])
def test_a_wrong_parameter_is_a_bad_request(deployment: Deployment, wrong: dict[str, Any]) -> None:
    """Also when it is only the provider who finds it wrong."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(deployment.openai(), **wrong)
    assert next(iter(wrong)) in caught.value.message


def test_the_client_tries_again_and_pays_once(deployment: Deployment) -> None:
    deployment.script(provider="ark", fault="500", times=3)
    assert ask(deployment.openai(max_retries=1)).choices
    deployment.usage(2)
    assert [row.outcome for row in Usage.objects.order_by("pk")] == ["failed", "ok"]
    assert [bool(row.quota) for row in Usage.objects.order_by("pk")] == [False, True]


@pytest.mark.parametrize("fault", ["cut", "error_in_stream"])
def test_a_stream_that_breaks_raises_after_what_came(deployment: Deployment, fault: str) -> None:
    chunks: list[Any] = []
    with pytest.raises(openai.APIError):
        chunks.extend(ask(deployment.openai(), f"Hello [[fault: {fault} 6]]", stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks).startswith("Hello")
    usage = deployment.usage()
    assert (usage.outcome, usage.usage_source, usage.output_tokens) == ("failed", "cumulative", 5)
