"""Real server processes on the test database: for crashes, races between processes, and broken networks.

A test that uses one needs its rows committed: `pytest.mark.django_db(transaction=True)`. Every server sits under one of
the product's keepers, so that nothing outlives the test run, whatever way that ends.
"""

import http.client
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from django.db import connection

from voicehelper.embedded.process import Process

_numbers = itertools.count(1)


class Reply(NamedTuple):
    """What came back: status 0 when the connection ended without an answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


NO_ANSWER = Reply(0, b"")


def database_url(at: str = "") -> str:
    """The test database of this worker; `at` ("host:port") is where to reach it instead, a proxy say."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = quote(connection.settings_dict["NAME"])
    if not at:
        return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{at}", path=f"/{name}").geturl()


def database_address() -> tuple[str, int] | str:
    """Where PostgreSQL listens: a host and a port, or the path of its socket."""
    host, port = connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def redis_url(at: str = "") -> str:
    """A Redis database of this worker's own; `at` as in `database_url`."""
    parts = urlsplit(os.environ["REDIS_URL"])
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    netloc = f"{parts.netloc.rpartition('@')[0]}@{at}" if at else parts.netloc
    return parts._replace(netloc=netloc, path=f"/{number}").geturl()


def redis_address() -> tuple[str, int]:
    parts = urlsplit(os.environ["REDIS_URL"])
    return parts.hostname or "127.0.0.1", parts.port or 6379


def files_dir() -> Path:
    """Where this worker's servers keep users' files."""
    return Path(os.environ["VOICEHELPER_DATA"]) / f"files-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"


def environment(address: str) -> dict[str, str]:
    """The environment of a server at `address` that is its own payment provider."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "voicehelper.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": redis_url(),
        "PAY_RATE_LIMIT": "1000000 per minute",
        "SERVER_ADDRESS": address,
        "SANDBOX": "True",
        "WECHAT_PAY_BASE_URL": f"{address}/sandbox/wechat",
        "ALIPAY_GATEWAY_URL": f"{address}/sandbox/alipay/gateway.do",
        "WECHAT_API_BASE_URL": f"{address}/sandbox/weixin",
        "WECHAT_OAUTH_URL": f"{address}/sandbox/weixin/connect/oauth2/authorize",
        "WECHAT_QR_URL": f"{address}/sandbox/weixin/connect/qrconnect",
        "PWNED_PASSWORDS_URL": f"{address}/sandbox/pwned",
        "FILES_DIR": str(files_dir()),
        "LOG_LEVEL": "WARNING",
    }


def listen() -> socket.socket:
    """On a free port of loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # As `make run` does, and for the same reason.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(1024)
    return listener


class Answering:
    """Something with a port that answers HTTP."""

    port: int

    def get(self, path: str, **options: Any) -> Reply:
        return self.request("GET", path, **options)

    def post(self, path: str, body: bytes, kind: str = "text/xml", **options: Any) -> Reply:
        headers = {"Content-Type": kind, **options.pop("headers", {})}
        return self.request("POST", path, body=body, headers=headers, **options)

    def post_json(self, path: str, data: Any, **options: Any) -> Reply:
        return self.post(path, json.dumps(data).encode(), "application/json", **options)

    def request(self, method: str, path: str, **options: Any) -> Reply:
        return request(self.port, method, path, **options)


class Server(Answering):
    """uvicorn on a free port of loopback. The port stays ours while it is down, so that it comes back at the same one.

    `kill` is SIGKILL to the server and all its workers; `start` after it is a restart.
    """

    def __init__(
        self, *, workers: int = 1, command: Sequence[str] = (), cwd: Path | None = None, **changes: str
    ) -> None:
        self._cwd = cwd
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = environment(self.address) | changes
        uvicorn = ["uvicorn", "voicehelper.asgi:application", "--http", "voicehelper.protocol:Bounded"]
        uvicorn += ["--workers", str(workers), "--no-proxy-headers", "--no-access-log"]
        uvicorn += ["--timeout-graceful-shutdown", "2", "--log-level", "warning", "--fd"]
        self._command = [sys.executable, "-m", *(command or uvicorn), str(self._listener.fileno())]
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> None:
        data = Path(os.environ["VOICEHELPER_DATA"])
        name = f"server-{os.getpid()}-{next(_numbers)}"
        self._process = Process(
            name,
            self._command,
            data,
            env=self.environment,
            grace_s=3,
            pass_fds=[self._listener.fileno()],
            cwd=self._cwd,
        )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers that all is up."""
        self.process.wait_until(lambda: self.get("/healthz", timeout_s=10).status == 200)

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.stop()

    def stop(self) -> None:
        if self._process:
            self._process.stop()
        self._listener.close()


def request(
    port: int,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30,
) -> Reply:
    """One request on a connection of its own; NO_ANSWER when it breaks or nothing comes in time."""
    there = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        there.request(method, path, body=body, headers=dict(headers or {}))
        answer = there.getresponse()
        return Reply(answer.status, answer.read())
    except (OSError, http.client.HTTPException):
        return NO_ANSWER
    finally:
        there.close()


def open_sandbox_accounts() -> None:
    """A merchant at both stand-ins and a mini program, and all three set up with what they were given."""
    from sandbox.management.commands import open_sandbox_accounts as command
    from topup.services.options import write_options

    wechat, alipay, app = command.wechat_account(), command.alipay_account(), command.mini_program()
    write_options(
        {
            "WechatAppId": wechat["app_id"],
            "WechatAppSecret": wechat["app_secret"],
            "WechatMchId": wechat["mch_id"],
            "WechatApiV2Key": wechat["api_key"],
            "WechatClientCert": wechat["client_cert"],
            "WechatClientKey": wechat["client_key"],
            "WechatEnabled": True,
            "AlipayAppId": alipay["app_id"],
            "AlipaySellerId": alipay["seller_id"],
            "AlipayPrivateKey": alipay["private_key"],
            "AlipayPublicKey": alipay["public_key"],
            "AlipayEnabled": True,
            "MiniProgramAppId": app["app_id"],
            "MiniProgramAppSecret": app["secret"],
        }
    )
