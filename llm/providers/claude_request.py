"""OpenAI's chat request as Anthropic's Messages API wants it.

Source: platform.claude.com/docs. Left out, as they change no answer: how closely to look at a picture, who of several
users says something, thoughts that were given out without a signature.
"""

from collections.abc import Mapping
from typing import Any

from . import functions
from .base import ProviderError, Recovery, Unsupported
from .claude_blocks import Block, blocks, call, is_thought, result, thoughts
from .claude_parameters import SAMPLING_VERSION, check, parameters, samples, think, tools

MAX_TOKENS = 4096
_SYSTEM = ("system", "developer")


def request(body: Mapping[str, Any], version: str, *, stream: bool) -> dict[str, Any]:
    """The body of POST /v1/messages. Raises Unsupported for parts that Claude does not take."""
    check(body, version)
    body = functions.to_tools(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ProviderError("`messages` must be a list of messages.", recovery=Recovery.FAIL, code="messages")
    turns, system = _turns(messages), _system(messages)
    if system and not turns:
        # Orders alone are a question, and there must be one.
        turns, system = [{"role": "user", "content": blocks(system)}], ""
    out: dict[str, Any] = {
        "model": body.get("model"),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS,
        "messages": turns,
    }
    if system:
        out["system"] = system
    if stream:
        out["stream"] = True
    if stop := body.get("stop"):
        out["stop_sequences"] = _stops(stop)
    out.update(parameters(body, version))
    out.update(tools(body))
    think(out, body.get("reasoning_effort"))
    if out.get("thinking") and not _thought_of(out["messages"]):
        # A call of a tool without the signed thought before it would be refused: this turn goes on without thinking.
        del out["thinking"]
    return out


def _stops(given: Any) -> list[str]:
    """Where an answer is to stop. Anthropic takes no blanks there, and an answer must not go on behind them."""
    stops = [stop for stop in ([given] if isinstance(given, str) else given) if stop]
    if any(stop.isspace() for stop in stops):
        raise Unsupported("claude", "stop at blanks alone")
    return stops


def without_foreign_thoughts(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request in Anthropic's shape without thoughts that nobody signed: they are another model's, given out here, and
    Claude would refuse the conversation for them."""
    turns = body.get("messages") or ()
    if not any(_foreign(block) for turn in turns for block in _listed(turn)):
        return body
    kept = [
        {**turn, "content": [block for block in turn["content"] if not _foreign(block)]} if _listed(turn) else turn
        for turn in turns
    ]
    return {**body, "messages": [turn for turn in kept if not isinstance(turn, dict) or turn.get("content") != []]}


def _listed(turn: Any) -> list[Any]:
    content = turn.get("content") if isinstance(turn, dict) else None
    return content if isinstance(content, list) else []


def _foreign(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking" and block.get("signature") == ""


def _thought_of(turns: list[Block]) -> bool:
    """Whether the calls of tools that are being answered come with the thoughts before them."""
    called: list[Block] = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), [])
    answered = bool(turns) and any(block.get("type") == "tool_result" for block in turns[-1]["content"])
    uses = any(block.get("type") == "tool_use" for block in called)
    return not (answered and uses) or any(map(is_thought, called))


def _system(messages: list[Block]) -> str | list[Block]:
    """System and developer messages, wherever they stand, as the one instruction Anthropic has room for."""
    said: list[Any] = [message.get("content") or "" for message in messages if message.get("role") in _SYSTEM]
    if all(isinstance(content, str) for content in said):
        return "\n\n".join(content for content in said if content.strip())
    found = [block for content in said for block in blocks(content)]
    if others := [block["type"] for block in found if block["type"] != "text"]:
        raise Unsupported("claude", f"{others[0]} content in a system message")
    return found


def _turns(messages: list[Block]) -> list[Block]:
    """User and assistant by turns: neighbours of the same role are one turn, in which results of tools come first."""
    turns: list[Block] = []
    for message in messages:
        role = message.get("role")
        if role in _SYSTEM:
            continue
        if role == "tool":
            role, found = "user", [result(message)]
        elif role == "assistant":
            found = _said(message)
        elif role == "user":
            found = blocks(message.get("content"))
        else:
            raise ProviderError(f"There is no role {role!r}.", recovery=Recovery.FAIL, code="messages")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += found
        elif found:
            turns.append({"role": role, "content": found})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if turns and turns[-1]["role"] == "assistant" and turns[-1]["content"][-1]["type"] == "text":
        # What an answer is to go on with must not end in blanks.
        begun = turns[-1]["content"][-1]
        begun["text"] = begun["text"].rstrip()
    return turns


def _said(message: Block) -> list[Block]:
    """What an assistant said: thoughts first, then words, then calls of tools."""
    if message.get("audio"):
        raise Unsupported("claude", "audio content")
    refusal = [{"type": "text", "text": message["refusal"]}] if message.get("refusal") else []
    calls = [call(each) for each in message.get("tool_calls") or ()]
    return [*thoughts(message), *blocks(message.get("content")), *refusal, *calls]


__all__ = ["MAX_TOKENS", "SAMPLING_VERSION", "request", "samples", "without_foreign_thoughts"]
