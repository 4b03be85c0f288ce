"""A user's statement: every change of the balance with its reason, adding up to the ledger whatever happened."""

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from tests.conftest import full
from tests.ledger import dated
from tests.merchants import WECHAT, WeChatMerchant
from tests.operators import browser_of
from tests.orders import pending_order
from topup import services as topup
from topup.gateways.orders import Receipt
from topup.models import CodeBatch, Order
from topup.services.refund_mirroring import take_back
from topup.services.settling import settle_order
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet import adjusting, day_sums
from voicehelper.wallet.account_statement import (
    LineKind,
    StatementLine,
    StatementPeriod,
    by_period,
    every_line,
    statement_of,
)
from voicehelper.wallet.models import DaySum, Entry
from voicehelper.wallet.services import InsufficientQuota, capture, credit, hold, release, wallet_of

pytestmark = pytest.mark.django_db

LIFE = timedelta(minutes=15)
TODAY = date(2026, 11, 30)
_numbers = itertools.count()


def last_entry() -> int:
    newest = Entry.objects.order_by("-pk").first()
    return newest.pk if newest else 0


def recharge(user: User, amount: int = 10) -> Order:
    order = pending_order(user, WECHAT, amount)
    facts = ("CNY", WECHAT.app_id, WECHAT.mch_id)
    settle_order(
        Receipt("wechat", order.order_no, order.order_no, order.amount_fen, *facts, live=False), source="notice"
    )
    order.refresh_from_db()
    return order


def spend(user: User, amount: int, model: str = "doubao-pro", held: int = 0) -> None:
    ref = f"call-{next(_numbers)}"
    hold(user, held or amount, ref=ref, life=LIFE)
    capture(ref, amount, kind=Entry.Kind.SPEND, actor=user.username, reason=model)


class History:
    """What may happen to a user's balance, each by the service that does it in the product."""

    def __init__(self, number: int) -> None:
        self.user = User.objects.create_user(f"historic-{number}")
        self.boss = User.objects.create_superuser(f"boss-{number}")
        self.orders: list[Order] = []
        wallet_of(self.user)

    def do(self, what: str, amount: int) -> None:
        getattr(self, what)(amount)

    def recharge(self, amount: int) -> None:
        self.orders.append(recharge(self.user, amount % 50 + 1))

    def code(self, amount: int) -> None:
        batch = topup.make_codes(CodeBatch(name="B", quota=amount, count=1), by="boss")
        ((text, _code),) = topup.texts_of(batch)
        topup.redeem(self.user, text)

    def gift(self, amount: int) -> None:
        credit(self.user, amount, kind=Entry.Kind.GIFT, ref=f"gift-{next(_numbers)}", actor="boss")

    def spend(self, amount: int) -> None:
        spend(self.user, amount, ("doubao-pro", "doubao-lite", "=gpt")[amount % 3], held=amount * 2)

    def free_call(self, amount: int) -> None:
        ref = f"call-{next(_numbers)}"
        hold(self.user, amount, ref=ref, life=LIFE)
        release(ref)

    def refund(self, amount: int) -> None:
        order = self.orders[amount % len(self.orders)]
        take_back(order, (), min(order.amount_fen, amount))

    def adjust(self, amount: int) -> None:
        wallet = wallet_of(self.user)
        number = adjusting.next_number(wallet)
        sign = 1 if amount % 2 else -1
        adjusting.request_adjustment(wallet, sign * amount, number=number, actor=self.boss, reason="because")

    def add_up(self, _amount: int) -> None:
        day_sums.add_up()


STEP = st.tuples(
    st.sampled_from(["recharge", "code", "gift", "spend", "spend", "spend", "free_call", "refund", "adjust", "add_up"]),
    st.integers(1, 3_000_000),
    # Midnights are passed now and then.
    st.sampled_from([0, 0, 1, 60, 3600, 40_000, 86_400, 700_000]),
)


@settings(max_examples=full(200, 8), database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=5, max_size=30))
def test_whatever_happens_the_lines_add_up_to_the_ledger(
    steps: list[tuple[str, int, int]], wechat: WeChatMerchant
) -> None:
    with transaction.atomic():
        history, moment = History(next(_numbers)), clock.midnight(TODAY) + timedelta(hours=20)
        for what, amount, later in steps:
            moment += timedelta(seconds=later)
            before = last_entry()
            try:
                with transaction.atomic():
                    history.do(what, amount)
            except (InsufficientQuota, adjusting.AdjustmentRefused, ZeroDivisionError):
                continue
            dated(before, moment)
        adds_up(history.user, moment.astimezone(clock.BEIJING).date())
        day_sums.add_up()
        adds_up(history.user, moment.astimezone(clock.BEIJING).date())
        transaction.set_rollback(True)


def adds_up(user: User, last: date) -> None:
    """Lines, pages, periods and kinds, against the entries themselves."""
    wallet = wallet_of(user)
    entries = list(wallet.entries.order_by("pk"))
    lines = list(every_line(wallet, StatementPeriod()))
    assert sum(line.amount for line in lines) == wallet.balance == sum(entry.amount for entry in entries)
    assert [line.balance for line in lines[:1]] == [wallet.balance][: len(lines)]
    for newer, older in itertools.pairwise(lines):
        assert newer.balance - newer.amount == older.balance >= 0
        assert newer.day >= older.day
    others = [entry for entry in entries if entry.kind != "spend"]
    assert [(line.ref, line.amount, line.at) for line in reversed(lines) if line.kind != LineKind.SPEND] == [
        (entry.ref, entry.amount, entry.created) for entry in others
    ]
    spent: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        if entry.kind == "spend":
            cell = spent[entry.created.astimezone(clock.BEIJING).date(), entry.reason]
            cell[0] += 1
            cell[1] += entry.amount
    shown = {(line.day, line.model): [line.calls, line.amount] for line in lines if line.kind == LineKind.SPEND}
    assert shown == spent
    pages_are_the_lines(user, lines)
    for first in {line.day for line in lines}:
        period_adds_up(user, StatementPeriod(first, min(last, first + timedelta(days=2))), entries)


def pages_are_the_lines(user: User, lines: list[StatementLine]) -> None:
    wallet = wallet_of(user)
    for kinds in ([], [LineKind.SPEND], [LineKind.CODE, LineKind.ADJUST]):
        wanted = [line for line in lines if not kinds or line.kind in kinds]
        read = [
            line
            for skip in range(0, len(wanted) + 3, 3)
            for line in statement_of(wallet, kinds=kinds, skip=skip, limit=3).lines
        ]
        assert read == wanted
        assert statement_of(wallet, kinds=kinds).total == len(wanted)


def period_adds_up(user: User, period: StatementPeriod, entries: list[Entry]) -> None:
    assert period.since
    assert period.until
    wallet = wallet_of(user)
    begin, end = clock.midnight(period.since), clock.midnight(period.until + timedelta(days=1))
    found = statement_of(wallet, period)
    assert found.opening == sum(entry.amount for entry in entries if entry.created < begin)
    assert found.closing == found.opening + sum(found.changes.values())
    assert found.closing == sum(entry.amount for entry in entries if entry.created < end)
    for by in ("day", "week", "month"):
        sums = by_period(wallet, period, by)
        assert (sums[-1].opening, sums[0].closing) == (found.opening, found.closing)
        for newer, older in itertools.pairwise(sums):
            assert newer.opening == older.closing
            assert older.last < newer.first


def test_sums_are_those_of_the_entries_and_the_audit_says_when_they_are_not(
    buyer: User, books_agree: Callable[[], None]
) -> None:
    credit(buyer, 1000, kind=Entry.Kind.GIFT, ref="g", actor="x")
    spend(buyer, 300)
    assert day_sums.add_up() == 1
    assert day_sums.add_up() == 0
    spend(buyer, 200)
    assert day_sums.add_up() == 1
    assert list(DaySum.objects.order_by("kind").values_list("kind", "model", "entries", "amount")) == [
        ("gift", "", 1, 1000),
        ("spend", "doubao-pro", 2, -500),
    ]
    books_agree()
    DaySum.objects.filter(kind="gift").update(amount=999)
    with pytest.raises(AssertionError, match="day sums = entries"):
        books_agree()


# --- The page, the file, the route ------------------------------------------------------------------------------------
@pytest.fixture
def lived(buyer: User, wechat: WeChatMerchant) -> Order:
    """A buyer who recharged, redeemed, spent, was refunded and has something held."""
    order = recharge(buyer)
    history = History(0)
    history.user = buyer
    history.code(1000)
    for amount, model in ((2000, "doubao-pro"), (500, "doubao-pro"), (70, "=cmd")):
        spend(buyer, amount, model)
    take_back(order, (), 100)
    history.adjust(11)
    hold(buyer, 4000, ref="req_running", life=LIFE)
    return order


def test_the_page_says_what_each_change_was_and_leads_to_it(lived: Order, buyer: User) -> None:
    page = browser_of(buyer).get("/statement").text
    for said in (
        f"Order {lived.order_no}",
        f"/recharge/orders/{lived.order_no}/receipt",
        f"Refund of order {lived.order_no}",
        "Redemption code",
        "Adjustment",
        "2 calls",
        f"/usage?day={clock.today()}&amp;model=doubao-pro",
        "A call that is running",
        "+¥73.00",
        "Beijing time (UTC+8)",
    ):
        assert said in page, said
    # Why an operator adjusted is between operators.
    assert "because" not in page
    assert "+¥73.00" not in browser_of(buyer).get("/statement?kind=spend").text.split("Changes</h2>")[1]
    assert "+¥73.00" not in browser_of(buyer).get("/statement?to=2026-01-01&from=2025-01-01").text
    chinese = browser_of(buyer, "zh-hans").get("/statement?by=month").text
    assert f"{clock.today():%Y-%m}" in chinese
    assert "期初余额" in chinese


def test_the_calls_behind_a_day_are_one_click_away(lived: Order, buyer: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO llm_usage (request_id, user_id, model_name, asked_model, provider, operation, input_tokens,"
            " output_tokens, quota, uncollected, usage_source, outcome, latency_ms, tries, streamed, error, created)"
            " SELECT 'req_' || n, %s, 'doubao-pro', '', 'ark', 'chat', 1, 1, 5, 0, 'provider', 'ok', 1, 1, false, '',"
            " now() - n * interval '1 day' FROM generate_series(0, 2) n",
            [buyer.pk],
        )
    browser = browser_of(buyer)
    page = browser.get(f"/usage?day={clock.today() - timedelta(days=1)}&model=doubao-pro")
    assert [call.row.request_id for call in page.context["rows"]] == ["req_1"]
    assert page.context["calls"] == "1"
    assert browser.get("/usage?day=9999-12-31").context["day"] is None


def test_the_file_has_every_line_and_no_formula(lived: Order, buyer: User) -> None:
    text = browser_of(buyer).get("/statement.csv").getvalue().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 6
    assert sum(int(row["change_quota"]) for row in rows) == wallet_of(buyer).balance == int(rows[0]["balance_quota"])
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["topup"]["change_yuan"] == "73.00"
    assert by_kind["refund"]["order_id"] == lived.order_no
    assert {row["model"] for row in rows if row["kind"] == "spend"} == {"doubao-pro", "'=cmd"}


def test_programs_read_it_page_by_page(lived: Order, buyer: User, other_user: User) -> None:
    client = APIClient()
    assert client.get("/api/user/statement").status_code == 401
    client.force_authenticate(buyer)
    data = client.get("/api/user/statement?page=2&page_size=4").json()["data"]
    assert (data["page"], data["page_size"], data["total"], len(data["items"])) == (2, 4, 6, 2)
    assert data["opening"] + sum(data["changes"].values()) == data["closing"] == wallet_of(buyer).balance
    assert data["held"] == 4000
    first = data["items"][-1]
    assert (first["kind"], first["order_id"], first["yuan"]) == ("topup", lived.order_no, "+¥73.00")
    assert first["time"].endswith("+08:00")
    (month,) = client.get("/api/user/statement/periods?by=month").json()["data"]
    assert (month["opening"], month["closing"]) == (0, wallet_of(buyer).balance)
    client.force_authenticate(other_user)
    assert client.get("/api/user/statement").json()["data"]["items"] == []


@pytest.mark.parametrize(
    "asked", ["from=tomorrow", "kind=all", "from=2026-11-02&to=2026-11-01", "to=9999-12-31", "page=0", "page_size=101"]
)
def test_what_is_asked_for_wrongly_is_said(asked: str, buyer: User) -> None:
    client = APIClient()
    client.force_authenticate(buyer)
    answer = client.get(f"/api/user/statement?{asked}")
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    page: Client = browser_of(buyer)
    assert page.get(f"/statement?{asked}").status_code == (200 if asked.startswith("page") else 400)


@pytest.mark.rare
@pytest.mark.timeout(600)
def test_a_page_costs_the_same_at_a_million_entries(buyer: User) -> None:
    wallet = wallet_of(buyer)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason, created)"
            " SELECT %s, CASE WHEN n %% 10000 = 0 THEN 'topup' ELSE 'spend' END,"
            " CASE WHEN n %% 10000 = 0 THEN 20000 ELSE -1 END, 1, 'r' || n, 'x', 'm' || n %% 3,"
            " now() - (1000000 - n) * interval '1 minute' FROM generate_series(0, 999999) n",
            [wallet.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        while day_sums.add_up():
            pass
        cursor.execute("ANALYZE")
    took = []
    for skip in (0, 1000, 2000):
        begun = datetime.now(tz=clock.BEIJING)
        found = statement_of(wallet, skip=skip, limit=25)
        took.append((datetime.now(tz=clock.BEIJING) - begun).total_seconds())
        assert len(found.lines) == 25
    assert found.closing == 100 * 20000 - 999900
    assert max(took) < 0.1, took
