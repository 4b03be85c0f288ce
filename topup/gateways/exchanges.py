"""Requests that leave and what comes back, whatever the protocol."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, TypeVar

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.certificates import CertificateRefused, ClientCertificate
from voicehelper.net.http import HTTP, HTTPAnswer, Limits, NoAnswer

from .errors import NotConfigured, Retryable, Unknown

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


def sent(request: Outgoing, http: HTTP, limits: Limits, until_ns: int) -> HTTPAnswer:
    """Send a request, once, within its limits and before `until_ns` on the monotonic clock (0: whenever). Raises
    Retryable when it cannot have been seen, Unknown when it may have been, NotConfigured."""
    limits = request.limits or limits
    if until_ns:
        left_s = (until_ns - time.monotonic_ns()) / 1_000_000_000
        if left_s <= 0:
            raise Retryable("There is no time left to ask.")
        limits = replace(limits, total_s=min(limits.total_s, left_s))
    try:
        return http.send(
            request.method,
            request.url,
            body=request.body or None,
            headers=request.headers,
            certificate=request.certificate,
            into=request.into,
            limits=limits,
        )
    except CertificateRefused as error:
        raise NotConfigured(str(error)) from error
    except AddressRefused as error:
        raise Retryable(str(error)) from error
    except NoAnswer as error:
        raise (Unknown if error.sent else Retryable)(error.reason) from error


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
