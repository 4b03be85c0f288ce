"""The stand-ins of WeChat's sign-in, on this test's own server, and of a mail server that writes to users."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from notifications import mail
from sandbox.smtp import Mail
from tests.notifications.channels import mail_channel
from tests.notifications.conftest import Mailbox
from tests.wechat import WeChat, set_up_mini_program
from voicehelper.accounts.wechat import base


@pytest.fixture
def wechat(live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> WeChat:
    """The demo's mini program, set up; busy answers are not waited for. Use it with `transaction=True`."""
    # The server's threads live as long as our connections to it are kept; theirs to the database may not.
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    monkeypatch.setattr(base, "PAUSES_S", (0.0, 0.0))
    settings.WECHAT_API_BASE_URL = f"{live_server.url}/sandbox/weixin"
    set_up_mini_program()
    return WeChat(live_server.url)


class Post:
    """What a sweep brings to users, over real SMTP."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def arrived(self) -> list[Mail]:
        """The mails since the last time."""
        mail.deliver()
        mails, self._mailbox.mails[:] = list(self._mailbox.mails), []
        return mails


def link_in(mail: Mail) -> str:
    """The path of the first link in a mail."""
    found = re.search(r"https?://[^/\s]+(/\S+)", mail.part("plain"))
    assert found, mail.part("plain")
    return found[1]


@pytest.fixture
def post(db: None, settings: Any) -> Iterator[Post]:
    """An email channel that mails to users, and what came of it."""
    settings.SMTP_PRIVATE_HOSTS = ["127.0.0.1"]
    with Mailbox() as server:
        mail_channel(server.port, users=True)
        yield Post(server)
