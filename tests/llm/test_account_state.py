"""What lies at the operator's accounts belongs to no user: nothing there can be named, wherever in a request."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import sampled

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, World, post
from .upstream import says

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def chat(*parts: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": list(parts) or "Hi"}]
    return CHAT, {**ASK, "messages": messages, **more}


def claude_asks(*blocks: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": list(blocks) or "Hi"}]
    return MESSAGES, {**CLAUDE, "messages": messages, **more}


def response(*items: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    body = {"model": "doubao-pro", "input": [{"role": "user", "content": "Hi"}, *items], "max_output_tokens": 100}
    return RESPONSES, {**body, **more}


def result(*blocks: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


FILE = {"type": "file", "file_id": "file_1"}
SPOKEN = [{"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "Louder"}]
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
PICTURE = {"type": "input_image", "file_id": "f"}
SHOWN = {"type": "function_call_output", "call_id": "c", "output": [PICTURE]}
RAN = {"type": "code_interpreter_call", "id": "ci", "container_id": "c", "code": ""}
COMPARED = {"comparison_response_id": "resp_1"}
SEEN = {"type": "computer_screenshot", "file_id": "f"}
REFERENCES: dict[str, tuple[tuple[str, dict[str, Any]], str]] = {
    "a file": (chat({"type": "file", "file": {"file_id": "f"}}), "messages[0].content[0].file.file_id"),
    "several": (chat({"type": "file", "file": {"file_ids": ["f"]}}), "messages[0].content[0].file.file_ids"),
    "a picture there": (
        chat({"type": "image_url", "image_url": {"url": "MS://f1"}}), "messages[0].content[0].image_url.url",
    ),
    "a film there": (
        chat({"type": "video_url", "video_url": {"url": " gs://bucket/a"}}), "messages[0].content[0].video_url.url",
    ),
    "a file in words": (
        (CHAT, {**ASK, "messages": [{"role": "system", "content": "fileid://f1"}, *ASK["messages"]]}),
        "messages[0].content",
    ),
    "a sound that was an answer": ((CHAT, {**ASK, "messages": SPOKEN}), "messages[0].audio.id"),
    "a store": (chat(tools=[{"type": "file_search", "vector_store_ids": ["v"]}]), "tools[0].vector_store_ids"),
    "what is known": (
        chat(tools=[FUNCTION, {"type": "retrieval", "retrieval": {"knowledge_id": "k"}}]),
        "tools[1].retrieval.knowledge_id",
    ),
    "an answer before": (chat(previous_response_id="resp_1"), "previous_response_id"),
    "a conversation": (chat(conversation={"id": "conv_1"}), "conversation"),
    "Claude: a document": (claude_asks({"type": "document", "source": FILE}), "messages[0].content[0].source.file_id"),
    "Claude: a picture in a result": (
        claude_asks(result({"type": "image", "source": FILE})), "messages[0].content[0].content[0].source.file_id",
    ),
    "Claude: an upload": (claude_asks({"type": "container_upload", "file_id": "f"}), "messages[0].content[0].file_id"),
    "Claude: in the system's words": (
        claude_asks(system=[{"type": "document", "source": FILE}]), "system[0].source.file_id",
    ),
    "Claude: a container": (claude_asks(container="container_1"), "container"),
    "Claude: a container with skills": (claude_asks(container={"id": "container_1"}), "container.id"),
    "Claude: a skill": (claude_asks(container={"skills": [{"skill_id": "skill_1"}]}), "container.skills[0].skill_id"),
    "Claude: whose profile": (claude_asks(user_profile_id="p"), "user_profile_id"),
    "Responses: a file": (
        response({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}), "input[1].content[0].file_id",
    ),
    "Responses: in an output": (response(CALL, SHOWN), "input[2].output[0].file_id"),
    "Responses: a picture there": (
        response({"role": "user", "content": [{"type": "input_image", "image_url": "asset://f"}]}),
        "input[1].content[0].image_url",
    ),
    "Responses: a screen": (
        response({"type": "computer_call_output", "call_id": "c", "output": SEEN}), "input[1].output.file_id",
    ),
    "Responses: a container": (response(RAN), "input[1].container_id"),
    "Responses: a picture that was drawn": (
        response({"type": "image_generation_call", "id": "ig_1"}), "input[1].result",
    ),
    "Responses: a tunnel": (
        response(tools=[{"type": "mcp", "server_label": "x", "tunnel_id": "t"}]), "tools[0].tunnel_id",
    ),
    "Responses: another answer": (
        response(prompt_cache_options=COMPARED), "prompt_cache_options.comparison_response_id",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "where"), sampled(REFERENCES.values(), keep=9), ids=REFERENCES)
def test_what_lies_at_an_account_cannot_be_named(
    claude: World, asked: tuple[str, dict[str, Any]], where: str, books_agree: Callable[[], None]
) -> None:
    answer = post(claude, *asked)
    assert answer.status == 400, answer.body
    error = answer.json["error"]
    assert where in error["message"] or error["param"] == where
    if asked[0] != MESSAGES:
        assert (error["param"], error["code"]) == (where, "unsupported_value")
    assert (claude.upstream.asked, claude.wallet.held) == ([], 0)
    books_agree()


SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string"}, "container": {"type": "string"}}}
USED = {"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "mine", "url": "s3://mine", "container": "c"}}
CITED = {"type": "output_text", "text": "x", "annotations": [{"type": "file_citation", "file_id": "f", "index": 1}]}
OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "a schema": chat(tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]),
    "an address": chat({"type": "image_url", "image_url": {"url": "HTTPS://example.com/a.png"}}),
    "a picture": chat({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}),
    "words about one": chat({"type": "text", "text": "What is file_id, and fileid://?"}),
    "nothing": chat({"type": "file", "file": {"file_id": None, "file_data": "x"}}),
    "Claude: what a tool was given": (
        MESSAGES,
        {
            **CLAUDE, "tools": [{"name": "f", "input_schema": SCHEMA}],
            "messages": [
                {"role": "user", "content": "Hi"}, {"role": "assistant", "content": [USED]},
                {"role": "user", "content": [result({"type": "text", "text": "ok"})]},
            ],
        },
    ),
    "Responses: where words come from": response({"type": "message", "role": "assistant", "content": [CITED]}),
}  # fmt: skip


@pytest.mark.parametrize("asked", OWN.values(), ids=OWN)
def test_what_is_the_clients_own_may_be_called_anything(claude: World, asked: tuple[str, dict[str, Any]]) -> None:
    if asked[0] == MESSAGES:
        usage = {"input_tokens": 10, "output_tokens": 20}
        claude.upstream.otherwise = says({"type": "message", "content": [], "model": "claude-x", "usage": usage})
    answer = post(claude, *asked)
    assert answer.status == 200, answer.body


def test_which_workspace_of_ours_is_meant_is_not_the_clients_to_say(claude: World) -> None:
    usage = {"input_tokens": 10, "output_tokens": 20}
    claude.upstream.otherwise = says({"type": "message", "content": [], "model": "claude-x", "usage": usage})
    ours = {"anthropic-workspace-id": "w", "anthropic-user-profile-id": "p", "openai-project": "p"}
    answer: Answer = claude.play(
        lambda w: w.client.post(MESSAGES, CLAUDE, headers={**ours, "anthropic-beta": "some-2026"})
    )
    assert answer.status == 200, answer.body
    headers = claude.upstream.asked[0].request.headers
    assert headers["anthropic-beta"] == "some-2026"
    assert not set(ours) & {name.lower() for name in headers}
