"""Anthropic's own client talks to /v1/messages, whichever provider is behind it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from sandbox.upstream.pictures import landscape
from tests.conftest import rarely, sampled
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key

from .conftest import GIFT, QUESTION, WEATHER, Deployment
from .vendors import anthropic

pytestmark = pytest.mark.django_db(transaction=True)

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [
    {"name": "get_weather", "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}
]
EVERY_CHAT_MODEL = pytest.mark.parametrize("model", ["claude-3-sonnet", "doubao-pro", *rarely("gpt-4", "gpt-5-codex")])


@EVERY_CHAT_MODEL
def test_a_message_is_answered_and_charged(deployment: Deployment, model: str) -> None:
    message = deployment.anthropic().messages.create(model=model, max_tokens=30, system="Be brief", messages=HELLO)
    assert (message.type, message.role, message.model) == ("message", "assistant", model)
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("Hello!")
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 30)
    usage = deployment.usage()
    assert (usage.input_tokens, usage.output_tokens) == (message.usage.input_tokens, 30)
    assert message._request_id == usage.request_id
    assert deployment.wallet.balance == GIFT - usage.quota


@EVERY_CHAT_MODEL
def test_the_stream_helper_puts_the_message_together(deployment: Deployment, model: str) -> None:
    client = deployment.anthropic()
    question: list[Any] = [{"role": "user", "content": "12 * 34"}]
    with client.messages.stream(model=model, max_tokens=100, messages=question) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].type == "text"
    assert final.content[0].text == text == "12 * 34 = **408**."
    assert (final.stop_reason, final.model) == ("end_turn", model)
    usage = deployment.usage()
    assert (final.usage.input_tokens, final.usage.output_tokens) == (usage.input_tokens, usage.output_tokens)


@EVERY_CHAT_MODEL
def test_the_events_of_a_stream_come_in_their_order(deployment: Deployment, model: str) -> None:
    events = list(deployment.anthropic().messages.create(model=model, max_tokens=20, messages=HELLO, stream=True))
    kinds = [event.type for event in events]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 20,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    deployment.usage()


@EVERY_CHAT_MODEL
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_used_and_their_results_answered(deployment: Deployment, model: str, streamed: bool) -> None:
    client = deployment.anthropic()
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    ask: dict[str, Any] = {"model": model, "max_tokens": 200, "tools": TOOLS}
    if streamed:
        with client.messages.stream(messages=messages, **ask) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(messages=messages, **ask)
    assert first.stop_reason == "tool_use"
    (block,) = first.content
    assert block.type == "tool_use"
    assert (block.name, block.input) == ("get_weather", {"city": "Beijing", "unit": "celsius"})
    result = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "sunny"}]}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=messages, **ask)
    assert second.content[0].type == "text"
    assert "sunny" in second.content[0].text
    deployment.usage(2)


def test_several_tools_in_one_stream_are_blocks_of_their_own(deployment: Deployment) -> None:
    time: Any = {"name": "get_time", "description": "Tells the time", "input_schema": WEATHER["parameters"]}
    question: list[Any] = [{"role": "user", "content": "Weather and time in Paris?"}]
    with deployment.anthropic().messages.stream(
        model="claude-3-sonnet", max_tokens=200, messages=question, tools=[*TOOLS, time], tool_choice={"type": "any"}
    ) as stream:
        final = stream.get_final_message()
    uses = [(block.name, block.input) for block in final.content if block.type == "tool_use"]
    assert [name for name, _ in uses] == ["get_weather", "get_time"]
    assert all(given == {"city": "Paris", "unit": "celsius"} for _, given in uses)
    deployment.usage()


def test_a_picture_is_seen(deployment: Deployment) -> None:
    source: Any = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(landscape(8, 8, "0123456789abcdef")).decode(),
    }
    content: list[Any] = [{"type": "image", "source": source}, {"type": "text", "text": "Hello, what is this?"}]
    message = deployment.anthropic().messages.create(
        model="claude-3-sonnet", max_tokens=50, messages=[{"role": "user", "content": content}]
    )
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("I can see 1 picture(s).")
    deployment.usage()


def test_tokens_are_counted_for_nothing(deployment: Deployment) -> None:
    counted = deployment.anthropic().messages.count_tokens(model="claude-3-sonnet", messages=HELLO, system="Be brief")
    assert 5 < counted.input_tokens < 30
    assert deployment.wallet.balance == GIFT


def test_models_are_listed(deployment: Deployment) -> None:
    names = [model.id for model in deployment.anthropic().models.list()]
    assert {"doubao-pro", "claude-3-sonnet"} <= set(names)
    assert deployment.anthropic().models.retrieve("doubao-pro").type == "model"
    with pytest.raises(anthropic.NotFoundError) as caught:
        deployment.anthropic().models.retrieve("claude-9")
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


def test_the_asynchronous_client_streams(deployment: Deployment) -> None:
    async def say() -> str:
        client = anthropic.AsyncAnthropic(api_key=deployment.key, base_url=deployment.server.address)
        async with client, client.messages.stream(model="doubao-lite", max_tokens=10, messages=HELLO) as stream:
            return await stream.get_final_text()

    assert asyncio.run(say()).startswith("Hello!")
    deployment.usage()


# --- What goes wrong -------------------------------------------------------------------------------------------------
def ask(client: anthropic.Anthropic, text: str = "Hello", **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": text}]
    return client.messages.create(**{"model": "claude-3-sonnet", "max_tokens": 20, "messages": messages, **more})


def test_a_wrong_key_is_an_authentication_error(deployment: Deployment) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(deployment.anthropic(api_key="sk-wrong"))
    assert caught.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]
    assert caught.value.body["request_id"]  # type: ignore[index]


def test_an_empty_wallet_is_a_billing_error(deployment: Deployment, other_user: User) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(deployment.anthropic(api_key=create_api_key(other_user, "k")[1]))
    assert caught.value.status_code == 402
    assert caught.value.body["error"]["type"] == "billing_error"  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "expected"),
    sampled(
        [
            ({"model": "claude-9"}, "NotFoundError"),
            ({"max_tokens": 0}, "BadRequestError"),
            ({"messages": []}, "BadRequestError"),
            ({"messages": [{"role": "system", "content": "x"}]}, "BadRequestError"),
            ({"tools": [{"name": "x"}]}, "BadRequestError"),
            ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "BadRequestError"),
        ],
        keep=3,
    ),
)
def test_a_wrong_request_is_refused(deployment: Deployment, change: Any, expected: str) -> None:
    with pytest.raises(getattr(anthropic, expected)):
        ask(deployment.anthropic(), **change)


@pytest.mark.parametrize(
    ("fault", "expected"),
    sampled(
        [
            ("429 60", "RateLimitError"),
            ("500", "InternalServerError"),
            ("503", "InternalServerError"),
            ("overdue", "InternalServerError"),
            ("risk", "BadRequestError"),
            ("cut", "InternalServerError"),
        ],
        keep=3,
    ),
)
def test_what_the_provider_refuses_is_raised(deployment: Deployment, fault: str, expected: str) -> None:
    with pytest.raises(getattr(anthropic, expected)):
        ask(deployment.anthropic(), f"[[fault: {fault}]]")
    assert deployment.usage().quota == 0


@pytest.mark.parametrize("fault", ["cut", "error_in_stream"])
def test_a_stream_that_breaks_raises(deployment: Deployment, fault: str) -> None:
    events: list[Any] = []
    with pytest.raises(anthropic.APIStatusError):
        events.extend(ask(deployment.anthropic(), f"Hello [[fault: {fault} 8]]", stream=True))
    assert events[-1].type == "content_block_delta"
    usage = deployment.usage()
    assert usage.outcome == "failed"
    assert usage.output_tokens >= 5


def test_a_limit_above_the_models_own_is_lowered_to_it(deployment: Deployment) -> None:
    assert ask(deployment.anthropic(), max_tokens=9000).stop_reason == "end_turn"
    deployment.usage()


def test_sampling_chooses_the_version_that_takes_it(deployment: Deployment) -> None:
    """Of the newer version is the account, and so is the client; the caller does not know, and need not."""
    assert ask(deployment.anthropic(), extra_body={"temperature": 0.5, "top_p": 0.9}).content
    deployment.usage()


def test_a_refusal_in_mid_answer_is_told(deployment: Deployment) -> None:
    assert ask(deployment.anthropic(), "Hello [[fault: filtered]]").stop_reason == "refusal"
    deployment.usage()
