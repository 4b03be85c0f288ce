"""A customer is on the phone: from what they read out to the right record, and what it costs to make an operator."""

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.action_chains import ActionChains

from llm.models import Usage
from sandbox.models import Trade
from tests.browser.person import Person
from tests.browser.test_operators import Counting, lost, operator  # noqa: F401  # fixtures
from topup import services
from topup.models import Order
from voicehelper.accounts import roles
from voicehelper.accounts.models import BuiltInRole, User
from voicehelper.accounts.services import create_api_key

pytestmark = pytest.mark.django_db(transaction=True)

BOX = ".vh-find-box [name=term]"
PALETTE = "#search-input-command"


def read_out(operator: Counting, term: str) -> None:  # noqa: F811
    """From the front page: into the box, Enter."""
    operator.clicks = 0
    operator.operator.visit("/admin/")
    operator.click(BOX)
    operator.operator.fill(BOX, term)
    operator.clicks += 1
    operator.operator.press(Keys.ENTER)


def arrives(operator: Counting, page: str) -> None:  # noqa: F811
    operator.operator.until(lambda: page in operator.operator.path, f"{operator.operator.path}, not {page}")
    operator.operator.loaded()


@pytest.mark.rare
def test_a_number_that_a_customer_reads_out_opens_its_record_in_two_clicks(
    operator: Counting,  # noqa: F811
    lost: Trade,  # noqa: F811
    shop: User,
) -> None:
    services.ask_provider(Order.objects.get(), source="admin")
    order, (key, text) = Order.objects.get(), create_api_key(shop, "notebook")
    facts = {"model_name": "deep", "operation": "chat", "usage_source": "provider", "outcome": "ok"}
    call = Usage.objects.create(request_id="req_0123456789abcdef", user=shop, **facts)
    for term, page in {
        order.order_no: f"/topup/order/{order.pk}/",
        lost.transaction_id: f"/topup/order/{order.pk}/",
        "¥73": f"/topup/order/{order.pk}/",
        call.request_id: f"/llm/usage/{call.pk}/",
        text: f"/accounts/apikey/{key.pk}/",
        shop.username: f"/accounts/user/{shop.pk}/",
    }.items():
        read_out(operator, term)
        arrives(operator, page)
        operator.took_at_most(2, f"read out: {term[:12]}")
        assert text not in operator.operator.script("return location.href + document.documentElement.outerHTML")
    use_the_palette(operator, key.pk, text, call)
    assert operator.operator.complaints() == []


def open_palette(person: Person) -> None:
    person.script("document.activeElement.blur()")
    ActionChains(person.driver).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
    person.sees(PALETTE)


def use_the_palette(operator: Counting, key: int, text: str, call: Usage) -> None:  # noqa: F811
    """Ctrl-K: what is typed is shown as it is found, and Enter opens it."""
    person = operator.operator
    person.visit("/admin/wallet/entry/")
    open_palette(person)
    person.fill(PALETTE, call.request_id)
    person.sees("#command-results", call.request_id)
    person.press(Keys.ARROW_DOWN)
    person.press(Keys.ENTER)
    arrives(operator, f"/llm/usage/{call.pk}/")
    open_palette(person)
    person.fill(PALETTE, text)
    person.press(Keys.ENTER)
    arrives(operator, f"/accounts/apikey/{key}/")


@pytest.mark.rare
def test_a_new_operator_with_a_role_takes_four_clicks(operator: Counting, shop: User) -> None:  # noqa: F811
    roles.plant()
    support = BuiltInRole.objects.get(name="support").group
    assert support is not None
    operator.click("a[href='/admin/accounts/user/']")
    operator.click("a[href^='/admin/accounts/user/add/']")
    for name, value in {
        "username": "lin",
        "password1": "a long new password",
        "password2": "a long new password",
    }.items():
        operator.operator.fill(f"[name={name}]", value)
    operator.click(f"[name=groups][value='{support.pk}']")
    operator.click("[name=_save]")
    operator.operator.until(lambda: User.objects.filter(username="lin", is_staff=True).exists(), "no operator")
    assert User.objects.get(username="lin").groups.get() == support
    operator.took_at_most(4, "a new operator with a role")
