"""/v1/responses in front of Claude: what it is asked, and its signed thoughts, which come back to it."""

import json
from typing import Any

import pytest

from llm.dialects.responses import sealed
from llm.models import Credential

from ..vectors import load
from .client import Answer
from .conftest import World, post
from .test_dialects import event
from .test_responses import RESPONSES, follows_the_rules
from .upstream import says, sends

pytestmark = pytest.mark.django_db(transaction=True)

ASK: dict[str, Any] = {"model": "claude", "input": "Say hello", "store": False}
SIGNATURE = "(the one in @TAGGED@)"
WHOLE = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "usage": {"input_tokens": 7, "output_tokens": 5},
}  # fmt: skip
THINKING = {"type": "thinking", "thinking": "They greet.", "signature": "s=="}
REDACTED = {"type": "redacted_thinking", "data": "r=="}
BLOCKS = [
    {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "They greet."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": REDACTED},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2,
     "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 8}},
    {"type": "message_stop"},
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["05-tool-loop-second-turn", "06-reasoning-back", "08-custom-tool", "13-tool-output-image"]
)
def test_what_clients_send_reaches_claude(claude: World, name: str) -> None:
    vector = load(f"responses/{name}")
    expected = vector["expect"]["anthropic"]
    thought = [block for turn in expected["messages"] for block in turn["content"] if block["type"] == "thinking"]
    tagged = sealed.seal_blocks(Credential.objects.get(name="claude").pk, thought)
    body = json.loads(json.dumps(vector["body"]).replace("@TAGGED@", str(tagged))) | {"model": "claude"}
    claude.upstream.scripts = [sends(*map(event, BLOCKS)) if body.get("stream") else says(WHOLE)]
    answer = post(claude, RESPONSES, body)
    assert answer.status == 200, answer.body
    asked = claude.upstream.asked[0].body
    for field in ("system", "messages"):
        assert asked.get(field) == expected.get(field)
    assert asked["output_config"]["effort"] == vector["body"]["reasoning"]["effort"]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_W8_signed_thoughts_come_back_before_their_calls(claude: World, streamed: bool) -> None:
    called = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    whole = {**WHOLE, "content": [THINKING, REDACTED, called], "stop_reason": "tool_use"}
    claude.upstream.scripts = [sends(*map(event, BLOCKS)) if streamed else says(whole), says(WHOLE)]
    tools = {"tools": [{"type": "function", "name": "f"}], "include": ["reasoning.encrypted_content"]}

    async def scenario(w: World) -> list[Answer]:
        first = await w.client.post(RESPONSES, {**ASK, **tools, "stream": streamed})
        output = (first.events[-1]["response"] if streamed else first.json)["output"]
        result = {"type": "function_call_output", "call_id": "t1", "output": "done"}
        items = [{"role": "user", "content": "hi"}, *output, result]
        return [first, await w.client.post(RESPONSES, {**ASK, **tools, "input": items})]

    first, second = claude.play(scenario)
    if streamed:
        follows_the_rules(first)
    assert second.status == 200, second.body
    turns = claude.upstream.asked[1].body["messages"]
    assert turns[1]["content"] == [THINKING, REDACTED, called]


def test_fields_that_claude_has_no_room_for_change_no_answer(claude: World) -> None:
    claude.upstream.scripts = [says(WHOLE)]
    more = {"prompt_cache_key": "k", "text": {"verbosity": "low"}, "safety_identifier": "s", "reasoning": {}}
    assert post(claude, RESPONSES, {**ASK, **more}).status == 200
    assert claude.upstream.asked[0].body["max_tokens"] == 4096
