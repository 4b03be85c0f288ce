"""Sessions at PostgreSQL: a node counts them before it starts, and idle ones go back."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import close_old_connections, connection

from voicehelper import checks, sessions


def asked(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def in_a_request(sql: str) -> Any:
    """As Django does it: the session is looked after before and after."""
    close_old_connections()
    try:
        return asked(sql)
    finally:
        close_old_connections()


@pytest.mark.django_db(transaction=True)
def test_a_web_thread_gives_its_session_back_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 1)
    mine = "SELECT count(*) FROM pg_stat_activity WHERE pid = {}"
    with ThreadPoolExecutor(1, initializer=sessions.give_back_when_idle) as thread:
        number = thread.submit(in_a_request, "SELECT pg_backend_pid()").result()
        assert asked(mine.format(number)) == 1
        while asked(mine.format(number)):
            asked("SELECT pg_sleep(0.1)")
        # The next request notices nothing but another session.
        assert thread.submit(in_a_request, "SELECT pg_backend_pid()").result() != number
        thread.submit(lambda: connection.close()).result()
    assert asked("SHOW idle_session_timeout") == "0"


@pytest.mark.django_db
def test_a_node_that_may_want_more_sessions_than_there_are_is_refused(settings: Any) -> None:
    settings.PRODUCTION = True
    settings.WEB_CONCURRENCY = 1
    assert checks.check_sessions(None, databases=["default"]) == []
    settings.WEB_CONCURRENCY = 10
    [refusal] = checks.check_sessions(None, databases=["default"])
    assert str(sessions.of_this_node()) in refusal.msg
    assert "WEB_CONCURRENCY" in str(refusal.hint)
    # Behind a pooler threads share a few; what is counted is what goes to PostgreSQL itself.
    settings.DATABASE_DIRECT = {"host": "10.0.0.5", "port": "5432"}
    settings.WEB_CONCURRENCY = 2
    assert checks.check_sessions(None, databases=["default"]) == []


@pytest.mark.django_db
def test_the_limit_of_the_database_counts_as_well() -> None:
    allowed = sessions.allowed()
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 7")
    assert (allowed > 7, sessions.allowed()) == (True, 7)
