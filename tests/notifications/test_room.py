"""What runs out is told before it is gone, once, and is over when there is room again."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from notifications import room
from notifications.models import Alert

pytestmark = pytest.mark.django_db


def test_sessions_are_counted_as_postgresql_does() -> None:
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(
                psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor})
            )
        found = room.sessions()
    assert 5 < found.used < found.most


def test_a_folder_that_is_not_there_yet_lies_on_the_disk_it_will_lie_on(settings: Any, tmp_path: Path) -> None:
    settings.FILES_DIR = str(tmp_path / "not" / "yet")
    found = room.disk()
    assert 0 < found.used < found.most


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Per cent that are used: nobody fills a disk for a test."""
    found = {"sessions": 10, "disk": 10}
    monkeypatch.setattr(room, "sessions", lambda: room.Capacity(found["sessions"], 100))
    monkeypatch.setattr(room, "disk", lambda: room.Capacity(found["disk"], 100))
    return found


@pytest.mark.parametrize(("what", "event"), [("sessions", "sessions_run_out"), ("disk", "disk_fills")])
def test_it_is_told_once_and_ends_by_itself(used: dict[str, int], what: str, event: str) -> None:
    for percent, opened in ((89, 0), (90, 1), (99, 1), (85, 1), (79, 0), (89, 0), (95, 1)):
        used[what] = percent
        room.check()
        assert Alert.objects.filter(event=event, resolved_at=None).count() == opened, percent
    assert Alert.objects.filter(event=event).count() == 2
