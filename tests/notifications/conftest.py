"""The stand-ins for messengers, reached over real HTTP and SMTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from sandbox.smtp import Mail, MailServer


@pytest.fixture
def messengers(live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transports reach the sandbox of this very test; use it with `transaction=True`."""
    # The server's threads live as long as our connections to it are kept; theirs to the database may not.
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    settings.DINGTALK_BASE_URL = f"{live_server.url}/sandbox/dingtalk"
    settings.ALIYUN_SMS_URL = f"{live_server.url}/sandbox/aliyun-sms"
    settings.TENCENT_SMS_URL = f"{live_server.url}/sandbox/tencent-sms"
    settings.SMTP_PRIVATE_HOSTS = ["127.0.0.1"]


class Mailbox(MailServer):
    """A mail server for one user."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[Mail] = []
        super().__init__(0, check=lambda *who: who == ("mailer", "mail-password"), take=self.mails.append, **options)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        yield server
