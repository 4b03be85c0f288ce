"""Giving and taking quota by hand: who may, how much without a second person, and that it happens once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test import Client

from notifications.models import Alert
from tests.conftest import sampled
from tests.faults.conftest import at_once
from tests.operators import PASSWORD, browser_of, clerk
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url
from voicehelper.wallet import audit
from voicehelper.wallet.adjusting import (
    AdjustmentRefused,
    approve_adjustment,
    next_number,
    request_adjustment,
    withdraw_adjustment,
)
from voicehelper.wallet.models import Adjustment, Entry, Wallet, WalletSettings
from voicehelper.wallet.services import credit, hold, wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 1000
Books = Callable[[], None]


@pytest.fixture(autouse=True)
def limit(db: None) -> None:
    WalletSettings.load()
    WalletSettings.objects.update(approve_adjustments_above=LIMIT)


@pytest.fixture
def people(db: None) -> list[User]:
    return [User.objects.create_user(f"user{number}") for number in range(6)]


def operator(name: str, *rights: str) -> User:
    return clerk("view_wallet", "view_adjustment", *rights, name=name)


@pytest.fixture
def helper(db: None) -> User:
    return operator("helper", "add_adjustment")


@pytest.fixture
def second(db: None) -> User:
    return operator("second", "change_adjustment")


def ask(user: User, amount: int, actor: User, **changes: Any) -> Adjustment:
    wallet = wallet_of(user)
    return request_adjustment(
        wallet, amount, **{"number": next_number(wallet), "actor": actor, "reason": "An outage", **changes}
    )


def waits(user: User, amount: int, actor: User) -> bool:
    return ask(user, amount, actor).state == "waiting"


def page(user: User) -> str:
    return f"{change_url(wallet_of(user)).removesuffix('change/')}adjust/"


def form(user: User, **changes: str) -> dict[str, str]:
    typed = {"direction": "give", "amount": "300", "reason": "An outage", "current_password": PASSWORD}
    return {**typed, "number": str(next_number(wallet_of(user))), **changes}


# --- What happens ----------------------------------------------------------------------------------------------------
def test_quota_is_given_with_a_reason_and_everybody_can_see_who_did_it(
    helper: User, buyer: User, books_agree: Books
) -> None:
    client = browser_of(helper)
    assert "Give or take quota" in client.get(change_url(wallet_of(buyer))).text
    assert client.get(page(buyer)).status_code == 200
    answer = client.post(page(buyer), form(buyer, amount="1,000"), follow=True)
    assert "1,000 quota were given to buyer." in answer.text
    entry = Entry.objects.get()
    assert (entry.kind, entry.amount, entry.actor, entry.reason) == ("adjust", 1000, "helper", "An outage")
    assert wallet_of(buyer).balance == 1000
    assert "An outage" in LogEntry.objects.get(user=helper).change_message
    alert = Alert.objects.get(event="quota_adjusted")
    assert "+1,000" in alert.title
    assert "helper" in alert.content
    assert "An outage" in alert.content
    assert entry.ref in client.get(change_url(wallet_of(buyer))).text
    books_agree()


def test_what_is_held_or_gone_cannot_be_taken(helper: User, buyer: User, books_agree: Books) -> None:
    credit(buyer, 500, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    hold(buyer, 200, ref="call", life=timedelta(minutes=5))
    client = browser_of(helper)
    refused = client.post(page(buyer), form(buyer, direction="take", amount="301"))
    assert (refused.status_code, "No more can be taken than the 300 quota" in refused.text) == (400, True)
    assert not Adjustment.objects.exists()
    done = client.post(page(buyer), form(buyer, direction="take", amount="300"), follow=True)
    assert "300 quota were taken from buyer." in done.text
    wallet = wallet_of(buyer)
    assert (wallet.balance, wallet.held) == (200, 200)
    books_agree()


@pytest.mark.parametrize(
    "changes",
    sampled([
        {"amount": "0"}, {"amount": "-5"}, {"amount": "1.5"}, {"amount": ""}, {"amount": "9" * 30},
        {"direction": ""}, {"direction": "steal"}, {"reason": "  "}, {"number": "7"}, {"number": "x"},
        {"current_password": ""}, {"current_password": "wrong"},
    ], keep=4),
    ids=str,
)  # fmt: skip
def test_what_is_not_complete_moves_nothing(
    helper: User, buyer: User, changes: dict[str, str], books_agree: Books
) -> None:
    answer = browser_of(helper).post(page(buyer), form(buyer, **changes))
    assert (answer.status_code, 'role="alert"' in answer.text) == (400, True)
    assert not Entry.objects.exists()
    assert not Adjustment.objects.exists()
    books_agree()


def test_J3_without_the_permission_of_its_own_nobody_adjusts(buyer: User, second: User, books_agree: Books) -> None:
    reader = operator("reader", "view_order", "change_wallet")
    for client in (browser_of(reader), browser_of(second)):
        assert "Give or take quota" not in client.get(change_url(wallet_of(buyer))).text
        assert client.get(page(buyer)).status_code == 403
        assert client.post(page(buyer), form(buyer)).status_code == 403
    assert Client().post(page(buyer), form(buyer)).status_code == 302
    assert not Entry.objects.exists()
    books_agree()


def test_a_double_click_adjusts_once(helper: User, buyer: User, books_agree: Books) -> None:
    client, typed = browser_of(helper), form(buyer)
    for _ in range(2):
        assert "300 quota were given" in client.post(page(buyer), typed, follow=True).text
    assert wallet_of(buyer).balance == 300
    assert Alert.objects.filter(event="quota_adjusted").count() == 1
    books_agree()


def test_C14_of_two_operators_at_once_one_adjusts(helper: User, staff: User, buyer: User, books_agree: Books) -> None:
    wallet = wallet_of(buyer)

    def click(actor: User) -> Callable[[], str]:
        def press() -> str:
            try:
                request_adjustment(wallet, 300, number=1, actor=actor, reason="An outage")
            except AdjustmentRefused as error:
                return str(error)
            finally:
                connection.close()
            return "done"

        return press

    told = at_once(click(helper), click(staff), click(helper), click(staff))
    assert sorted(text == "done" for text in told) == [False, False, True, True]
    assert wallet_of(buyer).balance == 300
    assert Entry.objects.count() == 1
    books_agree()


# --- A second person -------------------------------------------------------------------------------------------------
def test_J3_exactly_the_limit_needs_nobody_and_one_more_a_second_person(
    helper: User, second: User, buyer: User, other_user: User, books_agree: Books
) -> None:
    assert not waits(other_user, LIMIT, operator("other", "add_adjustment"))
    client = browser_of(helper)
    answer = client.post(page(buyer), form(buyer, amount=str(LIMIT + 1)), follow=True)
    assert "it waits until a second person approves" in answer.text
    assert wallet_of(buyer).balance == 0
    (waiting,) = Adjustment.objects.filter(state="waiting")
    approve = f"{change_url(waiting).removesuffix('change/')}do/approve/"
    # The helper may not approve, and could not approve his own if he might.
    assert client.post(approve).status_code == 403
    helper.user_permissions.add(Permission.objects.get(codename="change_adjustment"))
    assert "Somebody else must approve" in client.post(approve, follow=True).text
    with pytest.raises(AdjustmentRefused):
        approve_adjustment(waiting, by=helper)
    books_agree()
    assert "1,001 quota were given to buyer." in browser_of(second).post(approve, follow=True).text
    assert wallet_of(buyer).balance == LIMIT + 1
    assert (Entry.objects.get(wallet__user=buyer).actor, Adjustment.objects.get(pk=waiting.pk).decided_by) == (
        "helper",
        "second",
    )
    # An alert is kept in the installation's language.
    assert "由 second 批准" in Alert.objects.get(title__startswith="buyer").content
    books_agree()


def test_what_waits_can_be_withdrawn_and_is_then_never_done(
    helper: User, second: User, buyer: User, books_agree: Books
) -> None:
    waiting = ask(buyer, LIMIT + 1, helper)
    path = f"{change_url(waiting).removesuffix('change/')}do/withdraw/"
    assert "Nothing was given or taken." in browser_of(second).post(path, {"reason": "no"}, follow=True).text
    with pytest.raises(AdjustmentRefused):
        approve_adjustment(waiting, by=second)
    assert wallet_of(buyer).balance == 0
    books_agree()


def test_C14_a_second_person_who_approves_twice_or_while_another_withdraws_is_one_of_them(
    helper: User, second: User, staff: User, buyer: User, books_agree: Books
) -> None:
    waiting = ask(buyer, LIMIT + 1, helper)

    def decide(verb: Callable[..., None], by: User) -> Callable[[], bool]:
        def press() -> bool:
            try:
                verb(Adjustment.objects.get(pk=waiting.pk), by=by)
            except AdjustmentRefused:
                return False
            finally:
                connection.close()
            return True

        return press

    verbs = [(approve_adjustment, second), (approve_adjustment, staff), (withdraw_adjustment, staff)]
    assert sum(at_once(*[decide(verb, by) for verb, by in verbs])) == 1
    waiting.refresh_from_db()
    assert wallet_of(buyer).balance == (LIMIT + 1 if waiting.state == "done" else 0)
    books_agree()


def test_taking_is_checked_again_when_it_is_approved(
    helper: User, second: User, buyer: User, books_agree: Books
) -> None:
    credit(buyer, 5000, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    waiting = ask(buyer, -5000, helper)
    hold(buyer, 1, ref="call", life=timedelta(minutes=5))
    with pytest.raises(AdjustmentRefused, match="4,999"):
        approve_adjustment(waiting, by=second)
    waiting.refresh_from_db()
    assert (waiting.state, wallet_of(buyer).balance) == ("waiting", 5000)
    books_agree()


def test_N2_what_one_wallet_gets_and_loses_within_a_day_counts_together(
    people: list[User], buyer: User, books_agree: Books
) -> None:
    assert not waits(buyer, LIMIT - 400, people[0])
    assert not waits(buyer, -400, people[1])
    last = ask(buyer, 1, people[2])
    assert last.state == "waiting"
    withdraw_adjustment(last, by=people[3])
    Adjustment.objects.update(created=F("created") - timedelta(hours=23, minutes=59))
    assert waits(buyer, 1, people[4])
    Adjustment.objects.update(created=F("created") - timedelta(minutes=1))
    Adjustment.objects.filter(amount=1).update(created=F("created") - timedelta(days=1))
    assert not waits(buyer, LIMIT, people[5])
    books_agree()


def test_N2_what_an_operator_does_alone_within_a_day_counts_together(
    people: list[User], helper: User, staff: User, books_agree: Books
) -> None:
    assert not waits(people[0], LIMIT, helper)
    second = ask(people[1], 1, helper)
    assert second.state == "waiting"
    Adjustment.objects.exclude(pk=second.pk).update(created=F("created") - timedelta(days=1))
    # What a second person looks at is not his alone.
    assert waits(people[2], LIMIT + 1, helper)
    assert not waits(people[3], LIMIT, helper)
    assert waits(people[4], 1, helper)
    # A superuser needs nobody: he could raise the limit.
    assert not waits(people[5], 50 * LIMIT, staff)
    books_agree()


def test_N2_six_wallets_at_once_do_not_slip_past_each_other(
    people: list[User], helper: User, books_agree: Books
) -> None:
    def click(user: User) -> Callable[[], bool]:
        def press() -> bool:
            try:
                return waits(user, LIMIT // 2, helper)
            finally:
                connection.close()

        return press

    assert sorted(at_once(*[click(user) for user in people])) == [False, False, True, True, True, True]
    books_agree()


def test_the_limit_is_changed_with_the_password_and_told(staff: User) -> None:
    client = browser_of(staff)
    address = "/admin/wallet/walletsettings/1/change/"
    assert client.post(address, {"approve_adjustments_above": "9"}).status_code == 200
    assert WalletSettings.load().approve_adjustments_above == LIMIT
    staff.set_password(PASSWORD)
    staff.save()
    client.force_login(staff)
    assert client.post(address, {"approve_adjustments_above": "9", "current_password": PASSWORD}).status_code == 302
    assert WalletSettings.load().approve_adjustments_above == 9
    assert Alert.objects.filter(event="settings_changed").exists()


# --- The books -------------------------------------------------------------------------------------------------------
def test_the_audit_names_an_adjustment_nobody_asked_for_and_one_that_is_not_there(helper: User, buyer: User) -> None:
    made = ask(buyer, 10, helper)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)"
            " VALUES (%s, 'adjust', 5, 15, 'elsewhere', 'psql', '')",
            [made.wallet_id],
        )
    Wallet.objects.update(balance=15)
    Adjustment.objects.filter(pk=made.pk).update(amount=11)
    found = "\n".join(audit.run(full=True).findings)
    assert "moved 5, nobody asked for it" in found
    assert "asked for 11 (done), moved 10" in found
    Adjustment.objects.filter(pk=made.pk).update(amount=10, state="withdrawn")
    assert "asked for 10 (withdrawn), moved 10" in "\n".join(audit.run(full=True).findings)


@pytest.mark.parametrize("changes", [{"reason": ""}, {"amount": 0}, {"needs_approval": True}, {"number": 1}])
def test_the_database_refuses_an_adjustment_that_nobody_could_have_made(
    helper: User, buyer: User, changes: dict[str, Any]
) -> None:
    ask(buyer, 10, helper)
    second = ask(buyer, 20, helper)
    with pytest.raises(IntegrityError), transaction.atomic():
        Adjustment.objects.filter(pk=second.pk).update(**changes)
