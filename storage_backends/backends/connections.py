"""Lets boto3 connect only through voicehelper/net/http.py, so that an operator's endpoint leads into no private net.

boto3 resolves names and opens sockets by itself. Its pools are given connections whose sockets come from
`http.connect`, which resolves once, checks every address and connects to one it checked (DNS rebinding).
"""

from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool

from voicehelper.net import http


def connect_through_http(client: Any, *, trusted: bool) -> None:
    """Give a boto3 client our connections. Private addresses are refused unless `trusted`."""
    # There is no option for it; its session sets this very attribute.
    client._endpoint.http_session._manager.pool_classes_by_scheme = _TRUSTED if trusted else _PUBLIC


class _Public:
    """Mixed into botocore's connections: where their sockets come from. What it raises reaches the caller inside
    botocore's HTTPClientError."""

    trusted = False

    def _new_conn(self: Any) -> Any:
        sock = http.connect(self._dns_host, self.port, trusted=self.trusted, timeout_s=self.timeout)
        for option in self.socket_options or ():
            sock.setsockopt(*option)
        return sock


class _Trusted(_Public):
    trusted = True


def _pools(kind: type[_Public]) -> dict[str, type]:
    plain = type("Connection", (kind, AWSHTTPConnection), {})
    tls = type("TLSConnection", (kind, AWSHTTPSConnection), {})
    return {
        "http": type("Pool", (AWSHTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TLSPool", (AWSHTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


_PUBLIC = _pools(_Public)
_TRUSTED = _pools(_Trusted)
