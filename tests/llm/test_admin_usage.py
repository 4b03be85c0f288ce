"""The log of calls, its statistics, users' keys and conversations: found quickly, shown sparingly, never edited."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from llm.admin import statistics
from llm.models import ChatMessage, ChatSession, Usage
from tests.ledger import dated, spend
from tests.operators import browser_of, clerk
from voicehelper import clock
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import create_api_key
from voicehelper.admin.base import change_url
from voicehelper.wallet import day_sums
from voicehelper.wallet.margins import margin_of
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db

LOG = "/admin/llm/usage/"


def calls(user: User, many: int, **more: Any) -> list[Usage]:
    """Calls a minute apart, the newest first."""
    now = clock.now()
    start = Usage.objects.count()
    rows = [
        Usage(
            request_id=f"req_{start + number:08d}",
            user=user,
            **{"model_name": "doubao-pro", "provider": "ark", "operation": "chat", "outcome": "ok"}
            | {"usage_source": "provider", "input_tokens": 10, "output_tokens": 20, "quota": 1500, "latency_ms": 400}
            | {"created": now - timedelta(minutes=number)}
            | more,
        )
        for number in range(many)
    ]
    return Usage.objects.bulk_create(rows)


def listed(response: Any) -> list[str]:
    return [row.request_id for row in response.context["cl"].result_list]


def numbers(first: int, last: int) -> list[str]:
    return [f"req_{number:08d}" for number in range(first, last)]


# --- Pages by position -----------------------------------------------------------------------------------------------
def test_pages_lead_to_each_other_and_lose_no_row(browser: Client, buyer: User) -> None:
    calls(buyer, 120)
    page, seen = browser.get(LOG), []
    while True:
        seen += listed(page)
        older = page.context["cl"].paginator.older
        if not older:
            break
        page = browser.get(LOG + older)
    assert seen == numbers(0, 120)
    assert listed(browser.get(LOG + browser.get(LOG).context["cl"].paginator.oldest)) == numbers(70, 120)
    back = browser.get(LOG + page.context["cl"].paginator.newer)
    assert listed(back) == numbers(50, 100)
    assert listed(browser.get(LOG + back.context["cl"].paginator.newer)) == numbers(0, 50)
    assert listed(browser.get(LOG + back.context["cl"].paginator.newest)) == numbers(0, 50)


@pytest.mark.rare
def test_rows_of_the_same_moment_are_not_lost(browser: Client, buyer: User) -> None:
    calls(buyer, 120, created=clock.now())
    page = browser.get(LOG)
    second = browser.get(LOG + page.context["cl"].paginator.older)
    third = browser.get(LOG + second.context["cl"].paginator.older)
    assert len({*listed(page), *listed(second), *listed(third)}) == 120


@pytest.mark.rare
def test_filters_stay_while_paging(browser: Client, buyer: User, other_user: User) -> None:
    calls(buyer, 60)
    calls(other_user, 60, outcome="failed", error="all tries failed")
    page = browser.get(LOG, {"outcome": "failed"})
    assert listed(page) == numbers(60, 110)
    assert listed(browser.get(LOG + page.context["cl"].paginator.older)) == numbers(110, 120)
    assert listed(browser.get(LOG, {"username": "buyer"})) == numbers(0, 50)
    assert listed(browser.get(LOG, {"username": "nobody"})) == []
    assert browser.get(LOG, {"before": "x", "after": "y"}).status_code == 200


def test_a_day_is_beijings(browser: Client, buyer: User) -> None:
    midnight = clock.now().astimezone(clock.BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    calls(buyer, 1, created=midnight)
    calls(buyer, 1, created=midnight - timedelta(seconds=1))
    day = f"{midnight:%Y-%m-%d}"
    assert listed(browser.get(LOG, {"created_from": day, "created_to": day})) == ["req_00000000"]


def test_a_call_is_found_by_its_id_or_its_user(browser: Client, buyer: User, other_user: User) -> None:
    calls(buyer, 2)
    calls(other_user, 1)
    assert listed(browser.get(LOG, {"q": "req_00000001"})) == ["req_00000001"]
    assert listed(browser.get(LOG, {"q": "req_0000000"})) == []
    assert listed(browser.get(LOG, {"q": "stran"})) == ["req_00000002"]


def test_the_list_counts_nothing_and_costs_few_queries(browser: Client, buyer: User) -> None:
    calls(buyer, 80)
    browser.get(LOG)
    with CaptureQueriesContext(connection) as queries:
        browser.get(LOG, {"outcome": "ok"})
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"] and "llm_usage" in query["sql"]]
    assert len(queries) < 10


def test_every_filter_is_one_walk_along_an_index(buyer: User) -> None:
    calls(buyer, 3000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE llm_usage")
    newest = Usage.objects.order_by("-created", "-pk")
    for rows in (newest, newest.filter(outcome="failed"), newest.filter(model_name="gpt-4"), newest.filter(user=buyer)):
        assert "Seq Scan" not in rows[:51].explain()
    assert "usage_unwell" in newest.filter(outcome="failed")[:51].explain()


def test_a_call_shows_how_it_is_known_and_leads_to_the_ledger(browser: Client, buyer: User) -> None:
    (call,) = calls(buyer, 1, usage_source="estimate", tries=3, error="ark: 503 | ark: 503", outcome="abandoned")
    credit(buyer, 10_000, kind=Entry.Kind.GIFT, ref="x", actor="test")
    entry = Entry.objects.create(
        wallet=buyer.wallet, kind="spend", amount=-1500, balance_after=8500, ref=call.request_id, actor="buyer"
    )
    page = browser.get(f"{LOG}{call.pk}/change/").text
    for text in ("Estimated", "Client hung up", "ark: 503 | ark: 503", "10 tokens", f"#{entry.pk} -1,500"):
        assert text in page, text
    assert f"/admin/wallet/entry/{entry.pk}/change/" in page


# --- Statistics ------------------------------------------------------------------------------------------------------
def test_the_statistics_add_up(browser: Client, buyer: User) -> None:
    for latency in (100, 200, 300, 400, 10_000):
        calls(buyer, 1, latency_ms=latency)
    calls(buyer, 1, outcome="failed", latency_ms=60_000, quota=0, input_tokens=0, output_tokens=0)
    calls(buyer, 1, model_name="whisper-1", provider="openai", operation="transcription", input_tokens=60)
    calls(buyer, 1, created=clock.now() - timedelta(days=31))
    context = browser.get(f"{LOG}statistics/").context
    pro, whisper = context["rows"]
    assert (pro.name, pro.calls, pro.tokens, pro.quota, pro.failures) == ("doubao-pro", "6", "150", "7,500", "16.7%")
    assert abs(int(pro.p50.removesuffix(" ms")) - 300) < 10
    assert abs(int(pro.p95.removesuffix(" ms").replace(",", "")) - 10_000) < 300
    assert (whisper.name, whisper.tokens) == ("whisper-1", "0")
    assert context["all"].calls == "7"
    assert [heading for heading, _chart in context["charts"]] == [
        "Calls",
        "Tokens",
        "Quota charged",
        "Failure rate",
        "Latency of answered calls",
    ]


def test_the_last_hour_is_by_the_minute_and_by_provider(browser: Client, buyer: User) -> None:
    calls(buyer, 3)
    calls(buyer, 1, created=clock.now() - timedelta(minutes=61))
    context = browser.get(f"{LOG}statistics/", {"span": "hour", "by": "provider"}).context
    assert [(row.name, row.calls) for row in context["rows"]] == [("Ark (Doubao)", "3")]
    assert len(context["charts"][0][1].table) == 60


def test_the_statistics_are_one_query(buyer: User) -> None:
    calls(buyer, 5)
    with CaptureQueriesContext(connection) as queries, translation.override("en"):
        statistics.page_context({})
    assert len([query for query in queries if "llm_usage" in query["sql"]]) == 1


def test_the_front_page_says_how_models_fare_today(browser: Client, buyer: User) -> None:
    calls(buyer, 1, created=clock.now())
    calls(buyer, 1, created=clock.now(), outcome="failed", quota=0)
    panel, _income = browser.get("/admin/").context["panels"]
    assert [(card.title, card.value) for card in panel.cards][:3] == [
        ("Calls today", "2"),
        ("Quota charged today", "1,500"),
        ("Failed calls today", "1"),
    ]
    assert browser.get(panel.url).status_code == 200
    browser.force_login(clerk())
    page = browser.get("/admin/")
    assert page.context["panels"] == []
    assert "/admin/llm/" not in page.text


# --- Keys and conversations ------------------------------------------------------------------------------------------
def test_an_operator_ends_a_key_with_a_reason_and_never_sees_it(browser: Client, buyer: User) -> None:
    key, text = create_api_key(buyer, "laptop")
    address = f"/admin/accounts/apikey/{key.pk}"
    for page in ("/admin/accounts/apikey/", f"{address}/change/", f"/admin/accounts/apikey/?q={key.last4}"):
        shown = browser.get(page).text
        assert key.shown in shown
        assert text not in shown
        assert key.digest not in shown
    assert "Say why" in browser.post(f"{address}/do/revoke/", follow=True).text
    assert ApiKey.objects.get().revoked_at is None
    assert "The key is revoked." in browser.post(f"{address}/do/revoke/", {"reason": "leaked"}, follow=True).text
    assert ApiKey.objects.get().revoked_at is not None
    browser.force_login(clerk("view_apikey"))
    assert browser.get(f"{address}/change/").status_code == 200
    assert browser.post(f"{address}/do/revoke/", {"reason": "x"}).status_code == 403


def test_nobody_reads_what_users_wrote(browser: Client, buyer: User) -> None:
    session = ChatSession.objects.create(public_id="s-1", user=buyer, title="my divorce", model_name="doubao-pro")
    ChatMessage.objects.create(public_id="m-1", session=session, role="user", content="about my divorce", quota=7)
    for page in (
        "/admin/llm/chatsession/",
        f"/admin/llm/chatsession/{session.pk}/change/",
        f"/admin/accounts/user/{buyer.pk}/delete/",
    ):
        shown = browser.get(page)
        assert shown.status_code == 200
        assert "divorce" not in shown.text
    assert browser.get("/admin/llm/chatmessage/").status_code == 404


# --- Who spent what --------------------------------------------------------------------------------------------------
def spent(user: User, quota: int, days_ago: int, **more: Any) -> None:
    """A call of so many days ago, in the ledger and in the log."""
    number = Entry.objects.count()
    before, moment = number and Entry.objects.latest("pk").pk, clock.now() - timedelta(days=days_ago)
    credit(user, quota, kind=Entry.Kind.GIFT, ref=f"g{number}", actor="test")
    spend(user, quota, ref=f"s{number}")
    dated(before, moment)
    calls(user, 1, quota=quota, created=moment, **more)


def test_who_spent_what_says_what_the_ledger_says(browser: Client, buyer: User, other_user: User) -> None:
    page = f"{LOG}spenders/"
    spent(buyer, 1000, 1, cost=600)
    spent(buyer, 500, 1)
    spent(other_user, 4000, 1, cost=5000)
    spent(other_user, 9000, 3)
    spent(buyer, 50, 0)
    for _ in range(2):
        rows = browser.get(page).context["rows"]
        assert [(row.name, row.quota, row.calls, row.tokens) for row in rows] == [
            ("stranger", "4,000", "1", "10 / 20"),
            ("buyer", "1,500", "2", "20 / 40"),
        ]
        assert [row.margin for row in rows] == ["−¥0.0146 (-25.0%)", "¥0.0058 (40.0%)"]
        # With the sums of days, and without.
        assert day_sums.add_up() in (0, 1)
    week = browser.get(page, {"days": "7"})
    assert week.context["all"] == {"users": "2", "calls": "5", "worth": "¥0.2124", "quota": "14,550"}
    assert change_url(buyer) in week.text
    assert "Nobody spent anything" in browser.get(page, {"from": "2020-01-01", "to": "2020-01-02"}).text
    assert "Write the first and the last day" in browser.get(page, {"from": "rubbish"}).text
    file = browser.get(f"{LOG}spenders.csv", {"days": "7"}).getvalue().decode("utf-8-sig")
    first = next(csv.DictReader(io.StringIO(file)))
    assert (first["user"], first["quota"], first["spent_yuan"], first["margin"]) == (
        "stranger",
        "13000",
        "0.1898",
        "-1000",
    )
    assert browser_of(clerk("view_usage")).get(page).context["rows"][0].url == ""
    assert browser_of(clerk("view_order", name="cashier")).get(page).status_code == 403


def test_the_margin_of_models_stands_with_the_income(browser: Client, buyer: User) -> None:
    calls(buyer, 1, quota=1000, cost=600)
    cards = {card.title: card for card in browser.get("/admin/topup/order/statistics/").context["cards"]}
    assert "Margin of models" in cards
    margin = margin_of(clock.today(), clock.today())
    assert margin
    assert (margin.charged, margin.costed, margin.cost, margin.left) == (1000, 1000, 600, 400)
