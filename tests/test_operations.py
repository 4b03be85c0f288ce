"""The operator's handbook says what each alert means."""

import re

from django.conf import settings

from notifications.events import EVENTS


def test_every_event_is_explained_and_none_is_invented() -> None:
    text = (settings.BASE_DIR / "docs/operations.md").read_text()
    table = text[text.index("## What each alert means") :]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(EVENTS)


def test_every_alert_that_is_raised_is_a_known_event() -> None:
    raised = set()
    for package in ("voicehelper", "topup", "llm", "notifications"):
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            raised |= set(re.findall(r'(?:raise_alert|\.alert)\(\s*"(\w+)"', path.read_text()))
    assert len(raised) > 10
    assert raised <= set(EVENTS)
