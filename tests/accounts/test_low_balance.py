"""The notice of a low balance: off until asked for, once for each fall, whoever looks for it and whatever dies."""

from decimal import Decimal
from typing import Any

import pytest

from notifications.models import Mail
from tests.accounts.conftest import Post
from tests.faults.conftest import at_once
from tests.ledger import spend
from tests.operators import browser_of
from voicehelper import clock
from voicehelper.accounts import letters, low_balance
from voicehelper.accounts.models import LowBalanceNotice, User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db

PAGE = "/accounts/low-balance"


@pytest.fixture
def reader(buyer: User) -> User:
    """A buyer with a confirmed address and 1000 quota."""
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now(), language="en")
    buyer.refresh_from_db()
    give(buyer, 1000)
    return buyer


def give(user: User, amount: int) -> None:
    credit(user, amount, kind=Entry.Kind.GIFT, ref=f"gift-{Entry.objects.count()}", actor="test")


def lose(user: User, amount: int) -> None:
    spend(user, amount, ref=f"spend-{Entry.objects.count()}")


def test_each_fall_is_told_once(reader: User, post: Post) -> None:
    assert low_balance.tell() == 0
    low_balance.ask_for_notice(reader, 500)
    lose(reader, 499)
    assert low_balance.tell() == 0
    lose(reader, 1)
    assert [low_balance.tell(), low_balance.tell()] == [1, 0]
    lose(reader, 100)
    assert low_balance.tell() == 0
    (mail,) = post.arrived()
    assert mail.recipients == ("buyer@example.com",)
    assert "Your balance is low" in mail.subject
    assert "500 quota" in mail.part("plain")
    give(reader, 101)
    assert low_balance.tell() == 0
    lose(reader, 1)
    assert low_balance.tell() == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_look_at_once_write_one_mail(reader: User) -> None:
    low_balance.ask_for_notice(reader, 500)
    lose(reader, 600)
    told = at_once(*[low_balance.tell] * 8)
    assert sum(told) == 1
    assert Mail.objects.count() == 1


def test_whoever_dies_before_the_mail_is_written_down_leaves_it_to_the_next(
    reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    low_balance.ask_for_notice(reader, 500)
    lose(reader, 600)

    def die(*_args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(letters, "low_balance", die)
        with pytest.raises(KeyboardInterrupt):
            low_balance.tell()
    assert low_balance.tell() == 1


def test_the_page_takes_yuan_or_quota_and_needs_a_confirmed_address(reader: User, other_user: User) -> None:
    browser = browser_of(reader)
    assert "It is off." in browser.get(PAGE).text
    assert browser.post(PAGE, {"amount": "7.30", "unit": "yuan"}).status_code == 302
    notice = LowBalanceNotice.objects.get()
    # More than is there: the next fall counts, not this state.
    assert (notice.threshold, notice.armed) == (low_balance.quota_for(Decimal("7.30")), False) == (500_000, False)
    assert "¥7.30" in browser.get(PAGE).text
    assert low_balance.tell() == 0
    for wrong in (
        {"amount": "0.5", "unit": "quota"},
        {"amount": "-1", "unit": "yuan"},
        {"amount": "9" * 18, "unit": "yuan"},
    ):
        assert browser.post(PAGE, wrong).status_code == 200
    assert browser.post(PAGE, {"amount": "300", "unit": "quota"}).status_code == 302
    assert LowBalanceNotice.objects.get().armed
    assert browser.post(PAGE, {"amount": "", "unit": "quota"}).status_code == 302
    assert not LowBalanceNotice.objects.exists()
    stranger = browser_of(other_user).post(PAGE, {"amount": "5", "unit": "yuan"})
    assert "Confirm an email address first" in stranger.text
    assert not LowBalanceNotice.objects.exists()
