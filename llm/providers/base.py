"""What every model provider speaks: OpenAI's shapes in and out, plain values, no Django, no models.

A provider is built from an `Account` and lives as long as the credential does not change; its connections are pooled.
Requests are the bodies of OpenAI's API, as the caller sent them, with `model` already the provider's own id. To add a
provider: one file here, one line in __init__.py, one test file.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from django_stubs_ext import StrOrPromise

# The code of an error that is ours: the rules forbid to call the base URL.
ADDRESS_REFUSED = "address_refused"
# What programs ask in: OpenAI's chat completions, its older completions and its Responses, Anthropic's messages.
CHAT, COMPLETIONS, MESSAGES, RESPONSES = "chat", "completions", "messages", "responses"


class Recovery(StrEnum):
    """What to do after an error. RETRY: the same provider may answer the same request in a moment. FAILOVER: this
    account or model cannot, another may. FAIL: the request itself is at fault, or its content was refused."""

    RETRY = "retry"
    FAILOVER = "failover"
    FAIL = "fail"


class ProviderError(Exception):
    """A call that failed before any output. `str()` is the provider's own text, fit for an operator.

    `status` is the provider's HTTP status (0: none came), `retry_after_s` what it asked for, in seconds, `cool_down`
    whether the model should at this account (rate limit), or the whole account (`account_at_fault`: overdue, bad key).
    `hint` says how to mend it, after a probe. `given_up`: the provider may be generating, or may have: we, or what
    stands in front of it, stopped waiting, or its answer was lost on the way. Nobody is asked again.
    """

    def __init__(
        self,
        text: str,
        *,
        recovery: Recovery,
        status: int = 0,
        code: str = "",
        retry_after_s: float | None = None,
        cool_down: bool = False,
        given_up: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.recovery = recovery
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.cool_down = cool_down
        self.given_up = given_up
        self.hint: StrOrPromise = ""
        # Which part of the request is at fault, in the dialect of whoever asked.
        self.param = ""

    @property
    def account_at_fault(self) -> bool:
        """Whether the account cannot work, whatever the model."""
        return self.cool_down and self.recovery is Recovery.FAILOVER

    @property
    def overloaded(self) -> bool:
        """Whether the provider has too much to do, for everybody."""
        return self.status in (503, 529) or self.code in _OVERLOADED

    @property
    def unpaid(self) -> bool:
        """Whether the account has no credit at the provider: overdue, used up, or its billing is off."""
        return self.status == 402 or "overdue" in self.code.lower() or "quota" in self.code or "billing" in self.code

    @property
    def told(self) -> str:
        """The text for whoever called: our account, and pages of whatever stands in front of a provider, are only the
        operator's business."""
        if self.status in (401, 402, 403) or self.account_at_fault:
            return "our account was not accepted"
        if _PAGE.search(self.text):
            return "something in front of the provider answered with a web page"
        text = self.text[:300] if self.recovery is Recovery.FAIL else _WHERE.sub("…", self.text[:300])
        return _OURS.sub("…", text)


_OVERLOADED = ("overloaded_error", "ServerOverloaded", "server_is_overloaded")
# Who we are to a provider, as its texts name us: organizations, projects, accounts, keys.
_OURS = re.compile(
    r"\b(?:organi[sz]ation|project|account|workspace|tenant)(?: id)?[ :=(\[]+[\w-]*\d[\w-]*[)\]]?"
    r"|\b(?:org|proj|acct|sk)[-_][\w.*-]{3,}|\b(?:ep|ak|ws)-(?=\S*\d)[\w-]{6,}|\b\d{10,}\b",
    re.IGNORECASE,
)
# Whom we ask, and from where, in errors that are not about what the caller wrote.
_WHERE = re.compile(
    r"\bhttps?://[^\s\"'<>)]+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\[[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*\](?::\d+)?"
    r"|(?<=lookup )[\w.-]+|(?<=host )[\w-]+\.[\w.-]+(?::\d+)?",
    re.IGNORECASE,
)
_PAGE = re.compile(r"<(?:!doctype|html|head|body|center|\?xml)\b", re.IGNORECASE)


class Unsupported(ProviderError):
    """The provider has no such operation, or its protocol no room for it; `code` is its name. Nothing was sent."""

    def __init__(self, provider: str, operation: str) -> None:
        super().__init__(f"{provider} has no {operation}.", recovery=Recovery.FAILOVER, code=operation)


class StreamBroke(ProviderError):
    """A stream that ended without its end, or said it failed, after output had begun: nothing can be retried, and
    `recovery` only tells what kind of failure it was."""


@dataclass(frozen=True)
class Account:
    """Who we are to a provider, and how patient. `trusted` allows private addresses (those from the environment).
    `responses_api`: whether its address answers Responses (None: as far as the provider itself knows)."""

    provider: str
    base_url: str
    api_key: str = field(repr=False)
    organization: str = ""
    api_version: str = ""
    timeout_s: float = 30.0
    trusted: bool = False
    responses_api: bool | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider says was used. `final` is False for a cumulative report in the middle of a stream.

    `kinds` are counts above 0 that do not overlap (llm/kinds.py); `input` and `output` are the sums of theirs. Without
    any told apart, all of it is input and output. `service_tier` is the one that served, as the provider calls it.
    """

    input: int
    output: int
    final: bool = True
    kinds: Mapping[str, int] = field(default_factory=dict)
    service_tier: str = ""

    def __post_init__(self) -> None:
        if not self.kinds:
            plain = {"input": self.input, "output": self.output}
            object.__setattr__(self, "kinds", {kind: count for kind, count in plain.items() if count})


@dataclass(frozen=True)
class RequestOptions:
    """How a call is made besides its body: headers of the client's that go up with it, and how long, in seconds, the
    first sign of an answer may take (None: as long as the account's time-out). `in_responses`: the model answers
    nothing but Responses, so that a chat has to be put to it in them."""

    headers: Mapping[str, str] = field(default_factory=dict)
    first_byte_s: float | None = None
    in_responses: bool = False


PLAIN = RequestOptions()


@dataclass(frozen=True)
class Completion:
    """A complete answer in the dialect that was asked in. `usage` is None when the provider reported none; 0 is a
    report. `content` is the answer as it came; empty: `body`, written anew, is what to pass on. `text` is what was
    written, for estimates; None: it is to be found in `body`."""

    body: dict[str, Any]
    usage: Tokens | None
    content: bytes = field(default=b"", repr=False, compare=False)
    text: str | None = None


class Chunk(NamedTuple):
    """One event of a stream: `data` is its JSON (an OpenAI `chat.completion.chunk`, or an event of the dialect that was
    asked in), without "data: " and blank lines; `block` the whole event as it came, empty when it is nothing but data.

    `output` says whether it carries anything a user would see (text, reasoning, a tool call); `usage` is set when it
    carries a report. A chunk that only carries usage has output False and may be held back from clients that did not
    ask for it (`usage_only`). `text` is what the user would see of it (text, reasoning, arguments of a tool call), in
    one string: tokens are estimated from it when the stream ends without a report. `more` says that another chunk
    arrived with this one and follows at once, so that both can be passed on together. `model` is the model it names;
    `last` says that nothing follows: such an event is passed on when the call is settled.
    """

    data: bytes
    output: bool
    usage: Tokens | None = None
    usage_only: bool = False
    text: str = ""
    more: bool = False
    block: bytes = b""
    model: str = ""
    last: bool = False


@dataclass(frozen=True)
class Audio:
    """A recording to be transcribed."""

    content: bytes = field(repr=False)
    filename: str = "audio.mp3"
    content_type: str = "audio/mpeg"


@dataclass(frozen=True)
class Form:
    """A form that is passed on: fields, which may come several times, and files, each with the name of its field."""

    fields: Mapping[str, str | Sequence[str]]
    files: Sequence[tuple[str, "Audio"]]


@dataclass(frozen=True)
class Transcript:
    """What was said, as the provider formatted it (`response_format`). `seconds` and `usage`, in tokens, are None when
    they are not reported; `text` is what was heard, for estimates."""

    body: bytes
    content_type: str
    seconds: float | None = None
    usage: Tokens | None = None
    text: str = ""


@dataclass(frozen=True)
class Speech:
    """Spoken text, complete."""

    content: bytes = field(repr=False)
    content_type: str = "audio/mpeg"


class Provider(ABC):
    """One account at one provider. Every method raises ProviderError; what it has no operation for, Unsupported."""

    name: ClassVar[str]
    default_base_url: ClassVar[str]
    # What is passed through as it is, at every account. Whatever else is asked for is translated through OpenAI's chat
    # shape.
    dialects: ClassVar[frozenset[str]]
    # Whether accounts of it, or models, may answer OpenAI's Responses.
    may_answer_responses: ClassVar[bool] = False
    # What `probe` calls, after the base URL.
    probe_path: ClassVar[str] = "/chat/completions"

    def __init__(self, account: Account) -> None:
        self.account = account

    @classmethod
    def dialects_of(cls, account: Account) -> frozenset[str]:
        """`dialects`, and what this account speaks besides."""
        return cls.dialects

    @classmethod
    def has_room_for(cls, dialect: str, body: Mapping[str, Any]) -> bool:
        """Whether all that such a request holds has a place in the provider's own form of the dialect."""
        return True

    @property
    def broken_lines(self) -> int:
        """How many lines of streams were skipped so far, because they made no sense."""
        return 0

    @abstractmethod
    async def chat(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """POST of OpenAI's /chat/completions, not streamed."""

    @abstractmethod
    def stream(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> AsyncGenerator[Chunk, None]:
        """The same, streamed. Errors before the first output are ProviderError, later ones StreamBroke. Closing the
        iterator (aclose) hangs up. Usage is always asked for; broken lines are skipped and counted."""

    async def ask(self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """One of `dialects`, as it is."""
        if dialect != CHAT:
            raise Unsupported(self.name, dialect)
        return await self.chat(body, options)

    def ask_stream(
        self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        """The same, streamed, as `stream` is."""
        if dialect != CHAT:
            raise Unsupported(self.name, dialect)
        return self.stream(body, options)

    async def embed(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """POST of /embeddings."""
        raise Unsupported(self.name, "embeddings")

    async def images(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """POST of /images/generations."""
        raise Unsupported(self.name, "images")

    async def transcribe(self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN) -> Transcript:
        """POST of /audio/transcriptions; `fields` are the form's other parts, `model` among them; a list is a field
        that comes several times."""
        raise Unsupported(self.name, "speech to text")

    def transcribe_stream(
        self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        """The same, streamed."""
        raise Unsupported(self.name, "streamed speech to text")

    async def speak(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Speech:
        """POST of /audio/speech."""
        raise Unsupported(self.name, "text to speech")

    async def post(self, path: str, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """POST of an operation that is passed through: /moderations, /rerank."""
        raise Unsupported(self.name, path)

    async def post_form(self, path: str, form: Form, options: RequestOptions = PLAIN) -> Completion:
        """The same with a form: /images/edits, /images/variations."""
        raise Unsupported(self.name, path)

    async def translate(self, form: Form, options: RequestOptions = PLAIN) -> Transcript:
        """POST of /audio/translations."""
        raise Unsupported(self.name, "translation of speech")

    @abstractmethod
    async def probe(self, model_id: str) -> str:
        """One cheap call that proves key and address; returns what answered. Raises ProviderError with a hint."""

    @abstractmethod
    async def close(self) -> None:
        """Close pooled connections; calls under way may finish or fail."""
