"""The only place that opens an outgoing connection: time limits, size limits, address rules, pooled connections.

Every provider, transport and test button calls `HTTP.send`. A call either comes back as an `Answer`, whatever its
status, or raises `NoAnswer`, which says whether the far side can have seen the request. Redirects are never followed.
Only looking up a name is beyond the limits: the system's resolver cannot be interrupted, and has limits of its own.
"""

import http.client
import http.cookiejar
import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from .addresses import Address, addresses, host_and_port, public_addresses
from .certificates import ClientCertificate

CONNECT_S = 2.0
READ_S = 5.0
MAX_BYTES = 1024 * 1024


class NoAnswer(Exception):
    """No complete answer came. `sent` is False only when the far side cannot have seen the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


@dataclass(frozen=True)
class HTTPAnswer:
    """What the far side said: HTTP status, headers (lower-case names), body, and how long it took in milliseconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int

    @property
    def charset(self) -> str:
        """What the body's text is said to be in; empty when nothing is said."""
        said = re.search(r"charset\s*=\s*\"?([\w.:-]{1,40})", self.headers.get("content-type", ""), re.ASCII)
        return said[1] if said else ""

    def json_object(self) -> dict[str, Any] | None:
        """The body's JSON object; None when it holds something else, as what stands in between may answer."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, seconds between two bytes, seconds in all, and the largest body accepted in bytes."""

    connect_s: float = CONNECT_S
    read_s: float = READ_S
    total_s: float = CONNECT_S + READ_S
    max_bytes: int = MAX_BYTES


class _Call(threading.local):
    """What a connection must know of the call it serves; requests has no way to hand it down."""

    deadline: float = 0.0
    read_s: float = 0.0
    sent: bool = False

    def start(self, limits: Limits) -> None:
        self.deadline = time.monotonic() + limits.total_s
        self.read_s = limits.read_s
        self.sent = False

    def at_most(self, seconds: float) -> float:
        """`seconds`, or what is left of the whole call's time; TimeoutError when nothing is."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The time for the whole call is over.")
        return min(seconds, left)


_call = _Call()


class _TimedBytes(io.RawIOBase):
    """A socket's bytes, none of them waited for beyond the call's deadline.

    A read time-out alone would let a far side that sends a byte now and then hold us for ever.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_call.at_most(_call.read_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_TimedBytes(self.fp.detach(), sock))


class _Timed:
    """Mixed into urllib3's connections: keeps the call's time, and notes when the request begins to leave."""

    response_class: type[http.client.HTTPResponse] = _TimedResponse
    resolve: Callable[[str, int], list[Address]]

    def _new_conn(self: Any) -> socket.socket:
        """Connect to an address that `resolve` found good, and no other (DNS rebinding). Each has its share of time."""
        try:
            found = self.resolve(self._dns_host, self.port)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except (OSError, UnicodeError) as error:
            raise urllib3.exceptions.NewConnectionError(self, str(error)) from error
        until = time.monotonic() + _call.at_most(self.timeout)
        failure: OSError = OSError("The name leads to no address.")
        for position, (family, address) in enumerate(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(max(until - time.monotonic(), 0.001) / (len(found) - position))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # The TLS handshake that may follow lives within this.
                sock.settimeout(_call.at_most(self.timeout))
                return sock
            except OSError as error:
                sock.close()
                failure = error
        if isinstance(failure, TimeoutError):
            raise urllib3.exceptions.ConnectTimeoutError(self, f"{self.host} did not accept in time") from failure
        raise urllib3.exceptions.NewConnectionError(self, str(failure)) from failure

    def send(self: Any, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(_call.at_most(_call.read_s))
        _call.sent = True
        super().send(data)  # type: ignore[misc]


def _pools(resolve: Callable[[str, int], list[Address]]) -> dict[str, type]:
    timed = {"resolve": staticmethod(resolve)}
    plain = type("Connection", (_Timed, urllib3.connection.HTTPConnection), timed)
    tls = type("TLSConnection", (_Timed, urllib3.connection.HTTPSConnection), timed)
    return {
        "http": type("Pool", (urllib3.connectionpool.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TLSPool", (urllib3.connectionpool.HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


_TRUSTED_POOLS, _PUBLIC_POOLS = _pools(addresses), _pools(public_addresses)


class _Adapter(HTTPAdapter):
    """Pooled, without retries: whether to try again is the caller's decision, never the library's."""

    def __init__(self, *, public_only: bool, certificate: ClientCertificate | None) -> None:
        super().__init__(pool_connections=16, pool_maxsize=32, max_retries=0)
        if certificate is not None:
            self.poolmanager.connection_pool_kw["ssl_context"] = certificate.tls()
        self.poolmanager.pool_classes_by_scheme = _PUBLIC_POOLS if public_only else _TRUSTED_POOLS


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: to prepare the next request, requests would read a redirect's body, however large."""


class HTTP:
    """A pooled client. `trusted=True` is for addresses from the environment, loopback included; operators' are not."""

    def __init__(self, *, trusted: bool) -> None:
        self._trusted = trusted
        self._local = threading.local()

    def send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        certificate: ClientCertificate | None = None,
        into: IO[bytes] | None = None,
        limits: Limits = Limits(),
    ) -> HTTPAnswer:
        """Send once and return the complete answer; with `into` its body is written there and not kept in memory.

        Raises CertificateRefused, NoAnswer or AddressRefused; the text never holds the URL, because a query string may
        carry a secret.
        """
        if not self._trusted:
            host_and_port(url, https_only=False)
        started = time.monotonic()
        _call.start(limits)
        try:
            response = self._session(certificate).request(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                timeout=(limits.connect_s, limits.read_s),
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, limits.max_bytes, into)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            _explain(error, sent=_call.sent)
        return HTTPAnswer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            elapsed_ms=round((time.monotonic() - started) * 1000),
        )

    def _session(self, certificate: ClientCertificate | None) -> requests.Session:
        """One session per thread: requests' sessions are not documented as safe to share. One more for a certificate:
        whoever is known by it must not be known to others."""
        sessions: dict[ClientCertificate | None, requests.Session] = self._local.__dict__.setdefault("sessions", {})
        session = sessions.get(certificate)
        if session is None:
            session = _Session()
            # Proxy variables and .netrc of the machine would send payments through a stranger.
            session.trust_env = False
            # Said, because urllib3 asks for whatever happens to be installed.
            session.headers["Accept-Encoding"] = "gzip, deflate"
            # A call owes nothing to the one before it.
            session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
            adapter = _Adapter(public_only=not self._trusted, certificate=certificate)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            sessions[certificate] = session
        return session


def _read(response: requests.Response, max_bytes: int, into: IO[bytes] | None) -> bytes:
    """The body, refused when it is too large or shorter than announced; nothing of it when it went `into` a file."""
    kept = io.BytesIO()
    size = 0
    for chunk in response.raw.stream(16 * 1024, decode_content=True):
        size += len(chunk)
        if size > max_bytes:
            raise NoAnswer(f"The answer is larger than {max_bytes} bytes.", sent=True)
        (into or kept).write(chunk)
    return kept.getvalue()


def _explain(error: Exception, *, sent: bool) -> NoReturn:
    """Turn requests' many exceptions into a NoAnswer in plain words."""
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL | UnicodeError):
        reason = "The address or a header holds what HTTP does not allow."
    elif isinstance(error, requests.exceptions.MissingSchema | requests.exceptions.InvalidSchema):
        reason = "The address must start with https:// or http://."
    elif not sent and "CERTIFICATE_VERIFY_FAILED" in str(error):
        reason = "The TLS certificate of the far side is not valid for its name."
    elif not sent and isinstance(error, requests.exceptions.SSLError):
        reason = "The far side does not speak TLS as it should."
    elif isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        reason = "No answer within the time limit." if sent else "Connecting took too long."
    elif "NameResolutionError" in repr(error):
        reason = "The name of the far side cannot be resolved."
    else:
        reason = "The connection broke." if sent else "The connection was refused."
    raise NoAnswer(reason, sent=sent) from None


def connect(host: str, port: int, *, trusted: bool, timeout_s: float = READ_S) -> socket.socket:
    """A TCP connection for a protocol other than HTTP, to public addresses only unless `trusted`; each wait on it lasts
    at most `timeout_s`. Raises NoAnswer (nothing was sent), AddressRefused."""
    try:
        found = (addresses if trusted else public_addresses)(host, port)
    except (OSError, UnicodeError):
        raise NoAnswer("The name of the far side cannot be resolved.", sent=False) from None
    for family, address in found:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_S)
            sock.connect(address)
        except OSError:
            sock.close()
        else:
            sock.settimeout(timeout_s)
            return sock
    raise NoAnswer("The connection was refused.", sent=False)


TRUSTED = HTTP(trusted=True)
PUBLIC = HTTP(trusted=False)
