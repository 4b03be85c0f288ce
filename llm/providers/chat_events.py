"""The meter of OpenAI's chat completions: what an answer, or a chunk of one, carries. It looks on; what it cannot leave
as it came is put right in `oddities`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from . import json_text
from .alike import Alike
from .base import Chunk, ProviderError, Recovery
from .errors import SHAPE_ERRORS
from .events import Event
from .oddities import Repair, joined
from .usage import tokens_of

# Changes an answer, or a chunk of one, in place, and says whether it did.
Edit = Callable[[dict[str, Any]], bool]

# An answer that ends so failed: OpenRouter's, Zhipu's, DeepSeek's, and what servers of open models say of one that was
# broken off.
_FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
_NO_TEXT = frozenset({"encrypted_content"})
_ARGUMENTS = (str, dict, type(None))
# How a report of usage begins; inside of texts quotation marks are escaped.
_USAGE = b'"usage":{'


class ChatEvents:
    """Reads the chunks of one stream with `answers` choices. With `hide_usage`, chunks that also hold words say nothing
    of what was used: there are clients that add up what they see."""

    def __init__(self, answers: int = 1, edit: Edit | None = None, *, hide_usage: bool = False) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None
        self.alike = Alike()
        self._edit = edit
        self._hide_usage = hide_usage
        # With one answer asked for, its last words end everything.
        self._single = answers == 1
        self._unfinished = set(range(answers))
        self._repair = Repair()

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        block, data, said, name, odd = event
        choices = said.get("choices") or ()
        usage = said.get("usage")
        tokens, last = None, not choices
        whole = _in_one(said, choices)
        changed = self._put_right(said, choices, odd=odd or whole) or whole
        output, text, delta = False, "", None
        for choice in choices:
            # OpenAI's older completions have their text in the choice itself.
            delta = choice.get("delta") if "delta" in choice else {"content": choice.get("text")}
            shown, words = _visible(delta or {})
            output, text = output or shown, text + words
            # Moonshot's report stands in the choice.
            usage = choice.get("usage") if usage is None else usage
            if choice.get("finish_reason"):
                last = self._finish(choice) or last
        if usage is None and type(groq := said.get("x_groq")) is dict:
            usage = groq.get("usage")
        if usage is not None:
            tokens = tokens_of(usage, final=last, service_tier=said.get("service_tier"))
        if usage and choices and self._hide_usage:
            block, data, changed = self._without_usage(said, block, data, changed=changed)
        if changed:
            data = json_text.write(said)
            block = b""
        model = said.get("model")
        named = model if type(model) is str else ""
        if delta and text and usage is None and not (changed or odd or name):
            self._learn(choices, delta, data, text, named)
        return (Chunk(data, output, tokens, tokens is not None and not choices, text, more, block, named),)

    def last(self) -> Sequence[Chunk]:
        return ()

    def _learn(self, choices: Any, delta: dict[str, Any], data: bytes, text: str, model: str) -> None:
        """The next one may be the same but for its text."""
        shown = [value for key, value in delta.items() if value and key != "role"]
        if len(choices) == 1 and shown == [text] and not choices[0].get("finish_reason") and self._edit is None:
            self.alike.learn(data, text, model)

    def _put_right(self, said: dict[str, Any], choices: Any, *, odd: bool) -> bool:
        """Whether anything in a chunk was changed."""
        changed = False
        for choice in choices:
            delta = choice.get("delta")
            if delta and (odd or "tool_calls" in delta or type(delta.get("content")) is list):
                changed = self._repair.delta(choice, delta) or changed
        return (self._edit is not None and self._edit(said)) or changed

    def _finish(self, choice: dict[str, Any]) -> bool:
        """Whether the only answer ends with this. Raises ProviderError when it failed instead."""
        index, reason = choice.get("index"), choice["finish_reason"]
        if reason in _FAILED:
            if self._single:
                raise failed(choice)
            return False
        self._unfinished.discard(index if type(index) is int else 0)
        self.finished = not self._unfinished
        return self._single

    def _without_usage(
        self, said: dict[str, Any], block: bytes, data: bytes, *, changed: bool
    ) -> tuple[bytes, bytes, bool]:
        said["usage"] = None
        at = data.find(_USAGE)
        if changed or at < 0 or data.find(_USAGE, at + 1) >= 0:
            return block, data, True
        # Up to the brace that closes it: numbers and objects are all it holds.
        end = data.find(b"}", at)
        open_ones = data.count(b"{", at + len(_USAGE), end)
        while open_ones and end >= 0:
            inner, end = end + 1, data.find(b"}", end + 1)
            open_ones += data.count(b"{", inner, end) - 1
        if end < 0:
            return block, data, True
        return b"", b'%b"usage":null%b' % (data[:at], data[end + 1 :]), False


class TranscriptEvents:
    """Reads the events of a transcript that comes as it is heard: transcript.text.delta …, transcript.text.done."""

    def __init__(self) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        kind = str(event.said.get("type") or "")
        self.finished = self.finished or kind.endswith(".done")
        text = event.said.get("delta")
        output = bool(text) or self.finished
        said, usage = text if type(text) is str else "", tokens_of(event.said.get("usage"))
        return (Chunk(event.data, output, usage, text=said, more=more, block=event.block),)

    def last(self) -> Sequence[Chunk]:
        return ()


def completed_text(said: dict[str, Any]) -> str | None:
    """What an older completion says; None when it is none."""
    choices = said.get("choices")
    if type(choices) is not list or not choices or not all(type(each) is dict for each in choices):
        return None
    texts = [each.get("text") for each in choices]
    return "".join(texts) if all(type(text) is str for text in texts) else None


def failed(choice: dict[str, Any]) -> ProviderError:
    """The error that a choice with finish_reason "error" is (OpenRouter)."""
    error = choice.get("error")
    text = str(error.get("message") or "") if isinstance(error, dict) else ""
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    return ProviderError(text or "The answer failed.", recovery=Recovery.RETRY, status=200, code=code[:64])


def is_completion(said: dict[str, Any]) -> bool:
    """Whether an answer has the shape of a chat completion, as far as anybody reads it."""
    try:
        for choice in said["choices"]:
            message = choice["message"]
            given = [function.get("arguments") for function in _functions(message)]
            finish = choice.get("finish_reason")
            # Ollama has objects where others have their text.
            if not (finish is None or type(finish) is str) or not all(type(each) in _ARGUMENTS for each in given):
                return False
    except SHAPE_ERRORS:
        return False
    return type(said["choices"]) is list and bool(said["choices"])


def put_right(said: dict[str, Any]) -> bool:
    """What is odd in a whole answer, put right in place; whether anything was. Raises ProviderError when it failed."""
    changed = False
    for choice in said["choices"]:
        if choice.get("finish_reason") in _FAILED and len(said["choices"]) == 1:
            error = failed(choice)
            # What was counted, or written, was at work.
            error.given_up = bool(choice["message"].get("content") or tokens_of(said.get("usage")))
            raise error
        changed = joined(choice["message"]) or changed
        for function in _functions(choice["message"]):
            if type(function.get("arguments")) is dict:
                function["arguments"] = orjson.dumps(function["arguments"]).decode()
                changed = True
    return changed


def _functions(message: dict[str, Any]) -> list[dict[str, Any]]:
    """What is called in a message."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return [*calls, message.get("function_call") or {}]


def _in_one(said: dict[str, Any], choices: Any) -> bool:
    """Make a chunk of an answer that came whole: there are servers that never stream. Whether it was one."""
    whole = [choice for choice in choices if "message" in choice and "delta" not in choice]
    for choice in whole:
        choice["delta"], said["object"] = choice.pop("message"), "chat.completion.chunk"
    return bool(whole)


def _visible(said: dict[str, Any]) -> tuple[bool, str]:
    """Whether a delta carries anything a user would see, and its text."""
    output, text = False, ""
    for key, value in said.items():
        if not value or key == "role":
            continue
        output = True
        if type(value) is str:
            # vLLM and OpenRouter say the same thoughts under two names.
            if key not in _NO_TEXT and not (key == "reasoning" and said.get("reasoning_content")):
                text = text + value if text else value
        elif key == "tool_calls":
            text += "".join(_call_text(call.get("function") or {}) for call in value)
        elif key == "function_call":
            text += _call_text(value)
    return output, text


def _call_text(function: dict[str, Any]) -> str:
    return f"{function.get('name') or ''}{function.get('arguments') or ''}"
