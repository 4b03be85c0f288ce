"""Group commit: what a batch answers and writes is what plain arithmetic says; and many processes at once."""

import asyncio
import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import full
from tests.faults.proxy import Proxy, database_behind
from tests.processes import database_address
from voicehelper.accounts.models import User
from voicehelper.wallet import audit, services
from voicehelper.wallet.batch import Ledger
from voicehelper.wallet.models import Entry, Hold, Wallet
from voicehelper.wallet.services import InsufficientQuota, Settled

pytestmark = pytest.mark.django_db(transaction=True)

LIFE = timedelta(minutes=15)


def with_ledgers(count: int, scenario: Callable[..., Any]) -> Any:
    """Run a scenario with ledgers that have nothing in common but the database, as those of several processes."""

    async def main() -> Any:
        ledgers = [Ledger(LIFE) for _ in range(count)]
        try:
            return await scenario(*ledgers)
        finally:
            for ledger in ledgers:
                await ledger.close()

    return asyncio.run(main())


def people(count: int, balance: int) -> list[User]:
    users = [User.objects.create(username=f"user-{n}") for n in range(count)]
    for user in users:
        services.credit(user, balance, kind=Entry.Kind.GIFT, ref=f"welcome-{user.pk}", actor="test")
    return users


def books() -> list[str]:
    found: list[str] = audit.run(full=True).findings
    return found


# One step: which of two users, hold or settle, how much, and for a settlement which of the open holds. Many settlements
# are larger than a whole wallet: about shortages a batch could be wrong.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["hold", "settle", "release"]), st.integers(1, 150), st.integers(0, 5)
    ),
    max_size=25,
)
LARGEST_HOLD = 60


@settings(max_examples=full(300, 10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_batches_follow_the_rules(steps: list[Any], pair: list[User]) -> None:
    agree(steps, pair)


@pytest.fixture
def pair() -> list[User]:
    return people(2, 100)


def agree(steps: list[Any], users: list[User]) -> None:
    """Answers, balances, holds and statements are those of plain arithmetic."""
    mark = secrets.token_hex(6)
    for user in users:
        wallet = services.wallet_of(user)
        services.credit(user, max(1, 100 - wallet.balance), kind=Entry.Kind.GIFT, ref=f"{mark}-{user.pk}", actor="test")
    before = [services.wallet_of(user) for user in users]
    told, wallets = reckoned(steps, [wallet.balance for wallet in before])
    assert with_ledgers(1, lambda ledger: batched(ledger, steps, users, f"{mark}-b")) == told
    for user, was, wallet in zip(users, before, wallets, strict=True):
        holds = [tuple(hold) for hold in wallet.holds.values()]
        assert state(user, f"{mark}-b") == (wallet.balance, wallet.held, was.used + wallet.used, wallet.lines, holds)
    assert books() == []
    for hold in Hold.objects.filter(state="open"):
        services.release(hold.ref)


class Arithmetic:
    """A wallet's rules in plain numbers: what can be held, what is charged, what is left."""

    def __init__(self, balance: int) -> None:
        self.balance, self.held, self.used = balance, 0, 0
        self.open: dict[str, int] = {}
        self.charged: dict[str, int] = {}
        self.lines: list[tuple[int, int, str]] = []
        self.holds: dict[str, list[Any]] = {}

    def hold(self, ref: str, amount: int) -> bool:
        if amount > self.balance - self.held:
            return False
        self.held += amount
        self.open[ref] = amount
        self.holds[ref] = [amount, "open"]
        return True

    def settle(self, ref: str, amount: int) -> Settled:
        if ref not in self.open:
            before = self.charged.get(ref, 0)
            return Settled(before, amount - before, fresh=False)
        self.held -= self.open.pop(ref)
        charge = min(amount, self.balance - self.held)
        self.balance, self.used, self.charged[ref] = self.balance - charge, self.used + charge, charge
        self.holds[ref][1] = "captured" if amount else "released"
        if charge:
            self.lines.append((-charge, self.balance, ref))
        return Settled(charge, amount - charge, fresh=True)


def reckoned(steps: list[Any], balances: list[int]) -> tuple[list[Any], list[Arithmetic]]:
    """What each step says, and how the wallets end."""
    wallets = [Arithmetic(balance) for balance in balances]
    told: list[Any] = []
    holds: list[tuple[str, int]] = []
    for number, (who, verb, amount, which) in enumerate(steps):
        if verb == "hold":
            admitted = wallets[who].hold(str(number), min(amount, LARGEST_HOLD))
            holds += [(str(number), who)] if admitted else []
            told.append("held" if admitted else "refused")
        elif holds:
            ref, owner = holds[which % len(holds)]
            told.append(wallets[owner].settle(ref, amount if verb == "settle" else 0))
    return told, wallets


async def batched(ledger: Ledger, steps: list[Any], users: list[User], mark: str) -> list[Any]:
    """Neighbouring steps of one kind go in one batch; a settlement of the same hold twice, too."""
    told: list[Any] = []
    holds: list[str] = []
    groups: list[tuple[bool, list[Any]]] = []
    for number, step in enumerate(steps):
        holding = step[1] == "hold"
        # A refused hold must not let a later one of the batch through that came before it singly: so one wallet each.
        if groups and groups[-1][0] == holding and not (holding and any(s[1][0] == step[0] for s in groups[-1][1])):
            groups[-1][1].append((number, step))
        else:
            groups.append((holding, [(number, step)]))
    for holding, members in groups:
        if holding:
            asks = [
                ledger.hold(users[who].pk, min(amount, LARGEST_HOLD), ref=f"{mark}-{n}")
                for n, (who, _, amount, _) in members
            ]
            results = await asyncio.gather(*asks, return_exceptions=True)
            told += ["held" if result is None else "refused" for result in results]
            holds += [f"{mark}-{n}" for (n, _), result in zip(members, results, strict=True) if result is None]
        elif holds:
            seen: dict[str, list[Any]] = {}
            for _, (_, verb, amount, which) in members:
                seen.setdefault(holds[which % len(holds)], []).append(amount if verb == "settle" else 0)
            order = [
                (holds[which % len(holds)], amount if verb == "settle" else 0)
                for _, (_, verb, amount, which) in members
            ]
            if all(len(amounts) == 1 for amounts in seen.values()):
                told += await asyncio.gather(*(ledger.settle(ref, amount, actor="test") for ref, amount in order))
            else:
                told += [await ledger.settle(ref, amount, actor="test") for ref, amount in order]
    return told


def state(user: User, mark: str) -> Any:
    wallet = services.wallet_of(user)
    entries = Entry.objects.filter(wallet=wallet, ref__startswith=mark).order_by("id")
    holds = Hold.objects.filter(wallet=wallet, ref__startswith=mark).order_by("id")
    lines = [(entry.amount, entry.balance_after, entry.ref.rpartition("-")[2]) for entry in entries]
    return wallet.balance, wallet.held, wallet.used, lines, [(h.amount, h.state) for h in holds]


def test_a_large_ask_does_not_shut_out_a_small_one() -> None:
    (user,) = people(1, 100)

    async def scenario(ledger: Ledger) -> list[Any]:
        asks = [ledger.hold(user.pk, amount, ref=f"ask-{amount}") for amount in (90, 50, 6, 5, 4)]
        return await asyncio.gather(*asks, return_exceptions=True)

    results = with_ledgers(1, scenario)
    assert [result is None for result in results] == [True, False, True, False, True]
    assert services.wallet_of(user).held == 100
    assert books() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("others", [[(10, 10), (20, 15)], [(60, 60), (40, 35)]], ids=["much left", "little left"])
def test_one_users_shortage_is_not_anothers(order: tuple[int, int, int], others: list[tuple[int, int]]) -> None:
    """All in one batch: each is charged as if the others were not there, and each statement adds up to its balance.

    Both, because a wrong sum that breaks a rule of the table is mended by settling one after the other.
    """
    users = people(2, 100)
    asks = [(users[0], "p", 90, 150), *((users[1], ref, *call) for ref, call in zip("rs", others, strict=True))]

    async def scenario(ledger: Ledger) -> dict[str, Settled]:
        await asyncio.gather(*(ledger.hold(user.pk, held, ref=ref) for user, ref, held, _ in asks))
        refs, used = [asks[n][1] for n in order], [asks[n][3] for n in order]
        settled = await asyncio.gather(
            *(ledger.settle(ref, amount, actor="t") for ref, amount in zip(refs, used, strict=True))
        )
        return dict(zip(refs, settled, strict=True))

    told = with_ledgers(1, scenario)
    r, s = (used for _held, used in others)
    assert told == {"p": Settled(100, 50, True), "r": Settled(r, 0, True), "s": Settled(s, 0, True)}
    wallets = [services.wallet_of(user) for user in users]
    assert [(wallet.balance, wallet.held, wallet.used) for wallet in wallets] == [(0, 0, 100), (100 - r - s, 0, r + s)]
    assert books() == []


# Who, how much is held, how much was used: for two wallets of a hundred, which the holds never exceed.
CALLS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 16), st.integers(0, 120)), min_size=2, max_size=6)


@pytest.mark.rare
@settings(max_examples=full(300, 40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_a_batch_of_settlements_charges_as_one_after_the_other(
    calls: list[tuple[int, int, int]], pair: list[User]
) -> None:
    """Shortages of either, in any place of the batch, and each line of both statements."""
    holds = [(who, "hold", held, 0) for who, held, _used in calls]
    settlements = [(who, "settle", used, number) for number, (who, _held, used) in enumerate(calls)]
    agree([*holds, *settlements], pair)


def test_one_users_holds_do_not_shut_out_another() -> None:
    """In one batch, each up to the whole of his own wallet."""
    users = people(3, 100)

    async def scenario(ledger: Ledger) -> list[Any]:
        asks = [ledger.hold(user.pk, amount, ref=f"{user.pk}-{amount}") for amount in (60, 40, 1) for user in users]
        return await asyncio.gather(*asks, return_exceptions=True)

    assert [result is None for result in with_ledgers(1, scenario)] == [True] * 6 + [False] * 3
    assert [services.wallet_of(user).held for user in users] == [100] * 3
    assert books() == []


def test_a_user_without_a_wallet_is_refused() -> None:
    user = User.objects.create(username="new")

    async def scenario(ledger: Ledger) -> None:
        with pytest.raises(InsufficientQuota):
            await ledger.hold(user.pk, 1, ref="a")
        with pytest.raises(InsufficientQuota):
            await ledger.hold(999_999_999, 1, ref="b")

    with_ledgers(1, scenario)


@pytest.mark.parametrize("balance", [1000])
def test_hot_wallets_under_several_ledgers_at_once(balance: int) -> None:
    """Three wallets, four ledgers, a thousand calls: locks are waited for, statements meet, and the sums are exact."""
    users = people(3, balance)
    calls = full(3000, 400)
    admitted: list[tuple[int, Settled]] = []

    async def one(ledger: Ledger, number: int) -> None:
        user, used = random.choice(users), random.randint(0, 14)
        ref = f"call-{number}"
        try:
            await ledger.hold(user.pk, 10, ref=ref)
        except InsufficientQuota:
            return
        await asyncio.sleep(random.random() * 0.01)
        admitted.append((user.pk, await ledger.settle(ref, used, actor="test")))

    async def scenario(*ledgers: Ledger) -> None:
        await asyncio.gather(*(one(random.choice(ledgers), number) for number in range(calls)))

    with_ledgers(4, scenario)
    for user in users:
        charged = sum(settled.charged for owner, settled in admitted if owner == user.pk)
        wallet = services.wallet_of(user)
        assert (wallet.balance, wallet.held, wallet.used) == (balance - charged, 0, charged)
    assert books() == []


def test_single_calls_and_batches_meet_on_one_wallet() -> None:
    """The synchronous path beside the batched one: no deadlock that lasts, nothing lost."""
    (user,) = people(1, 500)

    def credit(number: int) -> None:
        services.credit(user, 1, kind=Entry.Kind.GIFT, ref=f"more-{number}", actor="test")
        services.hold(user, 1, ref=f"sync-{number}", life=LIFE)
        services.capture(f"sync-{number}", 1, kind=Entry.Kind.SPEND, actor="test")
        connection.close()

    async def scenario(ledger: Ledger) -> None:
        async def call(number: int) -> None:
            await ledger.hold(user.pk, 2, ref=f"call-{number}")
            await ledger.settle(f"call-{number}", 2, actor="test")

        threads = [asyncio.to_thread(credit, number) for number in range(20)]
        await asyncio.gather(*threads, *(call(number) for number in range(100)))

    with_ledgers(1, scenario)
    wallet = services.wallet_of(user)
    assert (wallet.balance, wallet.held, wallet.used) == (300, 0, 220)
    assert books() == []


def test_E2_a_lost_session_charges_nobody_twice() -> None:
    """The session is cut again and again in the middle of everything; each hold and settlement happened once."""
    (user,) = people(1, 10_000)
    count = full(400, 60)

    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%%json_to_recordset%%'"
            )
        connection.close()

    async def scenario(ledger: Ledger) -> int:
        async def call(number: int) -> int:
            await ledger.hold(user.pk, 10, ref=f"call-{number}")
            return (await ledger.settle(f"call-{number}", 7, actor="test")).charged

        async def saboteur() -> None:
            while True:
                await asyncio.sleep(0.1)
                await asyncio.to_thread(cut)

        task = asyncio.create_task(saboteur())
        charged = 0
        for start in range(0, count, 10):
            charged += sum(await asyncio.gather(*(call(number) for number in range(start, start + 10))))
        task.cancel()
        await asyncio.wait([task])
        return charged

    assert with_ledgers(1, scenario) == 7 * count
    assert services.wallet_of(user).balance == 10_000 - 7 * count
    assert Entry.objects.filter(kind="spend").count() == count
    assert books() == []


def test_E1_settlements_wait_for_the_database_to_come_back() -> None:
    (user,) = people(1, 1000)
    with Proxy(database_address()) as proxy, database_behind(proxy):

        async def scenario(ledger: Ledger) -> Settled:
            await ledger.hold(user.pk, 10, ref="call")
            proxy.mode = "down"
            settling = asyncio.create_task(ledger.settle("call", 7, actor="test"))
            await asyncio.sleep(0.5)
            assert not settling.done()
            proxy.heal()
            async with asyncio.timeout(15):
                return await settling

        assert with_ledgers(1, scenario) == Settled(7, 0, True)
    assert Wallet.objects.get(user=user).balance == 993
    assert books() == []


def test_what_cannot_be_written_spoils_nobody_elses_settlement() -> None:
    users = people(3, 100)

    async def scenario(ledger: Ledger) -> list[Any]:
        for user in users:
            await ledger.hold(user.pk, 30, ref=f"call-{user.pk}")
        notes: list[Any] = [None, 2**70, "\ud800"]
        asks = [
            ledger.settle(f"call-{user.pk}", 20, actor="t", note=note) for user, note in zip(users, notes, strict=True)
        ]
        return await asyncio.gather(*asks, return_exceptions=True)

    good, *bad = with_ledgers(1, scenario)
    assert good == Settled(20, 0, True)
    assert all(isinstance(error, TypeError) for error in bad)
    assert books() == []
