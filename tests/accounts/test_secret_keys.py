"""Encrypting every secret anew from the admin: nothing is ever unreadable, and a run that was killed goes on."""

import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry
from django.test import Client

from llm.models import Credential
from tests.merchants import WECHAT
from tests.operators import PASSWORD, browser_of, clerk
from topup.models.sections import WeChatSettings
from voicehelper import clock, rotation, secrets
from voicehelper.accounts.models import SecretRotation
from voicehelper.accounts.tasks import rotate_secrets

pytestmark = pytest.mark.django_db

PAGE = "/admin/accounts/secretrotation/"
AGREED = {"everywhere": "on", "current_password": PASSWORD}


@pytest.fixture
def keys(settings: Any) -> list[str]:
    """A new key in front of the one that everything is encrypted with."""
    WECHAT.configure()
    for number in range(4):
        Credential.objects.create(name=f"account {number}", api_key=f"sk-{number}" * 8)
    settings.SECRET_KEYS = [Fernet.generate_key().decode(), *settings.SECRET_KEYS]
    return list(settings.SECRET_KEYS)


def counts() -> list[int]:
    return [use.count for use in rotation.key_uses()[0]]


def readable() -> list[str]:
    """Every secret that was stored, as it reads now."""
    stored = [each.api_key.reveal() for each in Credential.objects.filter(name__startswith="account").order_by("name")]
    assert stored == [f"sk-{number}" * 8 for number in range(4)]
    return [*stored, WeChatSettings.load().api_v2_key.reveal()]


def test_the_page_says_which_key_encrypts_how_many_and_when_the_old_one_may_go(
    browser: Client, keys: list[str], settings: Any
) -> None:
    old, before = counts()[1], readable()
    assert old >= 5
    page = browser.get(PAGE).text
    assert secrets.key_id(keys[0]) in page
    assert "Removing it would make these secrets unreadable" in page
    assert not any(key in page for key in keys)
    assert "It has begun." in browser.post(PAGE, AGREED, follow=True).text
    assert 'http-equiv="refresh"' in browser.get(PAGE).text
    rotate_secrets()
    after = browser.get(PAGE).text
    assert "May be removed" in after
    assert 'http-equiv="refresh"' not in after
    assert counts() == [old, 0]
    entry = LogEntry.objects.get()
    assert secrets.key_id(keys[0]) in entry.change_message
    settings.SECRET_KEYS = keys[:1]
    assert readable() == before


def test_what_was_killed_in_the_middle_goes_on_where_it_was_and_all_is_readable(keys: list[str]) -> None:
    begun = rotation.begin("somebody")
    total, rewritten, before = sum(counts()), [], readable()

    def dies(*row: Any) -> Any:
        if len(rewritten) == 3:
            raise SystemExit
        rewritten.append(row)
        return secrets.save_anew(*row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotation, "save_anew", dies)
        patch.setattr(rotation, "BEAT_S", 0.0)
        with pytest.raises(SystemExit):
            rotation.work()
    begun.refresh_from_db()
    assert 0 < begun.done < begun.total
    assert begun.finished is None
    assert 0 < counts()[0] < total
    assert readable() == before
    # Killed: it never said that it stopped.
    SecretRotation.objects.update(beat=clock.now())
    assert rotation.work() is None, "somebody seems to be at it"
    SecretRotation.objects.update(beat=clock.now() - timedelta(minutes=2))
    done = begun.done
    rotation.work()
    begun.refresh_from_db()
    assert begun.finished is not None
    assert (begun.done, done < begun.done) == (begun.total, True)
    assert counts() == [total, 0]
    assert readable() == before


def test_a_process_that_does_not_know_the_newest_key_touches_nothing(keys: list[str], settings: Any) -> None:
    rotation.begin("somebody")
    before = counts()
    settings.SECRET_KEYS = keys[1:]
    assert rotation.work() is None
    settings.SECRET_KEYS = keys
    assert counts() == before


def test_it_begins_once_with_the_password_and_only_for_who_may(browser: Client, keys: list[str]) -> None:
    assert clerk_is_refused()
    assert "Tick that every process" in browser.post(PAGE, {"current_password": PASSWORD}, follow=True).text
    browser.post(PAGE, {"everywhere": "on", "current_password": "wrong"})
    assert not SecretRotation.objects.exists()
    assert "It has begun." in browser.post(PAGE, AGREED, follow=True).text
    assert "It is under way already." in browser.post(PAGE, AGREED, follow=True).text
    assert SecretRotation.objects.count() == 1


def clerk_is_refused() -> bool:
    reader = browser_of(clerk("view_secretrotation"))
    shown = re.search(r'name="everywhere"', reader.get(PAGE).text)
    return shown is None and reader.post(PAGE, AGREED).status_code == 403
