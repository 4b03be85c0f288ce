"""The things a model can be asked to do: what they need, what they may use at the most, and what they used."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..kinds import INPUT, SEARCH
from ..providers.base import Completion, Form, Provider, Speech, Tokens, Transcript
from ..providers.contents import drawings, inputs, pictures
from .audio import Recording
from .billing import NOTHING, Amount, Ceiling, amount
from .catalogue import ModelSpec
from .estimates import Calibration, weigh, weigh_data, weigh_input, weigh_prompt
from .questions import Question, answer_limits, by_estimate, prompt_tokens
from .searching import blocks, said_in, searches, searching_field
from .unpriced import variant_of

# What makes something of what it is asked: the content filter looks at these.
GENERATING = frozenset({"chat", "completion", "image", "text_to_speech"})

# A prompt's estimate is held with this much more.
_SAFETY = 1.15
# So many searches are held for, when one may search and nobody says how often.
_SEARCHES = 10

Result = Completion | Transcript | Speech


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
    # What the question alone tells is used, also of a stream; None: it is not told.
    told: Callable[[Question, ModelSpec], Amount | None] = lambda _question, _model: None


# --- Chat ------------------------------------------------------------------------------------------------------------
def _most_chat(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    body = question.body
    limits = answer_limits(body, model, question.dialect)
    output = max(limits.values(), default=model.max_tokens) * (body.get("n") or 1)
    asked = body.get("modalities")
    sound = type(asked) is list and "audio" in asked
    times = 2 if _sums_up(body) else 1
    return Ceiling(
        times * int(prompt_tokens(question, model, calibration) * _SAFETY) + 1,
        times * output,
        _kinds_asked(body, model),
        ("output", "output_audio") if sound else ("output",),
        {SEARCH: _most_searches(body)} if searches(body) else {},
        body.get("service_tier") or "",
    )


def _sums_up(body: Mapping[str, Any]) -> bool:
    """Whether Claude may read all of it to sum it up before it answers."""
    managed = body.get("context_management")
    edits = blocks(managed.get("edits")) if isinstance(managed, Mapping) else ()
    return any(str(edit.get("type")).startswith("compact") for edit in edits)


def _kinds_asked(body: Mapping[str, Any], model: ModelSpec) -> tuple[str, ...]:
    """Which kinds of input a chat may turn out to be. Reading a cache is never assumed: it is cheaper."""
    own = model.prices.kinds
    if own <= _PLAIN_KINDS:
        return ("input",)
    parts = [part for message in said_in(body) for part in _parts(message)]
    kinds = ["input"]
    kinds += [kind for kind, marks in _PART_KINDS if kind in own and any(part.get("type") in marks for part in parts)]
    marked = (*parts, *(body.get("tools") or ()), *blocks(body.get("system")))
    marks = [part["cache_control"] for part in marked if part.get("cache_control")]
    # OpenAI writes to its cache unasked, where writing has a price.
    if "cache_write" in own and (marks or model.provider != "claude"):
        kinds.append("cache_write")
    if "cache_write_long" in own and any(type(mark) is dict and mark.get("ttl") == "1h" for mark in marks):
        kinds.append("cache_write_long")
    return tuple(kinds)


_PLAIN_KINDS = frozenset({"input", "cache_read", "output"})
_PART_KINDS = (("input_audio", ("input_audio",)), ("input_image", ("image_url", "input_image")))


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*blocks(message.get("content")), *blocks(message.get("output"))]


def _most_searches(body: Mapping[str, Any]) -> int:
    most = body.get("max_tool_calls")
    return most if type(most) is int and 0 < most <= 1000 else _SEARCHES


def _most_completion(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    body, most = question.body, _most_chat(question, model, calibration)
    prompts = inputs({"input": body.get("prompt")})
    return most._replace(output=most.output * prompts * max(1, (body.get("best_of") or 1) // (body.get("n") or 1)))


def _used_chat(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> tuple[Amount, str]:
    if reply.usage is not None:
        return reported(question, reply.usage), "provider"
    return by_estimate(question, model, calibration, _written(model, calibration, reply)), "estimate"


def reported(question: Question, report: Tokens) -> Amount:
    """What a provider says of a chat. OpenAI's chat does not count searches: there it is one for each request."""
    kinds = report.kinds
    if SEARCH not in kinds and searching_field(question.body) is not None:
        kinds = {**kinds, SEARCH: 1}
    return Amount(kinds, report.service_tier)


def _estimated_chat(question: Question, model: ModelSpec, calibration: Calibration, reply: Completion) -> Amount:
    output = _written(model, calibration, reply)
    return by_estimate(question, model, calibration, output) if output else NOTHING


def written_in(reply: Completion) -> str:
    """The text of a whole answer."""
    if reply.text is not None:
        return reply.text
    choices = reply.body.get("choices", ())
    return "\n".join(text_of(choice.get("message") or {}) or str(choice.get("text") or "") for choice in choices)


def _written(model: ModelSpec, calibration: Calibration, reply: Completion) -> int:
    written = [text_of(choice.get("message") or {}) for choice in reply.body.get("choices", ())]
    weight = weigh(reply.text) if reply.text is not None else sum(map(weigh, written))
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
    return weigh_input(body.get("input"))


def _weigh_documents(body: Mapping[str, Any]) -> float:
    """A rerank reads the question with each document."""
    documents = body.get("documents") or ()
    return weigh(str(body.get("query") or "")) * len(documents) + sum(map(weigh_data, documents))


def _weigh_parts(body: Mapping[str, Any]) -> float:
    """Texts, and pictures whose size says nothing."""
    parts = [part for part in body.get("input") or () if isinstance(part, dict)]
    return sum(weigh(str(part.get("text") or "")) + (0 if part.get("type") == "text" else 1000) for part in parts)


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
    pieces = drawings(question.body)
    if "image" in model.prices.kinds:
        return Ceiling(others={"image": pieces}, variant=variant_of(question.body, model) or "")
    prompt = calibration.tokens(model.name, weigh(str(question.body.get("prompt") or "")))
    return Ceiling(int(prompt * _SAFETY) + 1, model.max_tokens * pieces, output_kinds=("output_image",))


def _used_images(
    question: Question, model: ModelSpec, calibration: Calibration, reply: Completion
) -> tuple[Amount, str]:
    if "image" not in model.prices.kinds:
        if reply.usage is not None:
            return Amount(reply.usage.kinds), "provider"
        read = calibration.tokens(model.name, weigh(str(question.body.get("prompt") or "")))
        return amount(input=read, output_image=_PICTURE_TOKENS * pictures(reply.body)), "estimate"
    return amount(image=pictures(reply.body), variant=variant_of(question.body, model) or ""), "provider"


# What a picture is at OpenAI, of 1024x1024 and medium quality.
_PICTURE_TOKENS = 1056
# Of models that are paid by the token: what a second of sound is at the most, and what may be said in it.
_AUDIO_TOKENS, _SPOKEN_TOKENS = 25, 20
# A recording that is said to be so many times as long was measured in milliseconds.
_BELIEVED = 100


def _by_the_second(model: ModelSpec) -> bool:
    """Whether recordings are paid by their length; otherwise by the tokens that the provider counts."""
    return "second" in model.prices.kinds or not model.prices.kinds & {"input", "input_audio"}


def _most_audio(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    seconds = _recording(question).seconds
    if _by_the_second(model):
        return Ceiling(others={"second": seconds})
    prompt = calibration.tokens(model.name, weigh(str(question.body.get("prompt") or "")))
    heard = seconds * _AUDIO_TOKENS + int(prompt * _SAFETY) + 1
    return Ceiling(heard, min(model.max_tokens, 100 + seconds * _SPOKEN_TOKENS), ("input", "input_audio"))


def _told_by_recording(question: Question, model: ModelSpec) -> Amount | None:
    return amount(second=_recording(question).seconds) if _by_the_second(model) else None


def _used_audio(
    question: Question, model: ModelSpec, calibration: Calibration, transcript: Transcript
) -> tuple[Amount, str]:
    if not _by_the_second(model):
        if transcript.usage is not None:
            return Amount(transcript.usage.kinds), "provider"
        written = calibration.tokens(model.name, weigh(transcript.text))
        return by_estimate(question, model, calibration, written), "estimate"
    measured = _recording(question).seconds
    if transcript.seconds is not None and transcript.seconds <= measured * _BELIEVED:
        return amount(second=-int(-transcript.seconds // 1)), "provider"
    return amount(second=measured), "estimate"


def _most_characters(question: Question, model: ModelSpec, calibration: Calibration) -> Ceiling:
    return Ceiling(others={"character": len(question.body["input"])})


def _used_characters(question: Question, model: ModelSpec, calibration: Calibration, _: Speech) -> tuple[Amount, str]:
    return amount(character=len(question.body["input"])), "provider"


async def _transcribe(provider: Provider, question: Question, model: ModelSpec) -> Transcript:
    return await provider.transcribe(_recording(question).audio, question.to(model), question.options(model))


async def _embed(provider: Provider, question: Question, model: ModelSpec) -> Completion:
    return await provider.embed(question.to(model), question.options(model))


async def _draw(provider: Provider, question: Question, model: ModelSpec) -> Completion:
    return await provider.images(question.to(model), question.options(model))


async def _speak(provider: Provider, question: Question, model: ModelSpec) -> Speech:
    return await provider.speak(question.to(model), question.options(model))


async def _translate(provider: Provider, question: Question, model: ModelSpec) -> Transcript:
    form = Form(question.to(model), [("file", _recording(question).audio)])
    return await provider.translate(form, question.options(model))


def _passed(path: str) -> Callable[[Provider, Question, ModelSpec], Awaitable[Completion]]:
    async def ask(provider: Provider, question: Question, model: ModelSpec) -> Completion:
        return await provider.post(path, question.to(model), question.options(model))

    return ask


def _passed_form(path: str) -> Callable[[Provider, Question, ModelSpec], Awaitable[Completion]]:
    async def ask(provider: Provider, question: Question, model: ModelSpec) -> Completion:
        return await provider.post_form(path, Form(question.to(model), question.files), question.options(model))

    return ask


def _recording(question: Question) -> Recording:
    if question.recording is None:
        raise TypeError("Speech to text needs a recording.")
    return question.recording


def _nothing(body: Mapping[str, Any]) -> float:
    return 0.0


CHAT = Operation("chat", "chat", lambda p, q, m: q.put(p, m), _most_chat, _used_chat, weigh_prompt, _estimated_chat)
COMPLETE = Operation(
    "completions", "completion", lambda p, q, m: q.put(p, m), _most_completion, _used_chat, _weigh_inputs
)
EMBED = Operation("embeddings", "embedding", _embed, _most_input, _used_input, _weigh_inputs, _estimated_input)
EMBED_PARTS = Operation("embeddings", "embedding", _embed, _most_input, _used_input, _weigh_parts, _estimated_input)
IMAGES = Operation("images", "image", _draw, _most_images, _used_images, _nothing)
EDIT = Operation("images", "image", _passed_form("/images/edits"), _most_images, _used_images, _nothing)
VARY = Operation("images", "image", _passed_form("/images/variations"), _most_images, _used_images, _nothing)
TRANSCRIBE = Operation(
    "transcription", "speech_to_text", _transcribe, _most_audio, _used_audio, _nothing, told=_told_by_recording
)
TRANSLATE = Operation("transcription", "speech_to_text", _translate, _most_audio, _used_audio, _nothing)
SPEAK = Operation("speech", "text_to_speech", _speak, _most_characters, _used_characters, _nothing)
MODERATE = Operation("moderation", "moderation", _passed("/moderations"), _most_input, _used_input, _weigh_inputs)
RERANK = Operation("rerank", "rerank", _passed("/rerank"), _most_input, _used_input, _weigh_documents)
