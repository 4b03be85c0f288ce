"""A mail server that delivers nothing: it wants a sign-in and keeps the order of the protocol, and shows what came.

Looser than a real one: any sender and recipient will do, as long as it looks like an address. TLS only where a test
gives it a certificate.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Mail:
    """A mail as it was taken: envelope, and the bytes between DATA and the dot."""

    user: str
    sender: str
    recipients: Sequence[str]
    data: bytes

    @property
    def subject(self) -> str:
        return str(message_from_bytes(self.data, policy=policy.default)["Subject"])

    def part(self, kind: str) -> str:
        """The text of the part "plain" or "html"."""
        body = message_from_bytes(self.data, policy=policy.default).get_body((kind,))
        return "" if body is None else str(body.get_content())


class MailServer:
    """On loopback, in a thread of its own while it is entered. `check` knows the users, `take` is given each mail."""

    def __init__(
        self,
        port: int,
        *,
        check: Callable[[str, str], bool],
        take: Callable[[Mail], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._check, self._take = check, take
        # Both may ask a database, which Django refuses on an event loop.
        self._asking = ThreadPoolExecutor(1)
        self._options: dict[str, Any] = {"tls_context": tls, "auth_require_tls": tls is not None}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._asking.shutdown()

    async def _serve(self) -> None:
        def conversation() -> SMTP:
            options = {"authenticator": self._known, "hostname": "sandbox", "enable_SMTPUTF8": True, **self._options}
            return SMTP(self, data_size_limit=MOST_BYTES, timeout=30, loop=asyncio.get_running_loop(), **options)

        async with await asyncio.get_running_loop().create_server(conversation, sock=self._listener):
            await asyncio.to_thread(self._stopped.wait)

    def _known(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: LoginPassword
    ) -> AuthResult:
        user, password = given.login.decode(errors="replace"), given.password.decode(errors="replace")
        known = self._asking.submit(self._check, user, password).result()
        return AuthResult(success=known, handled=False, auth_data=user)

    # --- aiosmtpd's hooks --------------------------------------------------------------------------------------------
    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address.endswith("@nobody.invalid"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = Mail(
            str(session.auth_data), str(envelope.mail_from), tuple(envelope.rcpt_tos), envelope.original_content or b""
        )
        await asyncio.get_running_loop().run_in_executor(self._asking, self._take, mail)
        return "250 2.0.0 Taken"
