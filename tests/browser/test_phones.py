"""A person recharges on a phone: the app opens, and the money is there on coming back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.person import Person
from tests.topup.user_agents import ANDROID_CHROME, IPHONE_SAFARI
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "#card[data-view={}]"
PROVIDER = ".device .thumb button"


@pytest.fixture
def phone(shop: User, open_browser: Callable[..., Person]) -> Person:
    somebody = open_browser("phone")
    somebody.says_it_is(IPHONE_SAFARI)
    somebody.is_signed_in(shop)
    return somebody


def pays_at_the_provider(person: Person) -> None:
    """Pays on the provider's page and taps the way back to the shop."""
    person.click(PROVIDER)
    person.sees(".done")
    person.click(".thumb a.wide")


@pytest.mark.rare
@pytest.mark.parametrize(
    ("gateway", "user_agent", "trade_type"), [("wechat", IPHONE_SAFARI, "MWEB"), ("alipay", ANDROID_CHROME, "WAP")]
)
def test_on_a_phone_the_app_opens_and_the_way_back_shows_the_credit(
    shop: User, phone: Person, books_agree: Callable[[], None], gateway: str, user_agent: str, trade_type: str
) -> None:
    phone.says_it_is(user_agent)
    phone.visit("/recharge")
    phone.click(f".method.{gateway}")
    phone.sees(PROVIDER, "¥73.00")
    # Back without paying: the card waits, and its button opens the app again.
    phone.driver.back()
    phone.sees(CARD.format("waiting"))
    assert phone.has(f"a.method.{gateway}[data-open]")
    assert not phone.has("[data-code]")
    phone.click("[data-open]")
    phone.sees(PROVIDER)
    pays_at_the_provider(phone)
    phone.sees(CARD.format("paid"), "Balance now\n5,000,000")
    order = Order.objects.get()
    assert order.trade_type == trade_type
    assert phone.path.partition("?")[0] == f"/recharge/orders/{order.order_no}"
    assert wallet_of(shop).balance == 5_000_000
    assert phone.complaints() == []
    phone.visit("/recharge/orders")
    assert "Credited" in phone.text(".orders")
    books_agree()


@pytest.mark.rare
def test_without_javascript_a_phone_pays_by_a_link(shop: User, open_browser: Callable[..., Person]) -> None:
    person = open_browser("phone", javascript=False)
    person.says_it_is(IPHONE_SAFARI)
    person.is_signed_in(shop)
    person.click(".method.wechat")
    person.click("[data-open]")
    person.sees(PROVIDER)
    pays_at_the_provider(person)
    person.sees(CARD.format("paid"), "5,000,000")


@pytest.mark.rare
def test_inside_wechat_the_payment_opens_in_the_page(
    shop: User, phone: Person, books_agree: Callable[[], None]
) -> None:
    """The stand-in's WeChat: it says who it is, and puts its bridge into the page."""
    phone.visit("/sandbox/phone")
    phone.click("[name=browser][value=wechat]")
    phone.sees("[data-recharge]")
    assert not phone.has(".method.alipay")
    phone.click(".method.wechat")
    phone.click(".played-cancel")
    phone.sees("[data-handover-problem]", "You have not paid yet.")
    assert phone.has(CARD.format("waiting"))
    phone.mark_page()
    phone.click("[data-in-wechat]")
    phone.click(".played-pay")
    phone.sees(CARD.format("paid"), "Balance now\n5,000,000")
    assert phone.page_was_kept()
    order = Order.objects.get()
    assert (order.trade_type, bool(order.openid)) == ("JSAPI", True)
    assert phone.complaints() == []
    books_agree()


@pytest.mark.rare
def test_the_cards_of_a_phone_fit_it_and_can_be_read(shop: User, phone: Person) -> None:
    measure = Path(__file__).with_name("contrast.js").read_text()
    phone.click(".method.alipay")
    phone.sees(PROVIDER)
    order = Order.objects.get()
    found = {}
    for scheme in ("light", "dark"):
        phone.sees_colours(scheme)
        for played in ("", "wechat"):
            phone.visit("/sandbox/phone")
            phone.click(f"[name=browser][value='{played}']")
            phone.sees("[data-recharge]")
            phone.visit(f"/recharge/orders/{order.order_no}")
            assert phone.script("return document.documentElement.scrollWidth") <= 390
            found[scheme, played] = phone.script(measure)
            button = ".copy-address" if played else "[data-open]"
            assert phone.find(button).rect["height"] >= 44
    assert {place: poor for place, poor in found.items() if poor} == {}
