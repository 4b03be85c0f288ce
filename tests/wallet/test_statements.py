"""The ledger's statements, case by case: what is asked, what is answered, what is in the wallet then.

Each case is asked in one statement, as the relay asks for many, and one by one, as everybody else does. What groups of
any size do, against plain arithmetic, and what several processes do at once: tests/llm/test_batch.py.
"""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from voicehelper.accounts.models import User
from voicehelper.postgres import _address
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry, Hold, Wallet
from voicehelper.wallet.statements import HOLD, POST, REAP, SETTLE, run

pytestmark = pytest.mark.django_db
Books = Callable[[], None]
LIFE = timedelta(minutes=5)


def gift(user: User, amount: int) -> None:
    services.credit(user, amount, kind=Entry.Kind.GIFT, ref=f"gift-{user.pk}-{amount}", actor="test")


def state(user: User) -> tuple[int, int, int]:
    wallet = services.wallet_of(user)
    return wallet.balance, wallet.held, wallet.used


def lines(user: User) -> list[tuple[str, int, int]]:
    """Below the gift."""
    entries = Entry.objects.filter(wallet__user=user).exclude(ref__startswith="gift").order_by("id")
    return [(entry.kind, entry.amount, entry.balance_after) for entry in entries]


def ask(statement: Any, rows: Sequence[dict[str, Any]], *, together: bool) -> list[list[Any]]:
    numbered = [{"n": n, **row} for n, row in enumerate(rows)]
    groups = [numbered] if together else [[row] for row in numbered]
    return [answer for group in groups for answer in sorted(run(statement, group))]


WAYS = pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])

# --- Hold: of a wallet of 100 ----------------------------------------------------------------------------------------
# (reference, amount, up to) → (amount set aside, available afterwards, fresh) when asked one by one; and what is held.
HOLDS: dict[str, tuple[list[tuple[str, int, bool]], list[tuple[int, int, bool]], int]] = {
    "all there is": ([("a", 100, False)], [(100, 0, True)], 100),
    "one more than there is": ([("a", 101, False)], [(0, 100, True)], 0),
    "what is held is not available": ([("a", 60, False), ("b", 41, False)], [(60, 40, True), (0, 40, True)], 60),
    "to the last": ([("a", 60, False), ("b", 40, False)], [(60, 40, True), (40, 0, True)], 100),
    "up to more than there is": ([("a", 150, True)], [(100, 0, True)], 100),
    "up to less than there is": ([("a", 30, True)], [(30, 70, True)], 30),
    "up to nothing": ([("a", 0, True)], [(0, 100, True)], 0),
    "up to less than nothing": ([("a", -1, True)], [(0, 100, True)], 0),
    "the largest number": ([("a", 2**62, False)], [(0, 100, True)], 0),
}


@WAYS
@pytest.mark.parametrize("case", HOLDS)
def test_a_hold_takes_what_is_available_and_nothing_else(
    buyer: User, case: str, together: bool, books_agree: Books
) -> None:
    asks, expected, held = HOLDS[case]
    gift(buyer, 100)
    rows = [
        {"user_id": buyer.pk, "ref": ref, "amount": amount, "up_to": up_to, "life_s": 300}
        for ref, amount, up_to in asks
    ]
    answers = ask(HOLD, rows, together=together)
    assert [(amount, fresh) for _n, amount, _left, fresh in answers] == [
        (amount, new) for amount, _left, new in expected
    ]
    assert answers[-1][2] == expected[-1][1]
    assert state(buyer) == (100, held, 0)
    assert sorted(Hold.objects.values_list("amount", flat=True)) == sorted(row[0] for row in expected if row[0])
    books_agree()


def test_a_hold_made_before_is_told_and_not_made_again(buyer: User, books_agree: Books) -> None:
    gift(buyer, 100)
    rows = [{"user_id": buyer.pk, "ref": "a", "amount": 60, "life_s": 300}]
    assert ask(HOLD, rows, together=True) == [[0, 60, 40, True]]
    assert ask(HOLD, rows, together=True) == [[0, 60, 0, False]]
    assert state(buyer) == (100, 60, 0)
    with pytest.raises(services.AlreadyWritten):
        services.hold(buyer, 5, ref="a", life=LIFE)
    with pytest.raises(services.AlreadyWritten):
        services.hold_up_to(buyer, 5, ref="a", life=LIFE)
    books_agree()


def test_up_to_nothing_makes_no_hold(buyer: User, books_agree: Books) -> None:
    assert services.hold_up_to(buyer, 5, ref="a", life=LIFE) == 0
    gift(buyer, 3)
    assert services.hold_up_to(buyer, 5, ref="a", life=LIFE) == 3
    assert services.hold_up_to(buyer, 5, ref="b", life=LIFE) == 0
    assert list(Hold.objects.values_list("ref", "amount")) == [("a", 3)]
    books_agree()


# --- Settle: of a wallet of 100 --------------------------------------------------------------------------------------
# What is held, and (which hold, amount, kind, within) → (charged, uncollected, fresh); then balance, held, used.
Case = tuple[
    dict[str, int], list[tuple[str, int, str, bool]], list[tuple[int, int, bool]], tuple[int, int, int], list[int]
]
SETTLEMENTS: dict[str, Case] = {
    "less than held": ({"a": 30}, [("a", 20, "spend", False)], [(20, 0, True)], (80, 0, 20), [-20]),
    "nothing": ({"a": 30}, [("a", 0, "spend", False)], [(0, 0, True)], (100, 0, 0), []),
    "more than held": ({"a": 30}, [("a", 45, "spend", False)], [(45, 0, True)], (55, 0, 45), [-45]),
    "more than there is": ({"a": 30}, [("a", 150, "spend", False)], [(100, 50, True)], (0, 0, 100), [-100]),
    "not what others hold": (
        {"a": 30, "b": 60}, [("a", 50, "spend", False)], [(40, 10, True)], (60, 60, 40), [-40],
    ),
    "what is no spending is no use": ({"a": 30}, [("a", 30, "gift", True)], [(30, 0, True)], (70, 0, 0), [-30]),
    "within what is held": ({"a": 30}, [("a", 30, "spend", True)], [(30, 0, True)], (70, 0, 30), [-30]),
    "not within what is held": ({"a": 30}, [("a", 31, "spend", True)], [(0, 31, False)], (100, 30, 0), []),
    "of nobody": ({}, [("a", 10, "spend", False)], [(0, 10, False)], (100, 0, 0), []),
    "two of one wallet": (
        {"a": 60, "b": 40}, [("a", 110, "spend", False), ("b", 40, "spend", False)],
        [(60, 50, True), (40, 0, True)], (0, 0, 100), [-60, -40],
    ),
    "what one leaves the next may take": (
        {"a": 60, "b": 40}, [("a", 10, "spend", False), ("b", 70, "spend", False)],
        [(10, 0, True), (70, 0, True)], (20, 0, 80), [-10, -70],
    ),
    "a call and something else": (
        {"a": 60, "b": 40}, [("a", 60, "spend", False), ("b", 40, "gift", True)],
        [(60, 0, True), (40, 0, True)], (0, 0, 60), [-60, -40],
    ),
}  # fmt: skip


@WAYS
@pytest.mark.parametrize("case", SETTLEMENTS)
def test_a_settlement_charges_what_was_used_as_far_as_the_wallet_goes(
    buyer: User, case: str, together: bool, books_agree: Books
) -> None:
    held, asks, expected, ends, amounts = SETTLEMENTS[case]
    gift(buyer, 100)
    for ref, amount in held.items():
        services.hold(buyer, amount, ref=ref, life=LIFE)
    rows = [
        {"ref": ref, "amount": amount, "kind": kind, "within": within, "actor": "t", "reason": ""}
        for ref, amount, kind, within in asks
    ]
    answers = ask(SETTLE, rows, together=together)
    assert [tuple(answer[1:]) for answer in answers] == expected
    assert state(buyer) == ends
    assert [amount for _kind, amount, _after in lines(buyer)] == amounts
    books_agree()


@pytest.mark.parametrize("amount", [0, 20, 30])
def test_a_settlement_is_asked_twice_and_answered_twice_and_happens_once(
    buyer: User, amount: int, books_agree: Books
) -> None:
    gift(buyer, 100)
    services.hold(buyer, 30, ref="a", life=LIFE)
    rows = [{"ref": "a", "amount": amount, "kind": "spend", "actor": "t", "reason": ""}]
    assert ask(SETTLE, rows, together=True) == [[0, amount, 0, True]]
    services.hold(buyer, 40, ref="b", life=LIFE)
    assert ask(SETTLE, rows, together=True) == [[0, amount, 0, False]]
    assert state(buyer) == (100 - amount, 40, amount)
    books_agree()


def test_a_hold_is_released_once(buyer: User, books_agree: Books) -> None:
    gift(buyer, 100)
    for ref in ("a", "b"):
        services.hold(buyer, 30, ref=ref, life=LIFE)
    services.release("a")
    for end in (lambda: services.release("a"), lambda: services.capture("a", 5, kind=Entry.Kind.SPEND, actor="t")):
        with pytest.raises(services.HoldNotOpen):
            end()
    assert state(buyer) == (100, 30, 0)
    assert dict(Hold.objects.values_list("ref", "state")) == {"a": "released", "b": "open"}
    books_agree()


def test_a_capture_of_nothing_writes_nothing(buyer: User, books_agree: Books) -> None:
    gift(buyer, 100)
    services.hold(buyer, 30, ref="a", life=LIFE)
    for amount in (-1, 31):
        with pytest.raises(ValueError, match="between 0 and the 30"):
            services.capture("a", amount, kind=Entry.Kind.SPEND, actor="t")
    assert services.capture("a", 0, kind=Entry.Kind.SPEND, actor="t") is None
    assert state(buyer) == (100, 0, 0)
    assert lines(buyer) == []
    books_agree()


# --- Post and reap ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "balance"),
    [(1, 101), (10**15, 10**15 + 100), (-1, 99), (-40, 60), (-41, None), (-100, None), (-(2**62), None)],
)
def test_quota_is_given_and_what_is_available_is_taken(
    buyer: User, amount: int, balance: int | None, books_agree: Books
) -> None:
    """Of a wallet of 100 that holds 60."""
    gift(buyer, 100)
    services.hold(buyer, 60, ref="a", life=LIFE)
    row = {"user_id": buyer.pk, "amount": amount, "kind": "gift", "ref": "r", "actor": "t", "reason": "why"}
    told = run(POST, row)
    assert (told["entry"] is None, told["known"]) == (balance is None, False)
    assert lines(buyer) == ([("gift", amount, balance)] if balance else [])
    assert state(buyer) == (balance or 100, 60, 0)
    again = run(POST, row)
    assert (again["entry"] is None, again["known"]) == (True, True) if balance else (True, False)
    assert state(buyer) == (balance or 100, 60, 0)
    books_agree()


def test_the_same_reference_of_another_kind_is_another(buyer: User, books_agree: Books) -> None:
    for kind in (Entry.Kind.GIFT, Entry.Kind.TOPUP):
        services.credit(buyer, 5, kind=kind, ref="x", actor="t")
        with pytest.raises(services.AlreadyWritten):
            services.credit(buyer, 5, kind=kind, ref="x", actor="t")
    assert state(buyer) == (10, 0, 0)


def test_a_refusal_leaves_the_callers_transaction_usable(buyer: User, books_agree: Books) -> None:
    gift(buyer, 10)
    with transaction.atomic():
        with pytest.raises(services.InsufficientQuota):
            services.hold(buyer, 11, ref="a", life=LIFE)
        with pytest.raises(IntegrityError):
            services.credit(buyer, 10, kind=Entry.Kind.GIFT, ref=f"gift-{buyer.pk}-10", actor="test")
        services.hold(buyer, 10, ref="a", life=LIFE)
    assert state(buyer) == (10, 10, 0)
    books_agree()


def test_the_reaper_takes_so_many_at_a_time_of_several_wallets(
    buyer: User, other_user: User, books_agree: Books
) -> None:
    for user in (buyer, other_user):
        gift(user, 100)
        for number in range(3):
            services.hold(user, 10 + number, ref=f"{user.pk}-{number}", life=timedelta(seconds=-1))
        services.hold(user, 5, ref=f"{user.pk}-young", life=LIFE)
    assert [services.reap_holds(limit=4) for _ in range(3)] == [4, 2, 0]
    assert (state(buyer), state(other_user)) == ((100, 5, 0), (100, 5, 0))
    books_agree()


# --- Under the lock --------------------------------------------------------------------------------------------------

# What is asked while somebody else has taken 70 of the 100 and not yet committed: what comes of it, balance and held.
WAITING: dict[str, tuple[Callable[[User], Any], Any, tuple[int, int]]] = {
    "hold": (lambda user: services.hold(user, 31, ref="b", life=LIFE), services.InsufficientQuota, (30, 0)),
    "hold up to": (lambda user: services.hold_up_to(user, 90, ref="b", life=LIFE), 30, (30, 30)),
    "take": (
        lambda user: services.adjust(user, -31, ref="b", actor="t", reason="r"),
        services.InsufficientQuota,
        (30, 0),
    ),
    "give": (
        lambda user: services.credit(user, 5, kind=Entry.Kind.GIFT, ref="b", actor="t").balance_after,
        35,
        (35, 0),
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("case", WAITING)
def test_H2_a_statement_waits_for_the_wallet_and_decides_by_what_it_finds_then(
    buyer: User, case: str, books_agree: Books
) -> None:
    verb, expected, ends = WAITING[case]
    gift(buyer, 100)
    begun = threading.Event()

    def elsewhere() -> Any:
        begun.set()
        try:
            return verb(buyer)
        except services.InsufficientQuota as error:
            return type(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.hold(buyer, 70, ref="a", life=LIFE)
            services.capture("a", 70, kind=Entry.Kind.SPEND, actor="t")
            asked = pool.submit(elsewhere)
            begun.wait()
            wait_for_a_waiter()
            assert not asked.done()
        assert asked.result(10) == expected
    assert state(buyer)[:2] == ends
    books_agree()


def wait_for_a_waiter() -> None:
    """Until a session waits for a lock."""
    with psycopg.connect(**_address(), autocommit=True) as session:
        for _ in range(200):
            if session.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():
                return
            session.execute("SELECT pg_sleep(0.05)")
    raise AssertionError("nobody waits")


@pytest.mark.django_db(transaction=True)
def test_H6_a_hold_that_is_being_settled_is_not_the_reapers(buyer: User, books_agree: Books) -> None:
    gift(buyer, 100)
    services.hold(buyer, 60, ref="a", life=timedelta(seconds=-1))

    def reap() -> int:
        try:
            return services.reap_holds()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.capture("a", 25, kind=Entry.Kind.SPEND, actor="t")
            assert pool.submit(reap).result(10) == 0
        assert pool.submit(reap).result(10) == 0
    assert state(buyer) == (75, 0, 25)
    assert Hold.objects.get().state == "captured"
    books_agree()


@pytest.mark.parametrize("statement", [HOLD, SETTLE, REAP], ids=lambda statement: statement.name)
def test_C15_wallets_are_locked_in_the_order_of_their_ids_before_anything_is_decided(db: None, statement: Any) -> None:
    """As PostgreSQL was sent it."""
    lock = statement.sql.index("ORDER BY id FOR NO KEY UPDATE")
    assert statement.sql.index("UPDATE wallet_wallet") > lock
    assert statement.sql.count("FROM wallet_wallet") == 1
    assert Wallet._meta.db_table == "wallet_wallet"


def test_nothing_else_writes_the_ledger() -> None:
    """But for making a wallet, which is empty then."""
    sql = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) wallet_(wallet|entry|hold)\b")
    orm = re.compile(r"\b(Wallet|Entry|Hold)(\.objects\b.*\.(update|create|bulk_create|delete|get_or_create)\(|\()")
    packages = ("voicehelper", "topup", "llm", "notifications", "storage_backends")
    files = [path for package in packages for path in (settings.BASE_DIR / package).rglob("*.py")]
    found = [
        f"{path.stem}: {line.strip()}"
        for path in files
        if path.name != "statements.py" and "migrations" not in path.parts
        for line in path.read_text().splitlines()
        if (sql.search(line) or orm.search(line)) and not line.startswith("class ")
    ]
    assert found == [found[0]]
    assert found[0].startswith("services: Wallet.objects.bulk_create([Wallet(user_id=user.pk)]")
