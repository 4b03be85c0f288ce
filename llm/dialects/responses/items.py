"""The items of a Responses request as the messages of a chat, in one pass.

Text, thoughts and calls of one turn are one assistant message; outputs of tools follow their calls at once, pictures in
them after the last as the user's, and whatever stood between calls and outputs after that.
"""

from collections.abc import Mapping
from typing import Any

from ...relay.questions import Addressee
from . import sealed
from .checks import CALLS, OUTPUTS, items_of, kind_of
from .errors import CannotSay
from .tools import function_name, wrapped

_Message = dict[str, Any]
# What a session that was begun elsewhere may hold, and no chat can be told.
_HISTORY = frozenset({"web_search_call", "tool_search_call", "tool_search_output", "image_generation_call"})
_SEE_NEXT = "(see the next message)"


def messages_of(given: Mapping[str, Any], to: Addressee) -> list[_Message]:
    """A conversation whose calls and outputs are pairs. Raises CannotSay."""
    turns = _Turns(to)
    if given.get("instructions"):
        turns.say({"role": "system", "content": given["instructions"]})
    for number, item in enumerate(items_of(given)):
        turns.read(item, f"input[{number}]")
    return turns.end()


class _Turns:
    """The messages so far, and the assistant's turn that is open: its calls may still be waiting for outputs."""

    def __init__(self, to: Addressee) -> None:
        self._to = to
        self._messages: list[_Message] = []
        self._thoughts: list[str] = []
        self._blocks: list[dict[str, Any]] = []
        self._open: _Message | None = None
        self._waiting: set[str] = set()
        self._outputs: list[_Message] = []
        self._pictures: list[dict[str, Any]] = []
        self._later: list[_Message] = []

    def read(self, item: Mapping[str, Any], where: str) -> None:
        kind = kind_of(item)
        if kind == "message":
            self._message(item, where)
        elif kind in CALLS:
            self._call(item, custom=kind == "custom_tool_call")
        elif kind in OUTPUTS:
            self._output(item, where)
        elif kind == "reasoning":
            self._reasoning(item)
        elif kind not in _HISTORY and kind != "additional_tools":
            # What is unknown by its name may be a slip; the others are known, and no chat has them.
            at = where if kind in ("compaction_trigger", "compaction") else f"{where}.type"
            raise CannotSay(f"Items of type {str(kind)[:64]} cannot be put to this model.", at, "unsupported_item")

    def end(self) -> list[_Message]:
        self._close()
        return self._messages

    def say(self, message: _Message) -> None:
        """A message of the user or the system."""
        if self._waiting:
            self._later.append(message)
            return
        self._close()
        self._messages.append(message)

    # --- Messages --------------------------------------------------------------------------------------------------
    def _message(self, item: Mapping[str, Any], where: str) -> None:
        role, content = item["role"], item["content"]
        if role != "assistant":
            role = "system" if role == "developer" else role
            self.say({"role": role, "content": _content(content, f"{where}.content")})
            return
        text = content if type(content) is str else "".join(_words(part, where) for part in content)
        if self._waiting and self._outputs:
            self._later.append({"role": "assistant", "content": text})
            return
        message = self._turn()
        message["content"] = (message["content"] or "") + text

    def _call(self, item: Mapping[str, Any], *, custom: bool) -> None:
        arguments = wrapped(item["input"]) if custom else item["arguments"]
        name = function_name(item["name"], item.get("namespace") or "")
        call = {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": arguments}}
        self._turn().setdefault("tool_calls", []).append(call)
        self._waiting.add(item["call_id"])

    def _output(self, item: Mapping[str, Any], where: str) -> None:
        words, pictures = _result(item["output"], f"{where}.output")
        content: Any = words or (_SEE_NEXT if pictures else "")
        if self._to.provider == "claude" and pictures:
            # Its results of tools have room for both.
            content, pictures = _content(item["output"], f"{where}.output"), []
        self._outputs.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})
        self._pictures += pictures
        self._waiting.discard(item["call_id"])

    def _turn(self) -> _Message:
        """The assistant's open turn: what its tools have answered ends it."""
        if self._outputs and not self._waiting:
            self._close()
        if self._open is None:
            self._open = {"role": "assistant", "content": None}
        if self._thoughts:
            known = self._open.get("reasoning_content")
            self._open["reasoning_content"] = "\n".join(filter(None, [known, *self._thoughts]))
        if self._blocks:
            self._open["thinking_blocks"] = [*self._open.get("thinking_blocks", ()), *self._blocks]
        self._thoughts, self._blocks = [], []
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._messages.append(self._open)
        self._messages += self._outputs
        if self._pictures:
            self._messages.append({"role": "user", "content": self._pictures})
        self._messages += self._later
        self._open, self._outputs, self._pictures, self._later = None, [], [], []

    # --- Thoughts --------------------------------------------------------------------------------------------------
    def _reasoning(self, item: Mapping[str, Any]) -> None:
        """What was thought, for whoever thought it: plain thoughts for models that want them back, and Claude's blocks
        with their signatures."""
        if item.get("encrypted_content"):
            found = sealed.opened(item["encrypted_content"])
            if found is None or found.tag != sealed.tag_of(self._to.credential_id):
                return
            if self._to.provider == "claude":
                self._blocks += sealed.blocks_in(found)
            elif thoughts := sealed.thoughts_in(found):
                self._thoughts.append(thoughts)
        elif self._to.provider != "claude":
            words = [part.get("text") for part in (*(item.get("summary") or ()), *(item.get("content") or ()))]
            self._thoughts += ["\n".join(word for word in words if type(word) is str)] if any(words) else []


# --- Contents --------------------------------------------------------------------------------------------------------
def _content(content: Any, where: str) -> Any:
    """A message's text, or its parts where it has more than text."""
    if type(content) is str:
        return content
    parts = [_part(part, f"{where}[{number}]") for number, part in enumerate(content)]
    return _joined(parts) if all(part["type"] == "text" for part in parts) else parts


def _joined(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _result(output: Any, where: str) -> tuple[str, list[dict[str, Any]]]:
    """What a tool gave out: its words, and what is no words; a tool's message has room for the first only."""
    if type(output) is str:
        return output, []
    parts = [_part(part, f"{where}[{number}]") for number, part in enumerate(output)]
    others = [part for part in parts if part["type"] != "text"]
    return _joined(parts), others


def _words(part: Mapping[str, Any], where: str) -> str:
    if part["type"] in ("output_text", "input_text", "text"):
        return str(part.get("text") or "")
    if part["type"] == "refusal":
        return str(part["refusal"])
    raise CannotSay(f"An assistant's message has no {part['type']}.", f"{where}.content", "unsupported_value")


def _part(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = part["type"]
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text") or ""}
    if kind == "refusal":
        return {"type": "text", "text": part["refusal"]}
    if kind == "input_image":
        return {"type": "image_url", "image_url": _image(part)}
    if kind == "input_file" and type(part.get("file_data")) is str:
        name = {"filename": part["filename"]} if type(part.get("filename")) is str else {}
        return {"type": "file", "file": {**name, "file_data": part["file_data"]}}
    if kind == "input_audio" and type(part.get("input_audio")) is dict:
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": {"data": part.get("data"), "format": part.get("format")}}
    if kind == "input_video" and type(part.get("video_url")) is str:
        return {"type": "video_url", "video_url": {"url": part["video_url"]}}
    what = "input_file with a file_url" if part.get("file_url") else kind
    raise CannotSay(f"This model has no room for {what}.", f"{where}.type", "unsupported_value")


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    detail = part.get("detail")
    if detail in (None, "auto"):
        return {"url": part["image_url"]}
    return {"url": part["image_url"], "detail": "high" if detail == "original" else detail}
