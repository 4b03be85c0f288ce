"""Browsers that do nothing are signed out; the others when their time is over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client

from tests.operators import browser_of
from voicehelper.accounts import sessions
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at() -> Iterator[Any]:
    """What the clock says. Each minute a browser is noted anew."""
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


def come(client: Client, at: Any, after: timedelta) -> bool:
    """Whether it is still signed in, so long later."""
    at.shift(after)
    sessions._noted.clear()
    return client.get("/accounts/password").status_code == 200


def test_a_user_who_does_nothing_for_a_week_is_signed_out(buyer: User, at: Any) -> None:
    client = browser_of(buyer)
    client.get("/recharge")
    assert come(client, at, timedelta(days=6, hours=23))
    assert come(client, at, timedelta(days=6))
    assert not come(browser_that_waits(buyer, at), at, timedelta(days=7, seconds=1))


def browser_that_waits(user: User, at: Any) -> Client:
    client = browser_of(user)
    assert come(client, at, timedelta())
    return client


def test_an_operator_who_does_nothing_for_an_hour_is_signed_out(staff: User, at: Any) -> None:
    client = browser_of(staff)
    for _request in range(4):
        assert come(client, at, timedelta(minutes=50))
    assert not come(client, at, timedelta(minutes=60, seconds=1))
    assert "has ended" in client.get("/recharge", follow=True).text


def test_who_becomes_an_operator_has_an_operators_hour(buyer: User, at: Any) -> None:
    client = browser_that_waits(buyer, at)
    User.objects.filter(pk=buyer.pk).update(is_staff=True)
    assert come(client, at, timedelta(hours=2))
    assert not come(client, at, timedelta(hours=2))


def test_two_weeks_after_signing_in_it_is_over_however_busy_it_was(buyer: User, at: Any) -> None:
    client = browser_that_waits(buyer, at)
    for _day in range(13):
        assert come(client, at, timedelta(days=1))
        # What is saved meanwhile moves nothing on.
        session = client.session
        session["something"] = "else"
        session.save()
    assert not come(client, at, timedelta(days=1, seconds=1))


def test_signing_in_and_going_away_at_once_counts_too(staff: User, at: Any) -> None:
    client = Client()
    asked = {"username": "operator", "password": "a long operator password"}
    assert client.post("/accounts/sign-in", asked).status_code == 302
    assert Session.objects.get().expire_date == datetime.now(UTC) + timedelta(hours=1)


def test_the_deployer_chooses(buyer: User, at: Any, settings: Any) -> None:
    settings.SESSION_IDLE_HOURS = 2
    client = browser_that_waits(buyer, at)
    assert not come(client, at, timedelta(hours=2, seconds=1))


def test_a_session_from_before_keeps_its_end(buyer: User, at: Any) -> None:
    client = browser_of(buyer)
    session = client.session
    del session["signed_in_at"]
    session.save()
    end = Session.objects.get().expire_date
    assert come(client, at, timedelta(days=8))
    assert Session.objects.get().expire_date == end
