"""The mail address of a user: entered with the password, theirs once a link is opened, and nothing for strangers."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError
from django.test import Client
from django.utils import translation

from notifications.models import Channel, Mail
from tests.accounts.conftest import Post, link_in
from tests.operators import browser_of
from voicehelper import clock
from voicehelper.accounts import backends, emails
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

EMAIL, PASSWORD = "/accounts/email", "a long buyer password"
NEW = {"username": "newcomer", "password1": "plum-tree-93-lake", "password2": "plum-tree-93-lake"}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """What sessions made without a page are in."""
    with translation.override("en"):
        yield


def enter(user: User, address: str, password: str = PASSWORD) -> Any:
    return browser_of(user).post(EMAIL, {"email": address, "password": password})


def verify(user: User, address: str) -> None:
    User.objects.filter(pk=user.pk).update(email=address, email_verified_at=clock.now())
    user.refresh_from_db()


def test_an_address_counts_once_its_link_was_opened_and_the_button_pressed(post: Post, buyer: User) -> None:
    assert enter(buyer, " Buyer@EXAMPLE.com ").status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, buyer.new_email) == ("", "Buyer@example.com")
    (mail,) = post.arrived()
    assert mail.recipients == ("Buyer@example.com",)
    assert "Confirm your email address" in mail.subject
    assert "buyer" not in mail.part("plain").split("http")[0]  # no words of the user's
    stranger, link = Client(headers={"accept-language": "en"}), link_in(mail)
    assert "Buyer@example.com" in stranger.get(link).text
    buyer.refresh_from_db()
    assert buyer.email_verified_at is None
    assert stranger.post(link).status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, buyer.new_email, bool(buyer.email_verified_at)) == ("Buyer@example.com", "", True)
    for again in (stranger.get(link), stranger.post(link)):
        assert again.status_code == 410
        assert "not good any more" in again.text


def test_N5_without_the_password_nothing_is_entered(post: Post, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "PER_NAME", "2 per 10 minutes")
    for password in ("", "wrong", "wrong"):
        answer = enter(buyer, "thief@example.com", password)
        assert answer.status_code == 200
    assert enter(buyer, "thief@example.com").status_code == 429
    buyer.refresh_from_db()
    assert buyer.new_email == ""
    assert post.arrived() == []


def test_a_change_counts_when_the_new_address_answers_and_the_old_one_is_told(post: Post, buyer: User) -> None:
    verify(buyer, "old@example.com")
    enter(buyer, "new@example.com")
    buyer.refresh_from_db()
    assert buyer.email == "old@example.com"
    (mail,) = post.arrived()
    Client().post(link_in(mail))
    buyer.refresh_from_db()
    assert buyer.email == "new@example.com"
    (told,) = post.arrived()
    assert (told.recipients, "was changed" in told.subject) == (("old@example.com",), True)


def test_an_address_of_somebody_else_looks_the_same_and_its_owner_is_told(
    post: Post, buyer: User, other_user: User
) -> None:
    verify(other_user, "shared@example.com")
    taken, free = enter(buyer, "SHARED@example.com"), enter(buyer, "free@example.com")
    assert (taken.status_code, taken["Location"]) == (free.status_code, free["Location"])
    told, asked = post.arrived()
    assert "was entered again" in told.subject
    assert told.recipients == ("shared@example.com",)
    assert "/accounts/email/" not in told.part("plain")
    assert "Confirm" in asked.subject


def test_of_two_who_wait_for_one_address_the_first_gets_it(post: Post, buyer: User, other_user: User) -> None:
    enter(buyer, "one@example.com")
    enter(other_user, "one@example.com", "a long stranger password")
    first, second = map(link_in, post.arrived())
    assert Client().post(first).status_code == 302
    assert Client().post(second).status_code == 410
    with pytest.raises(IntegrityError):
        User.objects.filter(pk=other_user.pk).update(email="One@example.com", email_verified_at=clock.now())


def test_a_link_dies_with_the_day_the_password_and_another_address(post: Post, buyer: User) -> None:
    enter(buyer, "a@example.com")
    enter(buyer, "b@example.com")
    first, second = map(link_in, post.arrived())
    assert Client().get(first).status_code == 410
    with time_machine.travel((clock.now() + timedelta(hours=25)).timestamp()):
        assert Client().get(second).status_code == 410
    assert Client().get(second).status_code == 200
    buyer.set_password("quite another password")
    buyer.save()
    assert Client().post(second).status_code == 410
    assert Client().get("/accounts/email/nonsense").status_code == 410


def test_removing_it_wants_the_password_too(post: Post, buyer: User) -> None:
    verify(buyer, "old@example.com")
    enter(buyer, "", "wrong")
    buyer.refresh_from_db()
    assert buyer.email == "old@example.com"
    assert enter(buyer, "").status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, buyer.email_verified_at) == ("", None)
    (told,) = post.arrived()
    assert told.recipients == ("old@example.com",)


def test_one_address_gets_few_mails_whoever_asks_for_them(post: Post, buyer: User, other_user: User) -> None:
    for _ in range(3):
        enter(buyer, "victim@example.com")
        enter(other_user, "Victim@example.com", "a long stranger password")
    assert len(post.arrived()) == 3


def test_one_user_asks_for_few_mails(post: Post, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emails, "PER_USER", "2 per day")
    assert [enter(buyer, f"{name}@example.com").status_code for name in "abc"] == [302, 302, 429]


@pytest.mark.parametrize(
    "address",
    ["no address", '"a b"@example.com', "a@b@example.com", "=?utf-8?q?x?=@example.com", "x\r\nBcc: y@example.com"],
)
def test_N6_what_is_no_plain_address_is_refused(post: Post, buyer: User, address: str) -> None:
    answer = enter(buyer, address)
    assert answer.status_code == 200
    assert "valid email" in answer.text
    assert post.arrived() == []


def test_a_newcomer_may_give_an_address_where_mail_can_be_sent(post: Post) -> None:
    page = Client(headers={"accept-language": "en"})
    assert "Email (optional)" in page.get("/accounts/sign-up").text
    assert page.post("/accounts/sign-up", NEW | {"new_email": "new@example.com"}).status_code == 302
    user = User.objects.get(username="newcomer")
    assert (user.email, user.email_verified_at, user.new_email) == ("", None, "new@example.com")
    assert len(post.arrived()) == 1
    Channel.objects.update(enabled=False)
    assert "Email (optional)" not in Client(headers={"accept-language": "en"}).get("/accounts/sign-up").text


def test_without_a_channel_for_it_the_pages_say_whom_to_ask(buyer: User) -> None:
    assert "cannot send mail yet" in browser_of(buyer).get(EMAIL).text
    answer = Client(headers={"accept-language": "en"}).get("/accounts/forgot").text
    assert "Ask the operator" in answer
    assert '<form method="post" data-once' not in answer


def test_an_address_that_an_operator_types_is_confirmed_by_nobody(browser: Client, buyer: User) -> None:
    verify(buyer, "old@example.com")
    page = f"/admin/accounts/user/{buyer.pk}/change/"
    form = browser.get(page).context["adminform"].form
    fields = {name: value for name in form.fields if (value := form[name].value()) not in (None, False)}
    fields |= {"email": "typed@example.com", "is_active": "on"}
    inlines = {f"{prefix}-{name}": "0" for prefix in ("wechat_identities", "access_tokens") for name in TOTALS}
    assert browser.post(page, fields | inlines).status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, buyer.email_verified_at) == ("typed@example.com", None)


TOTALS = ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")


def test_J_what_a_mail_said_is_kept_for_as_long_as_it_waits_and_encrypted(post: Post, buyer: User) -> None:
    enter(buyer, "a@example.com")
    row = Mail.objects.get()
    assert "/accounts/email/" in row.text.reveal()
    assert "accounts" not in Mail.objects.extra(select={"raw": "text"}).values_list("raw", flat=True)[0]
    post.arrived()
    row.refresh_from_db()
    assert not row.text
    assert row.sent_at is not None
