"""The operator's handbook says what each alert means, and what compose.yaml starts has time and room as it says."""

import re

from django.conf import settings

from notifications.events import EVENTS
from tests.image import COMPOSE, ROOT
from voicehelper import sessions

HANDBOOK = (ROOT / "docs/operations.md").read_text()


def test_postgresql_has_room_for_all_that_compose_starts_as_the_handbook_counts() -> None:
    counted = re.search(
        r"`WEB_THREADS \+ NOTICE_THREADS \+ FILE_THREADS \+ (\d+)` per web process .* (\d+) more"
        r".* one per worker child.* (\d+) more .* (\d+), enough for (\d+) web processes",
        HANDBOOK.replace("\n", " "),
    )
    assert counted
    others, moments, sweeping, most, processes = map(int, counted.groups())
    assert others == sessions.BESIDE_THREADS
    threads = settings.WEB_THREADS + settings.NOTICE_THREADS + settings.FILE_THREADS
    children = re.search(r"-c (\d+)", COMPOSE["services"]["worker"]["command"])
    assert children
    needed = processes * (threads + others + moments) + int(children[1]) * (1 + sweeping)
    allowed = re.search(r"max_connections=(\d+)", COMPOSE["services"]["postgres"]["command"])
    # PostgreSQL keeps three for its superuser; and an operator wants to look and to back up.
    assert (most, needed + 10 <= most) == (int(allowed[1]) if allowed else 100, True)
    nodes = sum(name.startswith("web-") for name in COMPOSE["services"])
    assert nodes * settings.WEB_CONCURRENCY <= processes


def test_every_event_is_explained_and_none_is_invented() -> None:
    table = HANDBOOK[HANDBOOK.index("## What each alert means") :]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(EVENTS)
