"""Requests that leave and what comes back, whatever the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, TypeVar

from voicehelper.net.certificates import ClientCertificate
from voicehelper.net.http import HTTPAnswer, Limits

from .errors import Unknown

Result = TypeVar("Result")
# What Chinese providers write in. Another one that is declared is not tried.
CODECS = ("utf-8", "gbk", "gb2312", "gb18030")


@dataclass(frozen=True)
class Exchange:
    """One request to a provider and what came back, with secrets and signatures left out; for the log of calls.

    `outcome` is ok, refused, retryable or unknown; the response ends with our reason when it is not ok.
    """

    operation: str
    order_no: str
    request: str
    response: str
    outcome: str
    elapsed_ms: int


@dataclass(frozen=True)
class Outgoing:
    """A signed request, ready to be sent; `shown` is how the log of calls shows it."""

    url: str
    body: bytes
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    certificate: ClientCertificate | None = None
    # Where the answer's body goes when it may be large; `limits` are its own then.
    into: IO[bytes] | None = None
    limits: Limits | None = None


def forget(_exchange: Exchange) -> None:
    """The default recorder: keeps nothing."""


def only_200(answer: HTTPAnswer) -> HTTPAnswer:
    """For protocols without a meaning for any other status. Raises Unknown."""
    if answer.status != 200:
        raise Unknown(f"The gateway answered with HTTP status {answer.status}.")
    return answer


def into_200(answer: HTTPAnswer, file: IO[bytes]) -> IO[bytes]:
    """The same for an answer whose body went into a file."""
    only_200(answer)
    return file


def codec_of(answer: HTTPAnswer) -> str:
    """What its text is in: as declared, UTF-8 or GB18030, whichever makes exactly these bytes of it again."""
    declared = answer.charset.lower()
    for codec in ([declared] if declared in CODECS else []) + ["utf-8", "gb18030"]:
        try:
            if answer.body.decode(codec).encode(codec) == answer.body:
                return codec
        except ValueError:
            continue
    return "utf-8"
