"""A forgotten password: a link by mail, good once and for an hour, and the same answer whoever is asked for."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.test import Client
from django.utils import translation
from django.utils.http import urlsafe_base64_encode
from rest_framework.test import APIClient

from notifications.models import Mail
from tests.accounts.conftest import Post, link_in
from tests.operators import browser_of, clerk
from voicehelper import clock
from voicehelper.accounts import recovery
from voicehelper.accounts.models import User
from voicehelper.accounts.pages import recovery as pages
from voicehelper.accounts.services import issue_token

FORGOT = "/accounts/forgot"
NEW = {"new_password1": "plum-tree-93-lake", "new_password2": "plum-tree-93-lake"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """What sessions made without a page are in."""
    with translation.override("en"):
        yield


@pytest.fixture
def owner(buyer: User) -> User:
    """The buyer, with a confirmed address."""
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now())
    buyer.refresh_from_db()
    return buyer


def ask(who: str, language: str = "en", **where: Any) -> Any:
    return Client(headers={"accept-language": language}).post(FORGOT, {"who": who}, **where)


def follow(link: str, client: Client | None = None) -> tuple[Client, Any]:
    """Open a link and send a new password."""
    client = client or Client(headers={"accept-language": "en"})
    opened = client.get(link)
    if opened.status_code != 302:
        return client, opened
    return client, client.post(opened["Location"], NEW)


@pytest.mark.parametrize("who", ["buyer", "buyer@example.com", " BUYER@EXAMPLE.COM "])
def test_a_link_comes_by_name_and_by_address_and_sets_a_password(post: Post, owner: User, who: str) -> None:
    assert ask(who).status_code == 200
    (mail,) = post.arrived()
    assert mail.recipients == ("buyer@example.com",)
    client, answer = follow(link_in(mail))
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/sign-in")
    owner.refresh_from_db()
    assert owner.check_password("plum-tree-93-lake")
    assert "Your new password is set" in client.get("/accounts/sign-in").text
    (told,) = post.arrived()
    assert "Your password was changed" in told.subject


def test_the_answer_is_the_same_for_nobody_and_for_those_without_an_address(
    post: Post, owner: User, other_user: User
) -> None:
    User.objects.filter(pk=other_user.pk).update(email="stranger@example.com")
    User.objects.create_user("gone", email="gone@example.com", is_active=False, email_verified_at=clock.now())
    answers = [ask(who) for who in ("buyer", "stranger", "stranger@example.com", "nobody", "x@example.com", "gone")]
    texts = {re.sub(r'value="[^"]{64}"', "", answer.text) for answer in answers}
    assert len(texts) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert [mail.recipients for mail in post.arrived()] == [("buyer@example.com",)]


def test_who_is_named_like_an_address_of_another_gets_nothing_of_his(post: Post, owner: User) -> None:
    facts = {"email": "other@example.com", "email_verified_at": clock.now()}
    User.objects.create_user("buyer@example.com", **facts)
    ask("buyer@example.com")
    texts = {mail.recipients[0]: mail.part("plain") for mail in post.arrived()}
    assert set(texts) == {"buyer@example.com", "other@example.com"}
    assert "account buyer at" in texts["buyer@example.com"]
    assert "account buyer@example.com at" in texts["other@example.com"]


def test_a_link_is_good_once(post: Post, owner: User) -> None:
    ask("buyer")
    link = link_in(post.arrived()[0])
    second, opened = Client(headers={"accept-language": "en"}), link
    form = second.get(opened)["Location"]
    assert follow(link)[1].status_code == 302
    # Also for whoever had it open meanwhile.
    assert second.post(form, NEW).status_code == 410
    _client, again = follow(link)
    assert again.status_code == 410
    assert "not good any more" in again.text


def test_a_link_is_good_for_an_hour(post: Post, owner: User) -> None:
    ask("buyer")
    link = link_in(post.arrived()[0])
    with time_machine.travel((clock.now() + timedelta(minutes=61)).timestamp()):
        assert follow(link)[1].status_code == 410
    with time_machine.travel((clock.now() + timedelta(minutes=58)).timestamp()):
        assert follow(link)[1].status_code == 302


@pytest.mark.parametrize("what", ["signs in", "changes the address", "is deactivated"])
def test_a_link_dies_when_its_user(what: str, post: Post, owner: User) -> None:
    ask("buyer")
    link = link_in(post.arrived()[0])
    if what == "signs in":
        Client().post("/accounts/sign-in", {"username": "buyer", "password": "a long buyer password"})
    elif what == "changes the address":
        User.objects.filter(pk=owner.pk).update(email="new@example.com")
    else:
        User.objects.filter(pk=owner.pk).update(is_active=False)
    assert follow(link)[1].status_code == 410


def test_a_link_of_nonsense_is_explained(db: None) -> None:
    for link in ("/accounts/reset/MQ/x-y", "/accounts/reset/%00/x", "/accounts/reset/OTk5OTk5OTk5OTk5OTk5OTk5OTk5/a-b"):
        assert Client().get(link).status_code in (400, 410), link


def test_N5_everything_that_was_signed_in_is_signed_out(post: Post, owner: User) -> None:
    browser, token = browser_of(owner), issue_token(owner)
    ask("buyer")
    client, _answer = follow(link_in(post.arrived()[0]))
    assert browser.get("/accounts/password").status_code == 302
    assert APIClient(headers={"Authorization": f"Bearer {token}"}).get("/api/user/self").status_code == 401
    # Not even whoever used the link is signed in by it.
    assert "_auth_user_id" not in client.session


def test_a_weak_password_is_refused_and_the_link_stays_good(post: Post, owner: User) -> None:
    ask("buyer")
    client = Client(headers={"accept-language": "en"})
    form = client.get(link_in(post.arrived()[0]))["Location"]
    weak = client.post(form, {"new_password1": "12345678", "new_password2": "12345678"})
    assert "too common" in weak.text
    assert client.post(form, NEW).status_code == 302


@pytest.mark.parametrize(("language", "words"), [("en", "Set a new password"), ("zh-hans", "设置新密码")])
def test_the_mail_is_in_the_language_its_user_signs_in_with(post: Post, owner: User, language: str, words: str) -> None:
    page = Client(headers={"accept-language": language})
    page.post("/accounts/sign-in", {"username": "buyer", "password": "a long buyer password"})
    ask("buyer", language="zh-hans" if language == "en" else "en")
    assert words in post.arrived()[0].subject


# --- Brakes ----------------------------------------------------------------------------------------------------------
def test_one_user_gets_few_links_by_whatever_name_and_nobody_is_told(
    post: Post, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PER_USER", "2 per hour")
    answers = [ask(who) for who in ("buyer", "buyer@example.com", "Buyer@example.com")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(post.arrived()) == 2


def test_N4_asking_is_limited_per_network_and_per_name(
    post: Post, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PER_ADDRESS", "2 per hour")
    for number in range(3):
        answer = ask(f"name{number}", REMOTE_ADDR=f"2001:db8::{number}")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert ask("name", REMOTE_ADDR="2001:db8:1::1").status_code == 200
    monkeypatch.setattr(pages, "PER_ASKED", "1 per hour")
    # Known or not: the brake says nothing of that.
    for who in ("nobody", "buyer"):
        asked = [ask(who, REMOTE_ADDR=f"198.51.100.{number}").status_code for number in range(2)]
        assert asked == [200, 429]


# --- Operators -------------------------------------------------------------------------------------------------------
def action(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/do/send_reset/"


def test_an_operator_sends_a_link_and_its_use_confirms_the_address(post: Post, browser: Client, buyer: User) -> None:
    User.objects.filter(pk=buyer.pk).update(email="typed@example.com")
    assert browser.post(action(buyer)).status_code == 302
    (mail,) = post.arrived()
    assert mail.recipients == ("typed@example.com",)
    follow(link_in(mail))
    buyer.refresh_from_db()
    assert buyer.check_password("plum-tree-93-lake")
    assert buyer.email_verified_at is not None


def test_the_admin_says_why_no_link_can_be_sent(browser: Client, buyer: User) -> None:
    assert "No channel sends mail to users" in browser.get(f"/admin/accounts/user/{buyer.pk}/change/").text
    assert "forgotten passwords need you" in browser.get("/admin/").text
    browser.post(action(buyer))
    assert not Mail.objects.exists()


def test_N1_nobody_sends_a_link_for_an_operator_but_a_superuser(post: Post, staff: User, buyer: User) -> None:
    User.objects.filter(pk__in=(staff.pk, buyer.pk)).update(email="x@example.com")
    helper = browser_of(clerk("view_user", "change_user"))
    helper.post(action(staff))
    assert post.arrived() == []
    helper.post(action(buyer))
    assert len(post.arrived()) == 1
    browser_of(clerk("view_user", name="reader")).post(action(buyer))
    assert post.arrived() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_link_at_once_one_does(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find the link good before either has set a password."""
    token = default_token_generator.make_token(owner)
    link = f"/accounts/reset/{urlsafe_base64_encode(str(owner.pk).encode())}/{token}"
    clients = [Client(), Client()]
    forms = [client.get(link)["Location"] for client in clients]
    together, answers = threading.Barrier(2), []
    valid = pages.FirstPasswordForm.is_valid

    def wait(form: Any) -> bool:
        together.wait(20)
        return valid(form)

    monkeypatch.setattr(pages.FirstPasswordForm, "is_valid", wait)

    def send(number: int) -> None:
        try:
            answers.append(clients[number].post(forms[number], NEW).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [302, 410]
