"""What every model provider speaks: OpenAI's shapes in and out, plain values, no Django, no models.

A provider is built from an `Account` and lives as long as the credential does not change; its connections are pooled.
Requests are the bodies of OpenAI's API, as the caller sent them, with `model` already the provider's own id. To add a
provider: one file here, one line in __init__.py, one test file.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from django_stubs_ext import StrOrPromise

# The code of an error that is ours: the rules forbid to call the base URL.
ADDRESS_REFUSED = "address_refused"


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
    `hint` says how to mend it, after a probe.
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
    ) -> None:
        super().__init__(text)
        self.text = text
        self.recovery = recovery
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.cool_down = cool_down
        self.hint: StrOrPromise = ""

    @property
    def account_at_fault(self) -> bool:
        """Whether the account cannot work, whatever the model."""
        return self.cool_down and self.recovery is Recovery.FAILOVER

    @property
    def unpaid(self) -> bool:
        """Whether the account has no credit at the provider: overdue, used up, or its billing is off."""
        return self.status == 402 or "overdue" in self.code.lower() or "quota" in self.code or "billing" in self.code

    @property
    def told(self) -> str:
        """The text for whoever called: what is wrong with our account is only the operator's business."""
        ours = self.status in (401, 402, 403) or self.account_at_fault
        return "our account was not accepted" if ours else self.text[:300]


class Unsupported(ProviderError):
    """The provider has no such operation; `code` is its name."""

    def __init__(self, provider: str, operation: str) -> None:
        super().__init__(f"{provider} has no {operation}.", recovery=Recovery.FAILOVER, code=operation)


class StreamBroke(ProviderError):
    """A stream that ended without its end, or said it failed, after output had begun: nothing can be retried, and
    `recovery` only tells what kind of failure it was."""


@dataclass(frozen=True)
class Account:
    """Who we are to a provider, and how patient. `trusted` allows private addresses (those from the environment)."""

    provider: str
    base_url: str
    api_key: str = field(repr=False)
    organization: str = ""
    api_version: str = ""
    timeout_s: float = 30.0
    trusted: bool = False


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
class Completion:
    """A complete answer in OpenAI's shape. `usage` is None when the provider reported none; 0 is a report."""

    body: dict[str, Any]
    usage: Tokens | None


class Chunk(NamedTuple):
    """One event of a stream: `data` is the JSON of an OpenAI `chat.completion.chunk`, without "data: " and blank lines.

    `output` says whether it carries anything a user would see (text, reasoning, a tool call); `usage` is set when it
    carries a report. A chunk that only carries usage has output False and may be held back from clients that did not
    ask for it (`usage_only`). `text` is what the user would see of it (text, reasoning, arguments of a tool call), in
    one string: tokens are estimated from it when the stream ends without a report. `more` says that another chunk
    arrived with this one and follows at once, so that both can be passed on together.
    """

    data: bytes
    output: bool
    usage: Tokens | None = None
    usage_only: bool = False
    text: str = ""
    more: bool = False


@dataclass(frozen=True)
class Audio:
    """A recording to be transcribed."""

    content: bytes = field(repr=False)
    filename: str = "audio.mp3"
    content_type: str = "audio/mpeg"


@dataclass(frozen=True)
class Transcript:
    """What was said, as the provider formatted it (`response_format`). `seconds` is None when it is not reported."""

    body: bytes
    content_type: str
    seconds: float | None = None


@dataclass(frozen=True)
class Speech:
    """Spoken text, complete."""

    content: bytes = field(repr=False)
    content_type: str = "audio/mpeg"


class Provider(ABC):
    """One account at one provider. Every method raises ProviderError; what it has no operation for, Unsupported."""

    name: ClassVar[str]
    default_base_url: ClassVar[str]
    # What `probe` calls, after the base URL.
    probe_path: ClassVar[str] = "/chat/completions"

    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def broken_lines(self) -> int:
        """How many lines of streams were skipped so far, because they made no sense."""
        return 0

    def left_out(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """The parameters of a chat request that this provider does not take; they are not sent."""
        return ()

    @abstractmethod
    async def chat(self, body: Mapping[str, Any]) -> Completion:
        """POST of OpenAI's /chat/completions, not streamed."""

    @abstractmethod
    def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """The same, streamed. Errors before the first output are ProviderError, later ones StreamBroke. Closing the
        iterator (aclose) hangs up. Usage is always asked for; broken lines are skipped and counted."""

    async def embed(self, body: Mapping[str, Any]) -> Completion:
        """POST of /embeddings."""
        raise Unsupported(self.name, "embeddings")

    async def images(self, body: Mapping[str, Any]) -> Completion:
        """POST of /images/generations."""
        raise Unsupported(self.name, "images")

    async def transcribe(self, audio: Audio, fields: Mapping[str, str]) -> Transcript:
        """POST of /audio/transcriptions; `fields` are the form's other parts, `model` among them."""
        raise Unsupported(self.name, "speech to text")

    async def speak(self, body: Mapping[str, Any]) -> Speech:
        """POST of /audio/speech."""
        raise Unsupported(self.name, "text to speech")

    @abstractmethod
    async def probe(self, model_id: str) -> str:
        """One cheap call that proves key and address; returns what answered. Raises ProviderError with a hint."""

    @abstractmethod
    async def close(self) -> None:
        """Close pooled connections; calls under way may finish or fail."""
