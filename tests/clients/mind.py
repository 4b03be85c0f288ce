"""What the stand-in model does: it reads the task in the user's words and works on it with the tools it was offered.

Tasks stand in lines of their own: `read PATH`, `edit PATH: OLD -> NEW`, `weather in CITY`, `look up TOOL` among those
that a client has not told of yet, `close AGENT`. A file that is read in a test holds a secret, SECRET- and eight hex
digits: only who got the result of the tool can say it.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

_TASK = re.compile(r"^(read|edit|weather in|look up|close) (\S+?)(?:: (\S+) -> (\S+))?$", re.MULTILINE)
_SECRET = re.compile(r"SECRET-[0-9a-f]{8}")


@dataclass(frozen=True)
class Result:
    """What a tool answered: its text, and what was attached."""

    text: str
    attached: Sequence[str] = ()


@dataclass(frozen=True)
class Call:
    """`arguments` is an object; of a tool that takes plain text, that text."""

    name: str
    arguments: Body | str


@dataclass(frozen=True)
class Turn:
    """One request as the model sees it: the newest text with a task, else the newest; the tools by name, each as it was
    declared; what tools answered since that text; what the user attached."""

    question: str
    tools: Mapping[str, Body]
    results: Sequence[Result] = ()
    attached: Sequence[str] = ()


@dataclass(frozen=True)
class Thought:
    """The answer: a call of a tool, or words."""

    call: Call | None = None
    text: str = ""


def is_task(text: str) -> bool:
    return bool(_TASK.search(text)) and not text.lstrip().startswith("<")


def attachment(media_type: str, data: str) -> str:
    """How an attached file is told: its type, and the beginning of its digest."""
    return f"{media_type} {fingerprint(base64.b64decode(data))}"


def fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def think(turn: Turn) -> Thought:
    """The next step of the task; when all are done, what was found out."""
    steps = [step for task in _TASK.findall(turn.question) for step in _steps(task, turn.tools)]
    if len(turn.results) < len(steps):
        return Thought(call=steps[len(turn.results)])
    if not turn.results:
        shown = f" I was shown: {', '.join(turn.attached)}." if turn.attached else ""
        return Thought(text=f"Hello! I am the stand-in.{shown}")
    found = [fact for result in turn.results for fact in (*_SECRET.findall(result.text), *result.attached)]
    return Thought(text=f"Done. I was told: {', '.join(dict.fromkeys(found)) or turn.results[-1].text[-80:]}.")


def _steps(task: Sequence[str], tools: Mapping[str, Body]) -> list[Call]:
    verb, subject, old, new = task
    others = {
        "weather in": Call("get_weather", {"city": subject}),
        "look up": Call("ToolSearch", {"query": f"select:{subject}"}),
        "close": Call("multi_agent_v1__close_agent", {"target": subject}),
    }
    if verb in others:
        return [others[verb]] if others[verb].name in tools else []
    if "Read" in tools:
        reading = Call("Read", {"file_path": subject})
        change = {"file_path": subject, "old_string": old, "new_string": new, "replace_all": False}
        return [reading] if verb == "read" else [reading, Call("Edit", change)]
    if "exec_command" in tools:
        if verb == "read" and subject.endswith(".png"):
            return [Call("view_image", {"path": subject})]
        reading = Call("exec_command", {"cmd": f"cat {subject}"})
        return [reading] if verb == "read" else [reading, _patch(subject, old, new, tools)]
    return []


def _patch(path: str, old: str, new: str, tools: Mapping[str, Body]) -> Call:
    """As Codex edits: a patch, as plain text or, where the model was only offered a function, as its one argument."""
    if "apply_patch" not in tools:
        return Call("exec_command", {"cmd": f"sed -i 's/{old}/{new}/' {path}"})
    patch = f"*** Begin Patch\n*** Update File: {path}\n@@\n-{old}\n+{new}\n*** End Patch\n"
    plain = tools["apply_patch"].get("type") == "custom"
    return Call("apply_patch", patch if plain else {"input": patch})
