"""Strangers who guess at a name keep no owner out of a browser that is known."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from tests.accounts.test_second_factor import switch_on
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

SIGN_IN, PASSWORD = "/accounts/sign-in", "a long buyer password"
RIGHT = {"username": "buyer", "password": PASSWORD}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def known(name: str = "buyer", password: str = PASSWORD) -> Client:
    """A browser that somebody signed in with, and out again."""
    client = Client(headers={"accept-language": "en"})
    assert client.post(SIGN_IN, {"username": name, "password": password}).status_code == 302
    client.post("/accounts/sign-out")
    return client


def guessed_at(client: Client, times: int = 10, name: str = "buyer", address: str = "203.0.113.7") -> None:
    for _try in range(times):
        client.post(SIGN_IN, {"username": name, "password": "wrong"}, REMOTE_ADDR=address)


def test_a_known_browser_gets_in_while_strangers_guess(buyer: User) -> None:
    mine = known()
    guessed_at(Client())
    assert Client().post(SIGN_IN, RIGHT).status_code == 429
    assert mine.post(SIGN_IN, RIGHT).status_code == 302


def test_N4_a_known_browser_has_ten_tries_of_its_own(buyer: User) -> None:
    mine = known()
    guessed_at(mine)
    assert mine.post(SIGN_IN, RIGHT).status_code == 429
    # And takes nobody else's.
    assert Client().post(SIGN_IN, RIGHT).status_code == 302


def test_N4_it_is_known_for_one_name_and_a_changed_cookie_for_none(buyer: User, other_user: User) -> None:
    strangers = known("stranger", "a long stranger password")
    forged = Client()
    forged.cookies["device"] = known().cookies["device"].value[:-1] + "x"
    guessed_at(Client())
    for client in (strangers, forged):
        assert client.post(SIGN_IN, RIGHT).status_code == 429


def test_it_tells_nobody_who_that_was_and_outlives_signing_out(buyer: User) -> None:
    cookie = known().cookies["device"]
    assert "buyer" not in cookie.value
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (
        True,
        "Lax",
        settings.SESSION_COOKIE_SECURE or "",
    )


def test_N4_the_password_alone_makes_no_browser_known_where_a_code_is_due(buyer: User) -> None:
    switch_on(buyer)
    client = Client()
    assert client.post(SIGN_IN, RIGHT).status_code == 302
    client.get("/accounts/code")
    assert "device" not in client.cookies


def test_N5_a_stolen_session_makes_no_browser_known(buyer: User) -> None:
    client = Client()
    assert client.post(SIGN_IN, RIGHT).status_code == 302
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = client.cookies[settings.SESSION_COOKIE_NAME].value
    thief.get("/recharge")
    assert "device" not in thief.cookies
