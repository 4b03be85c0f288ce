"""The stand-in of WeChat's sign-in, on this test's own server."""

from typing import Any

import pytest
from django.db import connections

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
