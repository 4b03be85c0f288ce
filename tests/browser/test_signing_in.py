"""A passkey and WeChat's QR code in a browser: made, signed in with, where both factors are obligatory."""

from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

from sandbox.management.commands.open_sandbox_accounts import website
from tests.browser.person import Person
from tests.processes import Server
from topup.services.options import write_options
from voicehelper.accounts.models import Passkey, User, WeChatIdentity

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"


@pytest.fixture
def device(open_browser: Callable[..., Person]) -> Any:
    """Somebody whose computer knows fingers, at the browser's sign-in page."""
    person = open_browser()
    options = VirtualAuthenticatorOptions(
        transport=VirtualAuthenticatorOptions.Transport.INTERNAL,
        has_resident_key=True,
        has_user_verification=True,
        is_user_verified=True,
    )
    person.driver.add_virtual_authenticator(options)
    yield person
    person.driver.remove_virtual_authenticator()


def test_an_operator_makes_a_passkey_and_is_in_the_admin_with_it(shop: User, staff: User, device: Person) -> None:
    with Server(STAFF_SECOND_FACTOR="True") as server:
        # Browsers take no digits for the name of a site.
        person = Person(device.driver, server)
        home = server.address.replace("127.0.0.1", "localhost")
        person.visit("/accounts/sign-in")
        assert person.text(".aside a") == home
        server.address = home
        person.forget_everything()
        person.visit("/admin/")
        person.fill("#id_username", "operator")
        person.fill("#id_password", PASSWORD)
        person.click("button[type=submit]")
        person.sees(".notice.warn", "Operators need a second step")
        person.fill("#passkey_name", "work laptop")
        person.fill("#passkey_password", "not it")
        person.click("form[data-passkey] button")
        person.sees("[data-passkey-problem]", "not your password")
        person.fill("#passkey_password", PASSWORD)
        person.click("form[data-passkey] button")
        person.sees(".notice.good", "The passkey is added")
        person.sees(".list", "work laptop")
        # In the list of what went wrong is the refused password alone.
        assert [each for each in person.complaints() if "403" not in each] == []
        person.driver.delete_all_cookies()
        person.visit("/admin/")
        person.visit("/accounts/sign-in?next=/admin/")
        person.click("form[data-passkey] button")
        person.until(lambda: person.path == "/admin/", "the admin does not open")
        assert Passkey.objects.get().last_used_at
        # After the password it is the second step.
        person.driver.delete_all_cookies()
        person.visit("/accounts/sign-in?next=/admin/")
        person.fill("#id_username", "operator")
        person.fill("#id_password", PASSWORD)
        person.click("button.primary")
        person.sees("h1", "Second step")
        person.click("form[data-passkey] button")
        person.until(lambda: person.path == "/admin/", "the admin does not open")
        assert person.complaints() == []
        person.visit("/accounts/two-steps")
        person.click(".list a")
        person.fill("#id_password", PASSWORD)
        person.click("button.danger")
        person.sees(".notice.good", "Delete it in your device too")
        assert not Passkey.objects.exists()


@pytest.mark.rare
def test_somebody_signs_in_by_wechats_qr_code(shop: User, open_browser: Callable[..., Person]) -> None:
    account = website()
    write_options({"WebsiteAppId": account["app_id"], "WebsiteAppSecret": account["secret"]})
    person = open_browser("phone")
    person.visit("/accounts/sign-in?next=/recharge/orders")
    person.click("a.wechat")
    person.sees("img[alt='QR code for WeChat']")
    page = person.driver.current_window_handle
    person.click("[data-sandbox-phone]")
    person.until(lambda: len(person.driver.window_handles) == 2, "no phone")
    person.driver.switch_to.window(next(each for each in person.driver.window_handles if each != page))
    person.fill("#person", "xiaoming")
    person.click("button[value=allow]")
    person.sees(".done", "Signed in")
    person.driver.close()
    person.driver.switch_to.window(page)
    person.driver.refresh()
    # WeChat's address ends with #wechat_redirect, which browsers carry along through redirects.
    person.until(lambda: person.path.partition("#")[0] == "/recharge/orders", "it does not go on")
    assert WeChatIdentity.objects.get().user.username.startswith("wx_")
    assert person.complaints() == []
