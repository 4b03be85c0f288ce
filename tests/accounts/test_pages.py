"""Signing in, up and out, and changing the password, in a browser."""

import re

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from voicehelper.accounts import backends, names, pages
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

SIGN_IN, SIGN_UP, PASSWORD = "/accounts/sign-in", "/accounts/sign-up", "/accounts/password"
RIGHT = {"username": "buyer", "password": "a long buyer password"}
NEW = {"username": "newcomer", "password1": "plum-tree-93-lake", "password2": "plum-tree-93-lake"}


@pytest.fixture
def page() -> Client:
    return Client(headers={"accept-language": "en"})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# --- Signing in ------------------------------------------------------------------------------------------------------
def test_the_right_password_leads_to_the_recharge_page_or_where_one_was_going(page: Client, buyer: User) -> None:
    for asked, leads_to in (({}, "/recharge"), ({"next": "/recharge/orders"}, "/recharge/orders")):
        answer = page.post(SIGN_IN, RIGHT | asked)
        assert (answer.status_code, answer["Location"]) == (302, leads_to)
        assert signed_in(page)
        page.logout()


def test_a_wrong_password_is_explained_without_saying_what_was_wrong(page: Client, buyer: User) -> None:
    wrong = page.post(SIGN_IN, RIGHT | {"password": "x"})
    nobody = page.post(SIGN_IN, RIGHT | {"username": "nobody"})
    for answer in (wrong, nobody):
        assert answer.status_code == 200
        assert "The user name or the password is wrong" in answer.content.decode()
    assert not signed_in(page)


def test_I6_after_too_many_tries_one_must_wait(page: Client, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "PER_NAME", "2 per 10 minutes")
    for _ in range(2):
        assert page.post(SIGN_IN, RIGHT | {"password": "x"}).status_code == 200
    answer = page.post(SIGN_IN, RIGHT)
    assert answer.status_code == 429
    assert 540 < int(answer["Retry-After"]) <= 600
    assert "Please wait 10 minutes" in answer.content.decode()
    assert not signed_in(page)


def test_a_typed_name_is_shown_as_text(page: Client) -> None:
    body = page.post(SIGN_IN, {"username": '"><script>x</script>', "password": "x"}).content.decode()
    assert "<script>x" not in body


def test_who_comes_back_after_the_session_ended_is_told_and_lands_where_it_was(page: Client, buyer: User) -> None:
    words = "Your session has ended"
    assert words not in page.get("/recharge/orders", follow=True).content.decode()
    page.post(SIGN_IN, RIGHT)
    Session.objects.all().delete()
    asked = page.get("/recharge/orders", follow=True)
    assert words in asked.content.decode()
    assert page.post(SIGN_IN, RIGHT | {"next": "/recharge/orders"})["Location"] == "/recharge/orders"
    # Whoever signs out knows it.
    page.post("/accounts/sign-out")
    assert words not in page.get("/recharge/orders", follow=True).content.decode()


# --- Signing up ------------------------------------------------------------------------------------------------------
def test_a_newcomer_is_signed_in_at_once(page: Client) -> None:
    answer = page.post(SIGN_UP, NEW)
    assert (answer.status_code, answer["Location"]) == (302, "/first-steps")
    user = User.objects.get(username="newcomer")
    assert page.session["_auth_user_id"] == str(user.pk)
    assert user.group == "default"
    assert page.get(SIGN_UP)["Location"] == "/first-steps"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"username": "BUYER"}, "already exists"),
        ({"username": "a b<c"}, "Enter a valid username"),
        ({"password1": "12345678", "password2": "12345678"}, "too common"),
        ({"password1": "newcomer1", "password2": "newcomer1"}, "too similar"),
        ({"password2": "something else"}, "match"),
    ],
)
def test_what_cannot_be_an_account_is_explained(page: Client, buyer: User, changes: dict[str, str], words: str) -> None:
    answer = page.post(SIGN_UP, NEW | changes)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert User.objects.count() == 1


@pytest.mark.parametrize(("late", "words"), [(False, "that somebody has already"), (True, "already exists")])
def test_a_name_taken_in_the_same_moment_is_explained(
    page: Client, monkeypatch: pytest.MonkeyPatch, late: bool, words: str
) -> None:
    """The form finds the name free; somebody else takes it before it is looked at once more, or only after that, by a
    way that does not ask (a command, an operator)."""
    look = names.check_and_hold

    def raced(name: str) -> None:
        for step in (look, User.objects.create_user) if late else (User.objects.create_user, look):
            step(name)

    monkeypatch.setattr(names, "check_and_hold", raced)
    answer = page.post(SIGN_UP, NEW)
    assert answer.status_code == 200
    assert words in answer.content.decode()


def test_I6_signing_up_is_limited_per_address(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SIGN_UPS", "1 per hour")
    page.post(SIGN_UP, NEW | {"username": ""})
    answer = page.post(SIGN_UP, NEW)
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    body = answer.content.decode()
    assert "Please wait 60 minutes" in body
    assert not re.search("required|already", body.split("<form method")[-1].split("data-once")[0])
    assert not User.objects.exists()


# --- The password ----------------------------------------------------------------------------------------------------
def test_the_password_page_is_for_those_signed_in(page: Client) -> None:
    assert page.get(PASSWORD)["Location"] == f"{SIGN_IN}?next={PASSWORD}"
