"""Prices in the admin: rows that are kept as typed, the list that comes along, and what remains after the cost."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from llm import price_list, prices
from llm.models import Model, Usage
from llm.price_list import Sync
from notifications.models import Alert
from tests.effects import agreed
from tests.topup.test_admin_changes import as_shown
from voicehelper.admin.base import change_url

from .test_admin_models import LIST, browser, form, priced

pytestmark = pytest.mark.django_db

__all__ = ["browser"]
PASSWORD = "a long operator password"
COMPARE = f"{LIST}compare/"


def test_rows_are_kept_as_they_were_typed(browser: Client) -> None:
    rows = priced(
        ("input", "2.5", "", "2"),
        ("output", "0.01", "1000"),
        ("input", "5", "", "", "200000"),
        ("cache_read", "0.0125"),
        ("web_search", "10", "1000", "8"),
    )
    tiers = {"tier_factors_rows": "1", "tier_factors_tier": ["flex"], "tier_factors_factor": ["0.5"]}
    assert browser.post(f"{LIST}add/", form(**rows, **tiers)).status_code == 302
    model = Model.objects.get(name="new")
    kept = [(row.kind, row.price, row.per, row.cost, row.from_tokens) for row in prices.rows_of(model)]
    assert kept == [
        ("input", Decimal("2.5"), 1_000_000, Decimal(2), 0),
        ("input", Decimal(5), 1_000_000, None, 200_000),
        ("cache_read", Decimal("0.0125"), 1_000_000, None, 0),
        ("output", Decimal("0.01"), 1000, None, 0),
        ("web_search", Decimal(10), 1000, Decimal(8), 0),
    ]
    assert prices.factors_of(model) == {"flex": Decimal("0.5")}
    page = browser.get(f"{LIST}{model.pk}/change/").text
    assert 'value="0.0125"' in page
    assert "Read from cache" in page


def test_what_would_change_is_shown_and_taken_over_with_the_password(browser: Client, staff: Any) -> None:
    session = browser.session
    session.pop("password_confirmed")
    session.save()
    page = browser.get(COMPARE, {"prices": "1", "markup": "20"})
    assert "Input: 0.03 / 1,000 → 36 / 1,000,000 (cost 30)" in page.text
    assert "+20 %" in page.text
    typed = {"prices": "1", "markup": "20", "model": ["gpt-4", "dall-e-3"], "seen": page.context["seen"]}
    for wrong in ({}, {"current_password": "wrong"}, {"seen": "old", "current_password": PASSWORD}):
        assert browser.post(COMPARE, typed | wrong).status_code == 400
    assert browser.post(COMPARE, typed | {"markup": "-1"}).status_code == 400
    assert not LogEntry.objects.exists()
    assert browser.post(COMPARE, typed | {"current_password": PASSWORD}).status_code == 302
    rows = {row.place[1:]: (row.price, row.cost) for row in prices.rows_of(Model.objects.get(name="dall-e-3"))}
    assert rows["1792x1024/hd", 0] == (Decimal("0.144"), Decimal("0.12"))
    assert sorted(LogEntry.objects.values_list("object_repr", flat=True)) == ["dall-e-3", "gpt-4"]
    assert Alert.objects.filter(event="settings_changed").count() == 2
    assert "gpt-4" not in {each.model.name for each in price_list.compare(Sync(True, Decimal(20)))}


def test_a_sync_of_costs_leaves_prices_alone(browser: Client) -> None:
    (found,) = [each for each in price_list.compare(Sync()) if each.model.name == "doubao-pro"]
    # 0.8 yuan for a million, at 7.3 yuan a unit; our price is for a thousand.
    assert [(row.price, row.cost) for row in found.then[0]] == [
        (Decimal("0.1"), Decimal("0.00010959")),
        (Decimal("0.1"), Decimal("0.000273973")),
    ]


def test_every_row_of_the_list_has_a_kind_we_know_and_a_source() -> None:
    entries = price_list.bundled().entries
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", price_list.bundled().date)
    for entry in entries:
        assert entry.source
        assert entry.currency in ("USD", "CNY")
        assert len({row.place for row in entry.rows}) == len(entry.rows) > 0
    names = [name for entry in entries for name in entry.models]
    assert len(set(names)) == len(names)


def test_the_margin_stands_in_the_statistics_and_in_the_file(browser: Client, staff: Any) -> None:
    facts = {"user": staff, "model_name": "gpt-4", "provider": "openai", "operation": "chat", "outcome": "ok"}
    for number, (quota, cost) in enumerate([(300, 200), (100, 100), (1000, None)]):
        row = Usage.objects.create(
            request_id=f"req_{number}",
            quota=quota,
            cost=cost,
            usage_source="provider",
            kinds={"cache_read": 7},
            **facts,
        )
    page = browser.get("/admin/llm/usage/statistics/").text
    assert "100 (25.0%)" in page
    lines = b"".join(browser.get("/admin/llm/usage/export.csv").streaming_content).decode().split("\r\n")
    assert "cache_read=7,,300,200,100,ok" in "\n".join(lines)
    assert "cache_read=7,,1000,,,ok" in "\n".join(lines)
    assert "Read from cache 7" in browser.get(f"/admin/llm/usage/{row.pk}/change/").text


# --- Taking a change back --------------------------------------------------------------------------------------------
TIERS = {"tier_factors_rows": "1", "tier_factors_tier": ["flex"], "tier_factors_factor": ["0.5"]}


def page_of(model: Model) -> str:
    return f"{LIST}{model.pk}/change/"


def reprice(browser: Client, model: Model, *rows: tuple[str, ...], **more: Any) -> LogEntry:
    """Give a model these rows on its page; the line of the log that tells it."""
    kept = as_shown(browser, page_of(model)) | priced(*rows) | more
    assert agreed(browser, page_of(model), kept).status_code == 302
    return LogEntry.objects.latest("pk")


def take_back(browser: Client, entry: LogEntry) -> str:
    page = browser.post(change_url(entry).replace("/change/", "/do/take_back/"), follow=True)
    return str(page.text)


@pytest.fixture
def model(browser: Client) -> Model:
    rows = priced(("input", "2.5", "", "2"), ("output", "10"))
    assert browser.post(f"{LIST}add/", form(cost_per_1k="0.1", **rows)).status_code == 302
    return Model.objects.get(name="new")


def test_a_change_of_price_rows_is_taken_back_from_the_log_as_a_change_of_its_own(
    browser: Client, model: Model
) -> None:
    before = prices.rows_of(model)
    columns = Model.objects.values("measure", "input_price", "output_price").get(pk=model.pk)
    entry = reprice(
        browser, model, ("input", "5"), ("output", "10"), ("input", "7", "", "", "200000"), **TIERS, cost_per_1k="0.2"
    )
    page = browser.get(change_url(entry)).text
    assert "Take this change back" in page
    for words in ("(Input): 5 / 1,000,000 → 2.5 / 1,000,000 (cost 2)", "7 / 1,000,000 → —", "(flex): 0.5 → —"):
        assert words in page, words
    told = Alert.objects.filter(event="settings_changed").count()
    assert "Taken back: " in take_back(browser, entry)
    model.refresh_from_db()
    assert (prices.rows_of(model), prices.factors_of(model)) == (before, {})
    assert model.cost_per_1k == Decimal("0.1")
    assert Model.objects.values("measure", "input_price", "output_price").get(pk=model.pk) == columns
    own = LogEntry.objects.latest("pk")
    assert own.get_change_message().count(" → ") == 4
    assert Alert.objects.filter(event="settings_changed").count() == told + 1
    assert "Take this change back" not in browser.get(change_url(entry)).text
    # And that again.
    assert "Taken back: " in take_back(browser, own)
    assert prices.factors_of(Model.objects.get(pk=model.pk)) == {"flex": Decimal("0.5")}
    assert len(prices.rows_of(Model.objects.get(pk=model.pk))) == 3


@pytest.mark.rare
def test_other_rows_may_have_changed_since_but_not_the_same_one(browser: Client, model: Model) -> None:
    first = reprice(browser, model, ("input", "3"), ("output", "10"))
    second = reprice(browser, model, ("input", "3"), ("output", "11"))
    reprice(browser, model, ("input", "3"), ("output", "12"), **TIERS)
    assert "“Price by kind (Output)” has been changed again since" in take_back(browser, second)
    assert "Taken back: " in take_back(browser, first)
    kept = [(row.kind, row.price, row.cost) for row in prices.rows_of(Model.objects.get(pk=model.pk))]
    assert kept == [("input", Decimal("2.5"), Decimal(2)), ("output", Decimal(12), None)]
    assert prices.factors_of(model) == {"flex": Decimal("0.5")}


def test_a_model_is_not_left_without_the_price_it_needs(browser: Client, model: Model) -> None:
    entry = reprice(browser, model, ("input", "2.5"), ("output", "10"), ("second", "1"))
    Model.objects.filter(pk=model.pk).update(capabilities=["chat", "speech_to_text"])
    assert "needs a price for: Second of audio" in take_back(browser, entry)
    assert [row.kind for row in prices.rows_of(model)] == ["input", "output", "second"]


def test_what_a_sync_took_over_is_taken_back_too(browser: Client) -> None:
    model = Model.objects.get(name="gpt-4")
    before = prices.rows_of(model), prices.factors_of(model)
    seen = browser.get(COMPARE, {"prices": "1", "markup": "20"}).context["seen"]
    typed = {"prices": "1", "markup": "20", "model": ["gpt-4"], "seen": seen}
    assert browser.post(COMPARE, typed).status_code == 302
    assert prices.rows_of(Model.objects.get(pk=model.pk)) != before[0]
    assert "Taken back: " in take_back(browser, LogEntry.objects.get())
    stored = Model.objects.get(pk=model.pk)
    assert (prices.rows_of(stored), prices.factors_of(stored)) == before
