"""A person recharges, in a real browser, with the stand-ins behind real HTTP."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from selenium.webdriver import Keys

from tests.browser.person import Person
from tests.conftest import rarely
from topup.models import Order
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "#card[data-view={}]"


def order_on(person: Person) -> Order:
    return Order.objects.get(order_no=person.find("#card").get_attribute("data-order"))


def start_paying(person: Person, gateway: str = "wechat", amount: int = 10) -> Order:
    """From the form to the card that waits."""
    person.choose(amount)
    person.click(f".method.{gateway}")
    person.sees(CARD.format("waiting"))
    return order_on(person)


@pytest.mark.parametrize("width", ["desktop", *rarely("phone")])
def test_a_person_recharges_with_wechat_and_alipay_and_sees_the_balance_change(
    shop: User, open_browser: Callable[..., Person], width: str, books_agree: Callable[[], None]
) -> None:
    person = open_browser(width)
    person.sign_in()
    for gateway, amount, price, balance in (
        ("wechat", 10, "¥73.00", "5,000,000"),
        ("alipay", 20, "¥146.00", "15,000,000"),
    ):
        person.mark_page()
        order = start_paying(person, gateway, amount)
        assert person.text("#card .price") == price
        assert person.path == f"/recharge/orders/{order.order_no}"
        person.pay_on_the_simulated_phone()
        person.sees(CARD.format("paid"), f"Balance now\n{balance}")
        assert person.text("[data-balance]") == balance
        assert "Payment received." in (person.find("#announce").get_attribute("textContent") or "")
        assert person.page_was_kept()
        person.click("#card .primary")
        person.sees("[data-recharge]")
    assert wallet_of(shop).balance == 15_000_000
    assert person.complaints() == []
    books_agree()


@pytest.mark.rare
def test_the_page_fits_the_phone_and_the_buttons_are_at_the_thumb(
    shop: User, open_browser: Callable[..., Person]
) -> None:
    person = open_browser("phone")
    person.is_signed_in(shop)
    for path in ("/recharge", "/recharge/orders"):
        person.visit(path)
        assert person.script("return document.documentElement.scrollWidth") <= 390
    person.visit("/recharge")
    for button in (".method.wechat", ".method.alipay"):
        place = person.find(button).rect
        assert place["y"] > 844 * 2 / 3
        assert place["y"] + place["height"] <= 844
        assert place["height"] >= 44


# --- The price -------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_the_price_follows_the_amount_and_locks_the_buttons_meanwhile(person: Person) -> None:
    assert person.text("[data-price=pay]") == "¥73.00"
    person.fill("#amount", "100")
    assert not person.find(".method.wechat").is_enabled()
    person.until(lambda: person.text("[data-price=pay]") == "¥693.50", "no price for 100")
    person.sees("[data-discount]", "−¥36.50")
    assert person.find(".method.wechat").is_enabled()
    person.fill("#amount", "1234")
    person.until(lambda: person.text("[data-price=pay]") == "¥9,008.20", "no price for 1234")
    assert not person.has("[data-discount]")
    assert person.find("[name=intent] ~ p output, [data-pay] [name=amount]").get_attribute("value") == "1234"


@pytest.mark.rare
def test_the_last_answer_wins_even_when_an_older_one_comes_later(person: Person) -> None:
    person.script(
        """const real = window.fetch; let first = true; window.answers = 0;
        window.fetch = async (...request) => {
          const slow = first; first = false;
          const response = await real(...request);
          if (slow) await new Promise((done) => setTimeout(done, 1500));
          window.answers++;
          return response;
        };"""
    )
    person.choose(50)
    person.choose(20)
    person.until(lambda: person.script("return window.answers") == 2, "both answers")
    assert person.text("[data-price=pay]") == "¥146.00"
    assert person.find("[data-pay] [name=amount]").get_attribute("value") == "20"


@pytest.mark.rare
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("0", "must not be less than 1"),
        ("abc", "whole number"),
        ("1.5", "whole number"),
        ("99999999999", "cannot be charged"),
    ],
)
def test_an_amount_that_cannot_be_bought_says_why(person: Person, typed: str, words: str) -> None:
    person.fill("#amount", typed)
    person.sees("#amount-problem", words)
    assert not person.find(".method.wechat").is_enabled()
    person.fill("#amount", "12")
    person.until(lambda: person.find(".method.wechat").is_enabled(), "buttons come back")
    assert not person.has("#amount-problem")


@pytest.mark.rare
@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_P47_a_price_raised_behind_an_open_page_is_shown_and_the_next_click_agrees(
    shop: User, open_browser: Callable[..., Person], width: str, books_agree: Callable[[], None]
) -> None:
    person = open_browser(width)
    person.is_signed_in(shop)
    person.loaded()
    person.mark_page()
    assert person.text("[data-price=pay]") == "¥73.00"
    write_options({"Price": "9.9"})
    person.click(".method.wechat")
    person.sees("[data-pay-problem]", "you now pay ¥99.00")
    assert person.text("[data-price=pay]") == "¥99.00"
    assert person.text('[data-amount="10"]') == "10\nYou pay\n¥99.00"
    assert not Order.objects.exists()
    # The page goes on working: another amount, another price, and the complaint is gone.
    person.choose(20)
    person.until(lambda: person.text("[data-price=pay]") == "¥198.00", "no price")
    assert not person.has("[data-pay-problem]")
    person.click(".method.wechat")
    person.sees(CARD.format("waiting"), "¥198.00")
    assert person.page_was_kept()
    assert order_on(person).amount_fen == 19800
    books_agree()


@pytest.mark.rare
def test_P47_ordering_again_costs_what_the_card_says_or_asks(person: Person) -> None:
    order = start_paying(person)
    Order.objects.filter(pk=order.pk).update(state=Order.State.CLOSED)
    person.sees("[data-again]", "¥73.00")
    write_options({"Price": "9.9"})
    person.click("[data-again]")
    person.sees("[data-pay-problem]", "you now pay ¥99.00")
    person.sees("[data-again]", "¥99.00")
    assert Order.objects.count() == 1
    person.click("[data-again]")
    person.sees(CARD.format("waiting"), "¥99.00")
    assert order_on(person).amount_fen == 9900


# --- The card --------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_C12_a_double_click_makes_one_order(person: Person) -> None:
    person.double_click(".method.wechat")
    person.sees(CARD.format("waiting"))
    assert Order.objects.count() == 1


@pytest.mark.rare
def test_a_reload_and_the_back_button_lead_where_one_expects(person: Person) -> None:
    order = start_paying(person)
    person.driver.refresh()
    person.sees(CARD.format("waiting"))
    assert order_on(person) == order
    person.driver.back()
    person.sees("[data-recharge]")
    person.driver.forward()
    person.sees(CARD.format("waiting"))
    assert order_on(person) == order


@pytest.mark.rare
def test_a_lost_notice_is_made_up_for_by_the_open_page(person: Person, shop: User) -> None:
    """The page's poll has our server ask the provider."""
    assert person.server.post_json("/sandbox/script", {"gateway": "wechat", "fault": "drop"}).status == 201
    start_paying(person)
    person.pay_behind_the_scenes()
    person.sees(CARD.format("paid"))
    assert wallet_of(shop).balance == 5_000_000


@pytest.mark.rare
def test_an_expired_order_is_ordered_again_in_one_click(person: Person) -> None:
    order = start_paying(person, amount=20)
    Order.objects.filter(pk=order.pk).update(expires_at=clock.now() + timedelta(seconds=2))
    person.sees(CARD.format("confirming"), "do not pay again")
    Order.objects.filter(pk=order.pk).update(state=Order.State.CLOSED)
    person.sees(CARD.format("expired"), "You have not been charged.")
    person.click("[data-again]")
    person.sees(CARD.format("waiting"), "¥146.00")
    again = order_on(person)
    assert again != order
    assert (again.amount, again.gateway) == (20, "wechat")
    assert person.path == f"/recharge/orders/{again.order_no}"


@pytest.mark.rare
def test_a_payment_that_cannot_be_started_offers_another_way(person: Person) -> None:
    script = {"gateway": "wechat", "operation": "create", "fault": "http_500", "times": 5}
    assert person.server.post_json("/sandbox/script", script).status == 201
    person.click(".method.wechat")
    person.sees(CARD.format("unanswered"), "You have not been charged.")
    order = order_on(person)
    Order.objects.filter(pk=order.pk).update(state=Order.State.FAILED)
    person.sees(CARD.format("failed"), order.order_no)
    person.click("#card .method.alipay")
    person.sees(CARD.format("waiting"), "Scan with Alipay")
    assert order_on(person).gateway == "alipay"


@pytest.mark.rare
def test_without_a_network_the_card_says_so_and_goes_on_afterwards(person: Person) -> None:
    start_paying(person)
    person.is_offline(True)
    person.sees("[data-offline]", "Reconnecting")
    person.pay_behind_the_scenes()
    person.is_offline(False)
    person.sees(CARD.format("paid"))


@pytest.mark.rare
def test_paying_without_a_network_keeps_the_form_and_never_pays_twice(person: Person) -> None:
    person.is_offline(True)
    person.click(".method.wechat")
    person.sees("[data-pay-problem]", "The payment request failed.")
    person.is_offline(False)
    person.click(".method.wechat")
    person.sees(CARD.format("waiting"))
    assert Order.objects.count() == 1


@pytest.mark.rare
def test_a_hidden_page_does_not_ask_and_goes_on_when_seen(person: Person) -> None:
    """Headless Chromium never hides a page, so the page is told that it is hidden."""
    order = start_paying(person)
    hide = """Object.defineProperty(document, "hidden", {value: arguments[0], configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));"""
    count = "return performance.getEntriesByType('resource').filter((e) => e.name.endsWith(arguments[0])).length"
    person.script(hide, True)
    person.pay_behind_the_scenes()
    before = person.script(count, order.order_no)
    person.script("return new Promise((done) => setTimeout(done, 5000))")
    assert person.script(count, order.order_no) <= before + 1
    assert person.has(CARD.format("waiting"))
    person.script(hide, False)
    person.sees(CARD.format("paid"))


@pytest.mark.rare
def test_a_session_that_ended_leads_to_signing_in_and_back(person: Person) -> None:
    order = start_paying(person)
    person.driver.delete_cookie("sessionid")
    person.sees("[name=password]")
    assert person.path == f"/accounts/sign-in?next=/recharge/orders/{order.order_no}"


@pytest.mark.rare
def test_everything_can_be_done_with_the_keyboard(person: Person) -> None:
    person.tab_to('[data-amount="20"]')
    person.press(Keys.ENTER)
    person.until(lambda: person.text("[data-price=pay]") == "¥146.00", "no price")
    person.tab_to(".method.alipay")
    person.press(Keys.ENTER)
    person.sees(CARD.format("waiting"))
    assert person.script("return document.activeElement.id") == "card"
    person.tab_to("[data-check]")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert person.script(outline) == "solid"
    person.pay_behind_the_scenes()
    person.press(Keys.ENTER)
    person.sees(CARD.format("paid"))
    person.tab_to("#card .primary")
    person.press(Keys.ENTER)
    person.sees("[data-recharge]")


@pytest.mark.rare
def test_without_javascript_the_form_posts_and_the_card_refreshes_itself(
    shop: User, open_browser: Callable[..., Person]
) -> None:
    person = open_browser("phone", javascript=False)
    person.is_signed_in(shop)
    person.choose(20)
    assert person.path == "/recharge?amount=20"
    person.click(".method.alipay")
    person.sees(CARD.format("waiting"), "¥146.00")
    person.pay_behind_the_scenes()
    person.sees(CARD.format("paid"), "10,000,000")


@pytest.mark.rare
def test_the_language_can_be_switched_on_every_page(person: Person) -> None:
    start_paying(person)
    person.click("[name=language]")
    person.sees(CARD.format("waiting"), "请使用微信扫一扫")
    person.click("[name=language]")
    person.sees(CARD.format("waiting"), "Scan with WeChat to pay")


@pytest.mark.rare
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(person: Person, scheme: str) -> None:
    """WCAG AA, measured on what the browser computed."""
    measure = Path(__file__).with_name("contrast.js").read_text()
    person.sees_colours(scheme)
    found = {"form": person.script(measure)}
    order = start_paying(person, amount=100)
    found["waiting"] = person.script(measure)
    for state in (Order.State.FAILED, Order.State.CLOSED):
        Order.objects.filter(pk=order.pk).update(state=state)
        person.driver.refresh()
        found[state] = person.script(measure)
    for path in ("/recharge/orders", "/accounts/password", "/no/such/page"):
        person.visit(path)
        found[path] = person.script(measure)
    assert {place: poor for place, poor in found.items() if poor} == {}
