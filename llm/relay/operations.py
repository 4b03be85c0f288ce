"""The things a model can be asked to do: what they need, what they may use at the most, and what they used."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..kinds import INPUT, OUTPUT, SEARCH
from ..providers.base import Completion, Provider, Speech, Tokens, Transcript
from ..providers.contents import pictures
from .audio import Recording
from .billing import NOTHING, Amount, Ceiling, amount
from .catalogue import ModelSpec
from .estimates import Calibration, weigh, weigh_prompt
from .unpriced import variant_of

# What a provider writes at the most when nobody says how much; the others, up to what the model can.
_DEFAULT_TOKENS = {"ark": 2000, "claude": 4096}
_LIMITS = ("max_tokens", "max_completion_tokens")
# A prompt's estimate is held with this much more.
_SAFETY = 1.15
# So many searches are held for, when one may search and nobody says how often.
_SEARCHES = 10

Result = Completion | Transcript | Speech


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a body in OpenAI's shape, for speech to text the form's fields and the recording. `weight` is
    about how many tokens the input has."""

    body: Mapping[str, Any]
    weight: float = 0.0
    recording: Recording | None = None

    def to(self, model: ModelSpec) -> dict[str, Any]:
        """The body as that model's provider must see it."""
        return {**self.body, "model": model.provider_model_id}

    def to_chat(self, model: ModelSpec) -> dict[str, Any]:
        """The same of a chat, with the limits that are held for."""
        return {**self.to(model), **answer_limits(self.body, model)}


@dataclass(frozen=True, slots=True)
class Operation:
    """`most` is what is held for, `used` what a finished call used and how that is known, `estimated` what it used for
    all we know ourselves: nothing when nothing was answered."""

    name: str
    capability: str
    ask: Callable[[Provider, Question, ModelSpec], Awaitable[Any]]
    most: Callable[[Question, ModelSpec, Calibration], Ceiling]
    used: Callable[[Question, ModelSpec, Calibration, Any], tuple[Amount, str]]
    weigh: Callable[[Mapping[str, Any]], float]
    estimated: Callable[[Question, ModelSpec, Calibration, Any], Amount] | None = None


def max_tokens_of(body: Mapping[str, Any]) -> int | None:
    """How many tokens an answer may have, as the caller wants it: the larger of two limits, as providers disagree about
    which one counts."""
    return max(filter(None, (body.get("max_completion_tokens"), body.get("max_tokens"))), default=None)


def answer_limits(body: Mapping[str, Any], model: ModelSpec) -> dict[str, int]:
    """The limits of an answer that are asked for, and so held for: the caller's, but not above the model's own."""
    given = {}
    for name in _LIMITS:
        if body.get(name):
            given[name] = min(body[name], model.max_tokens)
    if not given and (default := _DEFAULT_TOKENS.get(model.provider)):
        given["max_tokens"] = min(default, model.max_tokens)
    return given


def prompt_tokens(question: Question, model: ModelSpec, calibration: Calibration) -> int:
    return max(1, calibration.tokens(model.name, question.weight))


# --- Chat ------------------------------------------------------------------------------------------------------------
def _most_chat(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    body = question.body
    output = max(answer_limits(body, model).values(), default=model.max_tokens) * (body.get("n") or 1)
    asked = body.get("modalities")
    sound = type(asked) is list and "audio" in asked
    return Ceiling(
        int(prompt_tokens(question, model, calibration) * _SAFETY) + 1,
        output,
        _kinds_asked(body, model),
        ("output", "output_audio") if sound else ("output",),
        {SEARCH: _most_searches(body)} if searches(body) else {},
        body.get("service_tier") or "",
    )


def _kinds_asked(body: Mapping[str, Any], model: ModelSpec) -> tuple[str, ...]:
    """Which kinds of input a chat may turn out to be. Reading a cache is never assumed: it is cheaper."""
    own = model.prices.kinds
    if own <= _PLAIN_KINDS:
        return ("input",)
    parts = [part for message in body.get("messages", ()) for part in _parts(message)]
    kinds = ["input"]
    kinds += [kind for kind, mark in _PART_KINDS if kind in own and any(part.get("type") == mark for part in parts)]
    marks = [part["cache_control"] for part in (*parts, *body.get("tools", ())) if part.get("cache_control")]
    # OpenAI writes to its cache unasked, where writing has a price.
    if "cache_write" in own and (marks or model.provider != "claude"):
        kinds.append("cache_write")
    if "cache_write_long" in own and any(type(mark) is dict and mark.get("ttl") == "1h" for mark in marks):
        kinds.append("cache_write_long")
    return tuple(kinds)


_PLAIN_KINDS = frozenset({"input", "cache_read", "output"})
_PART_KINDS = (("input_audio", "input_audio"), ("input_image", "image_url"))


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if type(part) is dict] if type(content) is list else []


def searches(body: Mapping[str, Any]) -> bool:
    """Whether the provider may search the web for this request, which it bills by the search."""
    if body.get("web_search_options") is not None:
        return True
    return any(
        type(kind := tool.get("type")) is str and kind.startswith("web_search") for tool in body.get("tools", ())
    )


def _most_searches(body: Mapping[str, Any]) -> int:
    most = body.get("max_tool_calls")
    return most if type(most) is int and 0 < most <= 1000 else _SEARCHES


def _used_chat(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> tuple[Amount, str]:
    if reply.usage is not None:
        return reported(question, reply.usage), "provider"
    output = _written(model, calibration, reply)
    return amount(input=prompt_tokens(question, model, calibration), output=output), "estimate"


def reported(question: Question, report: Tokens) -> Amount:
    """What a provider says of a chat. OpenAI's chat does not count searches: there it is one for each request."""
    kinds = report.kinds
    if SEARCH not in kinds and question.body.get("web_search_options") is not None:
        kinds = {**kinds, SEARCH: 1}
    return Amount(kinds, report.service_tier)


def _estimated_chat(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> Amount:
    output = _written(model, calibration, reply)
    return amount(input=prompt_tokens(question, model, calibration), output=output) if output else NOTHING


def _written(model: ModelSpec, calibration: Calibration, reply: Completion) -> int:
    weight = sum(weigh(text_of(choice.get("message") or {})) for choice in reply.body.get("choices", ()))
    return calibration.tokens(model.name, weight)


def text_of(message: Mapping[str, Any]) -> str:
    """Everything a model wrote in a message."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    calls.append(message.get("function_call") or {})
    # Some write the same thought under both names.
    thought = message.get("reasoning_content") or message.get("reasoning")
    written = [message.get("content"), thought, *(call.get("arguments") for call in calls)]
    return "".join(text for text in written if isinstance(text, str))


# --- The others ------------------------------------------------------------------------------------------------------
def _weigh_inputs(body: Mapping[str, Any]) -> float:
    given = body.get("input")
    if isinstance(given, str):
        return weigh(given)
    if not isinstance(given, list):
        return 0.0
    # Texts, or one text as token numbers, or several.
    return sum(weigh(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 1 for item in given)


def _most_input(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    return Ceiling(int(prompt_tokens(question, model, calibration) * _SAFETY) + 1)


def _used_input(
    question: Question, model: ModelSpec, calibration: Calibration, reply: Completion
) -> tuple[Amount, str]:
    if reply.usage is not None:
        return Amount({kind: number for kind, number in reply.usage.kinds.items() if kind in INPUT}), "provider"
    return _estimated_input(question, model, calibration, reply), "estimate"


def _estimated_input(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> Amount:
    return amount(input=prompt_tokens(question, model, calibration))


def _most_images(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    pieces = question.body.get("n") or 1
    if "image" in model.prices.kinds:
        return Ceiling(others={"image": pieces}, variant=variant_of(question.body, model) or "")
    prompt = calibration.tokens(model.name, weigh(str(question.body.get("prompt") or "")))
    return Ceiling(int(prompt * _SAFETY) + 1, model.max_tokens * pieces, output_kinds=("output_image",))


def _used_images(
    question: Question, model: ModelSpec, calibration: Calibration, reply: Completion
) -> tuple[Amount, str]:
    if "image" not in model.prices.kinds and reply.usage is not None:
        return Amount(reply.usage.kinds), "provider"
    return amount(image=pictures(reply.body), variant=variant_of(question.body, model) or ""), "provider"


def _most_audio(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    return Ceiling(others={"second": _recording(question).seconds})


def _used_audio(
    question: Question, model: ModelSpec, calibration: Calibration, transcript: Transcript
) -> tuple[Amount, str]:
    if transcript.seconds is not None:
        return amount(second=-int(-transcript.seconds // 1)), "provider"
    return amount(second=_recording(question).seconds), "estimate"


def _most_characters(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    return Ceiling(others={"character": len(question.body["input"])})


def _used_characters(question: Question, model: ModelSpec, calibration: Calibration, _: Speech) -> tuple[Amount, str]:
    return amount(character=len(question.body["input"])), "provider"


async def _transcribe(provider: Provider, question: Question, model: ModelSpec) -> Transcript:
    return await provider.transcribe(_recording(question).audio, question.to(model))


def _recording(question: Question) -> Recording:
    if question.recording is None:
        raise TypeError("Speech to text needs a recording.")
    return question.recording


def _nothing(body: Mapping[str, Any]) -> float:
    return 0.0


CHAT = Operation(
    "chat", "chat", lambda p, q, m: p.chat(q.to_chat(m)), _most_chat, _used_chat, weigh_prompt, _estimated_chat
)
EMBED = Operation(
    "embeddings",
    "embedding",
    lambda p, q, m: p.embed(q.to(m)),
    _most_input,
    _used_input,
    _weigh_inputs,
    _estimated_input,
)
IMAGES = Operation("images", "image", lambda p, q, m: p.images(q.to(m)), _most_images, _used_images, _nothing)
TRANSCRIBE = Operation("transcription", "speech_to_text", _transcribe, _most_audio, _used_audio, _nothing)
SPEAK = Operation(
    "speech", "text_to_speech", lambda p, q, m: p.speak(q.to(m)), _most_characters, _used_characters, _nothing
)


class Meter:
    """What a stream has used so far: reports as they come, and the weight of what came after the last one."""

    def __init__(self) -> None:
        self.report: Tokens | None = None
        self._weight = 0.0
        self._weight_reported = 0.0

    def read(self, text: str, usage: Tokens | None) -> None:
        if text:
            self._weight += weigh(text)
        if usage is not None:
            self.report = usage if self.report is None else _more(self.report, usage)
            self._weight_reported += self._weight
            self._weight = 0.0

    def used(self, question: Question, model: ModelSpec, calibration: Calibration) -> tuple[Amount, str]:
        """What to charge for, and how it is known."""
        report = self.report
        if report is not None and report.final:
            calibration.learn(model.name, self._weight_reported + self._weight, report.output)
            return reported(question, report), "provider"
        since = calibration.tokens(model.name, self._weight)
        if report is None:
            return amount(input=prompt_tokens(question, model, calibration), output=since), "estimate"
        used = reported(question, report)
        if since:
            return used._replace(kinds={**used.kinds, "output": used.kinds.get("output", 0) + since}), "estimate"
        return used, "cumulative"

    def estimated(self, question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
        """What it used for all we know ourselves, when anything was written."""
        output = calibration.tokens(model.name, self._weight_reported + self._weight)
        return amount(input=prompt_tokens(question, model, calibration), output=output) if output else NOTHING


def _more(before: Tokens, now: Tokens) -> Tokens:
    """A later report of the same stream. What was used is used: one that says less, or nothing, of the input or of the
    output does not give that back. The larger sum's kinds count, not each kind's largest number: a report may only
    come to tell apart what an earlier one had in one."""
    if now.input >= before.input and now.output >= before.output and SEARCH not in before.kinds:
        return now if now.service_tier or not before.service_tier else replace(now, service_tier=before.service_tier)
    read = before if before.input > now.input else now
    wrote = before if before.output > now.output else now
    kinds = {kind: number for kind, number in read.kinds.items() if kind in INPUT}
    kinds |= {kind: number for kind, number in wrote.kinds.items() if kind in OUTPUT}
    if found := max(before.kinds.get(SEARCH, 0), now.kinds.get(SEARCH, 0)):
        kinds[SEARCH] = found
    return Tokens(read.input, wrote.output, now.final, kinds, now.service_tier or before.service_tier)
