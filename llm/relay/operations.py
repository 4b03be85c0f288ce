"""The things a model can be asked to do: what they need, what they may use at the most, and what they used."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..providers.base import Completion, Provider, Speech, Tokens, Transcript
from ..providers.contents import pictures
from .audio import Recording
from .billing import Amount
from .catalogue import ModelSpec
from .estimates import Calibration, weigh, weigh_prompt

# Ark answers with up to 2,000 tokens unless told otherwise; the others up to what the model can.
_ARK_DEFAULT_TOKENS = 2000
# A prompt's estimate is held with this much more.
_SAFETY = 1.15

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


@dataclass(frozen=True, slots=True)
class Operation:
    """`most` is what is held for, `used` what a finished call used and how that is known."""

    name: str
    capability: str
    ask: Callable[[Provider, Question, ModelSpec], Awaitable[Any]]
    most: Callable[[Question, ModelSpec, Calibration], Amount]
    used: Callable[[Question, ModelSpec, Calibration, Any], tuple[Amount, str]]
    weigh: Callable[[Mapping[str, Any]], float]


def max_tokens_of(body: Mapping[str, Any]) -> int | None:
    """How many tokens an answer may have, as the caller wants it: the larger of two limits, as providers disagree about
    which one counts."""
    return max(filter(None, (body.get("max_completion_tokens"), body.get("max_tokens"))), default=None)


def prompt_tokens(question: Question, model: ModelSpec, calibration: Calibration) -> int:
    return max(1, calibration.tokens(model.name, question.weight))


# --- Chat ------------------------------------------------------------------------------------------------------------
def _most_chat(question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
    body = question.body
    default = min(model.max_tokens, _ARK_DEFAULT_TOKENS) if model.provider == "ark" else model.max_tokens
    output = (max_tokens_of(body) or default) * (body.get("n") or 1)
    return Amount(int(prompt_tokens(question, model, calibration) * _SAFETY) + 1, output)


def _used_chat(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> tuple[Amount, str]:
    if reply.usage is not None:
        return Amount(reply.usage.input, reply.usage.output), "provider"
    weight = sum(weigh(text_of(choice.get("message") or {})) for choice in reply.body.get("choices", ()))
    output = calibration.tokens(model.name, weight)
    return Amount(prompt_tokens(question, model, calibration), output), "estimate"


def text_of(message: Mapping[str, Any]) -> str:
    """Everything a model wrote in a message."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    calls.append(message.get("function_call") or {})
    written = [message.get("content"), message.get("reasoning_content"), *(call.get("arguments") for call in calls)]
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


def _most_input(question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
    return Amount(int(prompt_tokens(question, model, calibration) * _SAFETY) + 1, 0)


def _used_input(
    question: Question, model: ModelSpec, calibration: Calibration, reply: Completion
) -> tuple[Amount, str]:
    if reply.usage is not None:
        return Amount(reply.usage.input, 0), "provider"
    return Amount(prompt_tokens(question, model, calibration), 0), "estimate"


def _most_images(question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
    return Amount(0, question.body.get("n") or 1)


def _used_images(
    question: Question, model: ModelSpec, calibration: Calibration, reply: Completion
) -> tuple[Amount, str]:
    if model.measure == "1k_tokens" and reply.usage is not None:
        return Amount(reply.usage.input, reply.usage.output), "provider"
    return Amount(0, pictures(reply.body)), "provider"


def _most_audio(question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
    return Amount(_recording(question).seconds, 0)


def _used_audio(
    question: Question, model: ModelSpec, calibration: Calibration, transcript: Transcript
) -> tuple[Amount, str]:
    if transcript.seconds is not None:
        return Amount(-int(-transcript.seconds // 1), 0), "provider"
    return Amount(_recording(question).seconds, 0), "estimate"


def _characters(question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
    return Amount(len(question.body["input"]), 0)


def _used_characters(question: Question, model: ModelSpec, calibration: Calibration, _: Speech) -> tuple[Amount, str]:
    return _characters(question, model, calibration), "provider"


async def _transcribe(provider: Provider, question: Question, model: ModelSpec) -> Transcript:
    return await provider.transcribe(_recording(question).audio, question.to(model))


def _recording(question: Question) -> Recording:
    if question.recording is None:
        raise TypeError("Speech to text needs a recording.")
    return question.recording


def _nothing(body: Mapping[str, Any]) -> float:
    return 0.0


CHAT = Operation("chat", "chat", lambda p, q, m: p.chat(q.to(m)), _most_chat, _used_chat, weigh_prompt)
EMBED = Operation("embeddings", "embedding", lambda p, q, m: p.embed(q.to(m)), _most_input, _used_input, _weigh_inputs)
IMAGES = Operation("images", "image", lambda p, q, m: p.images(q.to(m)), _most_images, _used_images, _nothing)
TRANSCRIBE = Operation("transcription", "speech_to_text", _transcribe, _most_audio, _used_audio, _nothing)
SPEAK = Operation("speech", "text_to_speech", lambda p, q, m: p.speak(q.to(m)), _characters, _used_characters, _nothing)


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
            before = self.report or usage
            # What was used is used: a later report that says less, or nothing, does not give it back.
            self.report = Tokens(max(before.input, usage.input), max(before.output, usage.output), usage.final)
            self._weight_reported += self._weight
            self._weight = 0.0

    def used(self, question: Question, model: ModelSpec, calibration: Calibration) -> tuple[Amount, str]:
        """What to charge for, and how it is known."""
        report = self.report
        if report is not None and report.final:
            calibration.learn(model.name, self._weight_reported + self._weight, report.output)
            return Amount(report.input, report.output), "provider"
        since = calibration.tokens(model.name, self._weight)
        if report is not None:
            return Amount(report.input, report.output + since), "estimate" if since else "cumulative"
        return Amount(prompt_tokens(question, model, calibration), since), "estimate"
