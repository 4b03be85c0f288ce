"""Mail over SMTP: an HTML alert with a header coloured by its level, and the same as plain text."""

import re
import smtplib
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from html import escape
from typing import Any

from django.utils.translation import gettext_lazy as _

from voicehelper.net import http
from voicehelper.net.addresses import AddressRefused

from .base import SYSTEM, Message, RecipientRefused, Sent, Transport, TransportError

COLOURS = {"critical": "#dc3545", "warning": "#ffc107", "info": "#17a2b8"}
OTHER_COLOUR = "#6c757d"
# For the whole conversation: a server that says a letter now and then must not hold us.
TOTAL_S = 20.0

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# One address and nothing around it.
_ADDRESS = re.compile(r'([^\s\x00-\x1f\x7f@<>(),;:"\\]+)@([^\s\x00-\x1f\x7f@<>(),;"\\]+)')

STARTTLS, TLS, PLAIN = "starttls", "tls", "plain"


@dataclass(frozen=True)
class Email(Transport):
    """One SMTP account and the people it writes to. `private`: the host may be in a private network, and be spoken to
    without encryption, because the deployer says so."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    sender_name: str = ""
    username: str = ""
    password: str = field(repr=False, default="")
    security: str = STARTTLS
    private: bool = False
    # The certificates to trust; None: the system's.
    ca_file: str | None = None
    per_minute = 20
    target = "SMTP"

    def send(self, message: Message) -> Sent:
        """One mail to all. Raises TransportError."""
        recipients = [_address(each) for each in self.recipients]
        mail = compose(message, sender=_address(self.sender, self.sender_name), recipients=recipients)
        return self._post(mail, self.recipients)

    def send_to(self, recipient: str, subject: str, text: str, time: datetime) -> Sent:
        """Plain text to somebody who is no operator; `recipients` get nothing of it. Raises TransportError, and
        RecipientRefused when it is only this address that does not work."""
        sender = _address(self.sender, self.sender_name)
        try:
            to = _address(recipient)
        except TransportError as error:
            raise RecipientRefused(error.text, permanent=True) from None
        mail = _headed(_one_line(subject), sender, [to], time)
        mail.set_content(text)
        return self._post(mail, (recipient,))

    def _post(self, mail: EmailMessage, recipients: Sequence[str]) -> Sent:
        if self.username and self.security == PLAIN and not self.private:
            hint = _("Choose STARTTLS or TLS: without it everybody on the way reads the password.")
            raise TransportError(_("The password may not travel unencrypted"), permanent=True, hint=hint)
        with _explained(), self._conversation() as smtp:
            refused = smtp.send_message(mail, self.sender, list(recipients))
        left_out = "; ".join(f"{name}: {code} {_text(said)}" for name, (code, said) in refused.items())
        return Sent(f"{mail['Message-ID']}" + (f"; not sent to {left_out}" if left_out else ""))

    @contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        """Connected, encrypted and signed in; ended after TOTAL_S whatever the server does."""
        smtp: Any = (_EncryptedSMTP if self.security == TLS else _SMTP)(self)
        alarm = threading.Timer(TOTAL_S, _cut, [smtp])
        alarm.daemon = True
        alarm.start()
        try:
            code, said = smtp.connect(self.host, self.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            if self.security == STARTTLS:
                smtp.ehlo_or_helo_if_needed()
                smtp.starttls(context=self.context())
            if self.username:
                smtp.login(self.username, self.password)
            yield smtp
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            alarm.cancel()
            smtp.close()

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


class _SMTP(smtplib.SMTP):
    """Connects through the one place that opens connections."""

    def __init__(self, account: Email) -> None:
        super().__init__(timeout=http.READ_S)
        self._account = account
        # What STARTTLS checks the certificate against.
        self._host = account.host

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        return http.connect(host, port, trusted=self._account.private, timeout_s=timeout)


class _EncryptedSMTP(_SMTP):
    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        sock = super()._get_socket(host, port, timeout)
        return self._account.context().wrap_socket(sock, server_hostname=host)


def _cut(smtp: Any) -> None:
    with suppress(OSError):
        if smtp.sock is not None:
            smtp.sock.shutdown(2)


def compose(message: Message, *, sender: Address, recipients: Sequence[Address]) -> EmailMessage:
    """The mail, ready to be sent."""
    title = _one_line(message.title)
    times = f" ×{message.count:,}" if message.count > 1 else ""
    subject = f"[VoiceHelper Alert - {message.level.upper()}] {title}{times}"
    mail = _headed(subject, sender, recipients, message.time)
    mail.set_content(_plain(message, title + times))
    mail.add_alternative(_html(message, title + times), subtype="html")
    return mail


def _headed(subject: str, sender: Address, recipients: Sequence[Address], time: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = sender
    mail["To"] = recipients
    mail["Date"] = format_datetime(time)
    mail["Message-ID"] = make_msgid(domain=sender.domain or "voicehelper")
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _plain(message: Message, title: str) -> str:
    details, time, system, open_it = _("Alert details"), _("Time"), _("Sent by"), _("Open it")
    link = f"\n\n{open_it}: {message.link}" if message.link else ""
    detail = f"{details}:\n{message.content}{link}"
    return f"{message.icon} {title}\n\n{detail}\n\n{time}: {message.time_text}\n{system}: {SYSTEM}\n"


def _html(message: Message, title: str) -> str:
    colour = COLOURS.get(message.level, OTHER_COLOUR)
    ink = "#212529" if message.level == "warning" else "#ffffff"
    heading = f"{message.icon} {escape(title)}"
    detail = escape(message.content) or "—"
    href = escape(message.link)
    details, time, system, language = _("Alert details"), _("Time"), _("Sent by"), _("en")
    open_it = escape(str(_("Open it")))
    link = f'<p style="margin:16px 0 0"><a href="{href}">{open_it}</a></p>\n' if href else ""
    return f"""<!DOCTYPE html>
<html lang="{language}">
<body style="margin:0;padding:24px;background:#f3f1ed;font-family:'PingFang SC','Microsoft YaHei',sans-serif">
<div style="max-width:600px;margin:0 auto;background:#ffffff;border-radius:10px;overflow:hidden">
<div style="background:{colour};color:{ink};padding:20px 24px">
<div style="font-size:13px">{escape(message.level.upper())}</div>
<h1 style="margin:4px 0 0;font-size:20px">{heading}</h1>
</div>
<div style="padding:24px;color:#212529;line-height:1.6">
<h2 style="font-size:15px;margin:0 0 8px">{details}</h2>
<div style="white-space:pre-wrap;overflow-wrap:anywhere">{detail}</div>
{link}<p style="margin:24px 0 0;color:#6c757d;font-size:13px">{time}: {message.time_text}<br>{system}: {SYSTEM}</p>
</div>
</div>
</body>
</html>
"""


def _one_line(text: str) -> str:
    """A text that stays in its header. This Python reads encoded words in what it is given, and writes the line breaks
    in them as they are (CVE-2024-6923): a blank makes them ordinary text."""
    return " ".join(_CONTROLS.sub(" ", text).replace("=?", "= ?").split())


def _address(address: str, name: str = "") -> Address:
    """Raises TransportError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or "=?" in address:
        raise TransportError(f"{address!r} is not a mail address", permanent=True)
    return Address(_one_line(name), found[1], found[2])


@contextmanager
def _explained() -> Iterator[None]:
    """Turn smtplib's exceptions into TransportError."""
    try:
        yield
    except AddressRefused as error:
        hint = _("Only the deployer can allow it: SMTP_PRIVATE_HOSTS in the environment.")
        raise TransportError(str(error), permanent=True, hint=hint) from None
    except http.NoAnswer as error:
        raise TransportError(_(error.reason), permanent=False, hint=_("Are the host and the port right?")) from None
    except smtplib.SMTPAuthenticationError as error:
        hint = _("User name or password is wrong. Many providers want a password made for programs, not your own.")
        raise TransportError(_said(error), permanent=error.smtp_code >= 500, hint=hint) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise RecipientRefused(f"SMTP {code}: {_text(said)}", permanent=code >= 500) from None
    except smtplib.SMTPResponseException as error:
        raise TransportError(_said(error), permanent=error.smtp_code >= 500) from None
    except smtplib.SMTPNotSupportedError as error:
        hint = _("The server does not offer this encryption or sign-in on this port.")
        raise TransportError(str(error), permanent=True, hint=hint) from None
    except ssl.SSLCertVerificationError:
        hint = _("The host’s name must be the one in its certificate.")
        raise TransportError(
            _("The server’s certificate is not valid for its name"), permanent=True, hint=hint
        ) from None
    except ssl.SSLError:
        hint = _("Port 465 wants TLS, port 587 STARTTLS.")
        raise TransportError(_("The server does not speak TLS here"), permanent=True, hint=hint) from None
    except (smtplib.SMTPException, OSError):
        # It may have taken the mail before the line went dead.
        raise TransportError(_("The connection broke"), permanent=False, unknown=True) from None


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"SMTP {error.smtp_code}: {_text(error.smtp_error)}"


def _text(said: Any) -> str:
    return (said.decode(errors="replace") if isinstance(said, bytes) else str(said))[:200]
