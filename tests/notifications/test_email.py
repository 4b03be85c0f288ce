"""Mail: what a reader sees, what a server may answer, and where it may not go."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from notifications.transports import Email, Message, TransportError, email
from tests.certificates import Issued, issue, server_context
from tests.notifications.conftest import Mailbox

TIME = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ALERT = Message("critical", "账目不平", "balance: <b>wallet 7</b>", TIME)


def account(port: int, **changes: Any) -> Email:
    facts: dict[str, Any] = {"sender": "alerts@example.com", "recipients": ("ops@example.com",), "security": "plain"}
    facts |= {"private": True, "username": "mailer", "password": "mail-password"}
    return Email("127.0.0.1", port, **facts | changes)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def test_a_mail_has_the_subject_the_coloured_header_and_a_text_alternative(mailbox: Mailbox) -> None:
    with translation.override("zh-hans"):
        account(mailbox.port, sender_name="告警").send(ALERT)
    (mail,) = mailbox.mails
    assert mail.subject == "[VoiceHelper Alert - CRITICAL] 账目不平"
    assert (mail.sender, mail.recipients) == ("alerts@example.com", ("ops@example.com",))
    html, plain = mail.part("html"), mail.part("plain")
    assert "background:#dc3545" in html
    for text in ("告警详情", "时间: 2026-11-21 12:00:00", "系统: VoiceHelper智能语音助手"):
        assert text in html
    assert "&lt;b&gt;wallet 7&lt;/b&gt;" in html
    assert "<b>wallet" not in html
    assert "告警详情:\nbalance: <b>wallet 7</b>" in plain.replace("\r\n", "\n")
    assert "系统: VoiceHelper智能语音助手" in plain


@pytest.mark.parametrize(
    ("level", "colour"), [("warning", "#ffc107"), ("info", "#17a2b8"), ("odd", "#6c757d"), ("critical", "#dc3545")]
)
def test_the_header_has_the_colour_of_the_level(mailbox: Mailbox, level: str, colour: str) -> None:
    account(mailbox.port).send(Message(level, "T", "C", TIME))
    assert f"background:{colour}" in mailbox.mails[0].part("html")


HOSTILE = [
    "T\r\nBcc: thief@example.com",
    "=?utf-8?q?T=0D=0ABcc=3A_thief=40example=2Ecom?=",
    "=?utf-8?q?=0D=0ABcc=3A_thief=40example=2Ecom?= and more after it",
    "before it =?utf-8?b?DQpCY2M6IHRoaWVmQGV4YW1wbGUuY29t?=",
    "=?utf-8?q?=0D=0A=0D=0AAnother_body?=",
    "=?utf-8?q?=0A?=Bcc: thief@example.com",
    "账目 =?utf-8?q?=0D=0ABcc=3A_thief=40example=2Ecom?= 不平",
    "=?us-ascii*en?Q?=0d=0aBcc:=20thief@example.com?=",
    "==?utf-8?q?=0D=0ABcc:_thief?=?utf-8?q?=0D=0ABcc:_thief?=",
    "long " * 40 + "=?utf-8?q?=0D=0ABcc=3A_thief=40example=2Ecom?=" + " long" * 40,
    "\x85Bcc: thief@example.com\u2028X: y\x0b\x0c\x1eZ: z\x00\x1b[31m",
]
OURS = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_N6_a_title_and_a_name_stay_the_header_they_are(mailbox: Mailbox, hostile: str) -> None:
    account(mailbox.port, sender_name=hostile).send(Message("info", hostile, hostile, TIME))
    (mail,) = mailbox.mails
    assert mail.recipients == ("ops@example.com",)
    head = mail.data.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode()
    names = [line.partition(":")[0] for line in head.split("\n") if not line.startswith((" ", "\t"))]
    assert sorted(names) == sorted(OURS)
    # Nor does what the reader's program decodes hold a line of its own.
    raw = message_from_bytes(mail.data)
    for name in OURS:
        said = str(make_header(decode_header(re.sub(r"\r?\n(?=[ \t])", "", raw[name]))))
        assert not re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", said), said
    read = message_from_bytes(mail.data, policy=policy.default)
    assert [one.addr_spec for one in read["From"].addresses] == ["alerts@example.com"]
    assert [one.addr_spec for one in read["To"].addresses] == ["ops@example.com"]
    assert "long" not in hostile or read["Subject"].count("long") == 80


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?a=0D=0ABcc=3A_thief=40example=2Ecom?=@example.com",
        "ops@example.com\r\nBcc: thief@example.com",
        "ops@example.com, thief@example.com",
        "Ops <thief@example.com>",
        "ops@=?utf-8?q?=0D=0A?=.example.com",
        "ops",
        "",
    ],
)
def test_N6_what_is_no_single_mail_address_is_written_to_by_nobody(mailbox: Mailbox, address: str) -> None:
    for changes in ({"recipients": ("ops@example.com", address)}, {"sender": address}):
        with pytest.raises(TransportError) as caught:
            account(mailbox.port, **changes).send(ALERT)
        assert (caught.value.permanent, "is not a mail address" in str(caught.value.text)) == (True, True)
    assert mailbox.mails == []


def test_a_wrong_password_is_permanent_and_says_so(mailbox: Mailbox) -> None:
    with pytest.raises(TransportError) as caught:
        account(mailbox.port, password="wrong").send(ALERT)
    assert caught.value.permanent
    assert "535" in caught.value.text
    assert "password" in str(caught.value.hint)
    assert mailbox.mails == []


def test_who_is_refused_is_named_and_the_others_get_their_mail(mailbox: Mailbox) -> None:
    some = account(mailbox.port, recipients=("gone@nobody.invalid", "ops@example.com"))
    assert "not sent to gone@nobody.invalid: 550" in some.send(ALERT).detail
    assert len(mailbox.mails) == 1
    nobody = account(mailbox.port, recipients=("gone@nobody.invalid",))
    with pytest.raises(TransportError) as caught:
        nobody.send(ALERT)
    assert caught.value.permanent


def test_a_private_host_is_refused_unless_the_deployer_allows_it(mailbox: Mailbox) -> None:
    with pytest.raises(TransportError) as caught:
        account(mailbox.port, private=False, username="").send(ALERT)
    assert caught.value.permanent
    assert "127.0.0.1" in caught.value.text
    assert "SMTP_PRIVATE_HOSTS" in str(caught.value.hint)


def test_a_password_never_travels_unencrypted_to_a_public_host() -> None:
    with pytest.raises(TransportError) as caught:
        replace(account(25), host="smtp.example.com", private=False).send(ALERT)
    assert "unencrypted" in caught.value.text


def test_nobody_listening_is_not_unknown() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError) as caught:
        account(port).send(ALERT)
    assert (caught.value.permanent, caught.value.unknown) == (False, False)


def test_a_server_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "TOTAL_S", 1.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def drip() -> None:
            client, _address = listener.accept()
            with client:
                for _ in range(100):
                    try:
                        client.send(b"2")
                    except OSError:
                        return
                    time.sleep(0.1)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            account(listener.getsockname()[1]).send(ALERT)
        assert time.monotonic() - started < 3
        assert not caught.value.permanent
        thread.join()


# --- TLS -------------------------------------------------------------------------------------------------------------
@pytest.fixture
def certificate() -> Issued:
    return issue("127.0.0.1")


@pytest.fixture
def secure(certificate: Issued) -> Iterator[Mailbox]:
    with Mailbox(tls=server_context(certificate)) as server:
        yield server


def test_starttls_is_checked_against_the_name_and_used_before_signing_in(
    secure: Mailbox, certificate: Issued, tmp_path: Path
) -> None:
    trusted = tmp_path / "server.pem"
    trusted.write_text(certificate.pem)
    account(secure.port, security="starttls", ca_file=str(trusted)).send(ALERT)
    assert len(secure.mails) == 1


def test_a_strangers_certificate_is_refused(secure: Mailbox) -> None:
    with pytest.raises(TransportError) as caught:
        account(secure.port, security="starttls").send(ALERT)
    assert "certificate" in caught.value.text
    assert secure.mails == []


def test_a_server_without_starttls_gets_no_password(mailbox: Mailbox) -> None:
    with pytest.raises(TransportError) as caught:
        account(mailbox.port, security="starttls").send(ALERT)
    assert caught.value.permanent
    assert mailbox.mails == []
