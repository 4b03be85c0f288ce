"""A change of prices shows what it does before it is saved, and can be taken back from the log of changes."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from llm.models import Model
from llm.seeds import plant
from tests.effects import agreed
from tests.operators import PASSWORD, browser_of, clerk
from tests.topup.test_admin_changes import RECHARGE, as_shown
from topup.models import RechargeSettings
from topup.services.options import write_options
from voicehelper import price_changes
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url
from voicehelper.admin.effects import Effects, ShownPrice, effects_of, percent

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(staff: User, settings: Any) -> Client:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    write_options({"AmountOptions": [10, 100], "AmountDiscount": {"100": "0.95"}})
    return browser_of(staff)


def shown(response: Any) -> Effects:
    effects = response.context["adminform"].form.effects
    assert isinstance(effects, Effects)
    return effects


def form(browser: Client, **changes: Any) -> dict[str, Any]:
    return as_shown(browser, RECHARGE) | {"current_password": PASSWORD} | changes


@pytest.mark.parametrize(
    ("part", "text"),
    [("0.45", "+45 %"), ("99", "+9,900 %"), ("-0.5", "−50 %"), ("0.004", "+0.4 %"), ("1/3", "+33 %"), ("-1", "−100 %")],
)
def test_a_change_is_told_with_its_sign(part: str, text: str) -> None:
    assert percent(Fraction(part)) == text


def test_many_prices_are_told_in_one_sentence() -> None:
    old = {f"{number}": ShownPrice("old", Fraction(number)) for number in range(1, 21)}
    new = {label: ShownPrice("new", price.rate * 100) for label, price in old.items()}
    assert str(effects_of(old, new)) in ("20 prices by +9,900 %.", "20 个价格变动 +9,900 %。")
    assert not effects_of(old, old).changed


@pytest.mark.rare
def test_the_effect_is_shown_before_a_price_is_saved(browser: Client) -> None:
    first = browser.post(RECHARGE, form(browser, price="10.6"))
    effects, text = shown(first), first.text
    assert RechargeSettings.load().price == RechargeSettings._meta.get_field("price").default
    for words in ("2 prices by +45 %.", "100 units", "¥693.50", "¥1,007.00", "+45 %", "then save again"):
        assert words in text, words
    assert "Saving failed" not in text
    assert not effects.great
    # Its mark stands for these prices alone; the password was right, and is not asked for again.
    seen = {"seen_effects": effects.mark}
    other = browser.post(RECHARGE, as_shown(browser, RECHARGE) | seen | {"price": "10.7"})
    assert shown(other).mark != effects.mark
    assert browser.post(RECHARGE, as_shown(browser, RECHARGE) | seen | {"price": "10.6"}).status_code == 302
    assert str(RechargeSettings.load().price) == "10.600000"


def test_more_than_half_is_marked_and_asked_once_more(browser: Client) -> None:
    for changes in ({"price": "730"}, {"quota_per_unit": "5000"}, {"price": "3.6"}, {"amount_discounts_rate": "0.095"}):
        typed = form(browser, **changes)
        effects = shown(browser.post(RECHARGE, typed))
        assert effects.great, changes
        unsure = agreed(browser, RECHARGE, typed, sure=False)
        assert "more than half" in unsure.text
        assert not LogEntry.objects.exists()
    assert agreed(browser, RECHARGE, form(browser, price="730")).status_code == 302
    assert "+9,900 %" in str(effects_of({"x": ShownPrice("", Fraction(1))}, {"x": ShownPrice("", Fraction(100))}))


def test_what_changes_no_price_is_saved_at_once(browser: Client) -> None:
    changes = {"order_life_minutes": "20", "approve_refunds_above": "500", "support_contact": "kefu@example.com"}
    assert browser.post(RECHARGE, form(browser, **changes)).status_code == 302
    assert RechargeSettings.load().support_contact == "kefu@example.com"


@pytest.mark.rare
def test_the_price_of_a_model_shows_its_effect_too(browser: Client) -> None:
    plant(Model)
    model = Model.objects.get(name="doubao-pro")
    page = change_url(model)
    typed = as_shown(browser, page) | {"current_password": PASSWORD, "price_rows_price": ["10", "0.1"]}
    first = browser.post(page, typed)
    assert shown(first).great
    assert "Input, 1,000,000" in first.text
    assert "+9,900 %" in first.text
    assert agreed(browser, page, typed).status_code == 302


def entry_page(browser: Client, **data: str) -> Any:
    entry = LogEntry.objects.filter(price_change__taken_back=None).earliest("pk")
    return browser.post(change_url(entry).replace("/change/", "/do/take_back/"), data, follow=True)


def test_a_change_of_prices_is_taken_back_from_the_log_as_a_change_of_its_own(browser: Client, staff: User) -> None:
    changes = {
        "price": "10.6",
        "amount_discounts_rate": "0.9",
        "amount_bonuses_amount": "100",
        "amount_bonuses_bonus": "5",
    }
    assert agreed(browser, RECHARGE, form(browser, **changes)).status_code == 302
    browser.logout()
    browser.force_login(staff)
    entry = LogEntry.objects.get()
    page = browser.get(change_url(entry)).text
    assert "Take this change back" in page
    assert "Price: 10.6 → 7.3" in page
    assert "This is not your password" in entry_page(browser, current_password="no").text
    assert "Taken back: Price: 10.6 → 7.3" in entry_page(browser, current_password=PASSWORD).text
    row = RechargeSettings.load()
    assert (str(row.price), row.amount_discounts, row.amount_bonuses) == ("7.300000", {"100": "0.95"}, {})
    own = LogEntry.objects.latest("pk")
    assert own.get_change_message().startswith("Price: 10.6 → 7.3; ")
    assert "Take this change back" not in browser.get(change_url(entry)).text
    assert "Take this change back" in browser.get(change_url(own)).text


@pytest.mark.rare
def test_what_has_changed_again_since_is_not_taken_back_nor_after_thirty_days(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed(browser, RECHARGE, form(browser, price="10.6"))
    agreed(browser, RECHARGE, form(browser, price="10.7"))
    assert "has been changed again since" in entry_page(browser).text
    assert str(RechargeSettings.load().price) == "10.700000"
    first = LogEntry.objects.earliest("pk")
    # The log cannot be made older: nobody may write into it.
    monkeypatch.setattr(price_changes, "KEPT_FOR", timedelta())
    assert "Take this change back" not in browser.get(change_url(first)).text
    assert entry_page(browser).status_code == 403


def test_only_who_may_change_prices_takes_a_change_back(browser: Client) -> None:
    agreed(browser, RECHARGE, form(browser, price="10.6"))
    reader = browser_of(clerk("view_logentry"))
    assert reader.get(change_url(LogEntry.objects.get())).status_code == 200
    assert entry_page(reader, current_password=PASSWORD).status_code == 403
    assert str(RechargeSettings.load().price) == "10.600000"
