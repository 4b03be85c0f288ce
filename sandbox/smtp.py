"""A mail server that delivers nothing: it wants a sign-in and keeps the order of the protocol, and shows what came.

Looser than a real one: any sender and recipient will do, as long as it looks like an address. TLS only where a test
gives it a certificate.
"""

import base64
import re
import socketserver
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy

MOST_BYTES = 1024 * 1024
_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>\s]+@[^<>\s]+)>", re.IGNORECASE)


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


@dataclass
class _Session:
    greeted: bool = False
    user: str = ""
    sender: str = ""
    recipients: list[str] = field(default_factory=list)

    def forget(self) -> None:
        self.sender, self.recipients = "", []


class Quit(Exception):
    """The client is done."""


class Conversation(socketserver.StreamRequestHandler):
    """One client, line by line."""

    timeout = 30
    server: "MailServer"

    def handle(self) -> None:
        self.session = _Session()
        self.say("220 sandbox ESMTP")
        try:
            while line := self.rfile.readline(2048):
                verb, _space, rest = line.decode("utf-8", "replace").strip().partition(" ")
                act = getattr(self, f"do_{verb.lower()}", None)
                if act is None or not verb.isalpha():
                    self.say("500 5.5.2 What is that?")
                else:
                    act(rest)
        except (Quit, OSError):
            return
        finally:
            # The server closes the socket it accepted, not the one that came of it.
            self.connection.close()

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def do_ehlo(self, _rest: str) -> None:
        self.session = _Session(greeted=True)
        encrypted = isinstance(self.request, ssl.SSLSocket)
        offers = ["AUTH PLAIN LOGIN"]
        if self.server.tls is not None and not encrypted:
            offers = ["STARTTLS"]
        self.say("250-sandbox", *(f"250-{offer}" for offer in offers), f"250 SIZE {MOST_BYTES}")

    def do_helo(self, _rest: str) -> None:
        self.session = _Session(greeted=True)
        self.say("250 sandbox")

    def do_starttls(self, _rest: str) -> None:
        if self.server.tls is None:
            self.say("502 5.5.1 Not offered")
            return
        self.say("220 Go ahead")
        self.request = self.connection = self.server.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.session = _Session()

    def do_auth(self, rest: str) -> None:
        how, _space, given = rest.partition(" ")
        if how.upper() == "PLAIN":
            parts = self._read(given or self._ask("334 ")).split("\0")
            user, password = (parts[1], parts[2]) if len(parts) == 3 else ("", "")
        elif how.upper() == "LOGIN":
            user = self._read(given or self._ask("334 VXNlcm5hbWU6"))
            password = self._read(self._ask("334 UGFzc3dvcmQ6"))
        else:
            self.say("504 5.5.4 Unknown mechanism")
            return
        if self.server.check(user, password):
            self.session.user = user
            self.say("235 2.7.0 Welcome")
        else:
            self.say("535 5.7.8 Error: authentication failed")

    def _ask(self, question: str) -> str:
        self.say(question)
        return self.rfile.readline(2048).decode("ascii", "replace").strip()

    def _read(self, text: str) -> str:
        try:
            return base64.b64decode(text, validate=True).decode()
        except ValueError:
            return ""

    def do_mail(self, rest: str) -> None:
        found = _PATH.match(rest)
        if not self.session.user:
            self.say("530 5.7.0 Authentication required")
        elif self.session.sender:
            self.say("503 5.5.1 Sender already given")
        elif found is None:
            self.say("501 5.1.7 Bad sender address")
        else:
            self.session.sender = found[1]
            self.say("250 2.1.0 Ok")

    def do_rcpt(self, rest: str) -> None:
        found = _PATH.match(rest)
        if not self.session.sender:
            self.say("503 5.5.1 Sender first")
        elif found is None or found[1].endswith("@nobody.invalid"):
            self.say("550 5.1.1 No such user here")
        else:
            self.session.recipients.append(found[1])
            self.say("250 2.1.5 Ok")

    def do_data(self, _rest: str) -> None:
        if not self.session.recipients:
            self.say("503 5.5.1 Recipients first")
            return
        self.say("354 End with a dot")
        data = bytearray()
        while (line := self.rfile.readline(4096)) not in (b".\r\n", b""):
            data += line[1:] if line.startswith(b".") else line
        if len(data) > MOST_BYTES:
            self.say("552 5.3.4 Too large")
            return
        session = self.session
        self.server.take(Mail(session.user, session.sender, tuple(session.recipients), bytes(data)))
        session.forget()
        self.say("250 2.0.0 Taken")

    def do_rset(self, _rest: str) -> None:
        self.session.forget()
        self.say("250 2.0.0 Ok")

    def do_noop(self, _rest: str) -> None:
        self.say("250 2.0.0 Ok")

    def do_quit(self, _rest: str) -> None:
        self.say("221 2.0.0 Bye")
        raise Quit


class MailServer(socketserver.ThreadingTCPServer):
    """On loopback. `check` knows the users, `take` is given each mail."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        port: int,
        *,
        check: Callable[[str, str], bool],
        take: Callable[[Mail], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Conversation)
        self.check = check
        self.take = take
        self.tls = tls
