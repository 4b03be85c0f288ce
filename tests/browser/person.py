"""What a person does with a browser: look, click, type, scan a code with the phone."""

from collections.abc import Callable
from typing import Any, cast

from django.core.exceptions import ObjectDoesNotExist
from django.test import Client
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.processes import Server
from voicehelper.accounts.models import User

PATIENCE_S = 30
# What a condition may raise while the page, or the server behind it, is still at work.
NOT_YET = (NoSuchElementException, StaleElementReferenceException, ObjectDoesNotExist)
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844), "small phone": (360, 640)}


class Person:
    """Somebody in front of a browser. Waits are long, because a busy machine is slow; they end as soon as they can."""

    def __init__(self, driver: Chrome, server: Server) -> None:
        self.driver = driver
        self.server = server

    # Looking
    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def has(self, selector: str) -> bool:
        return any(element.is_displayed() for element in self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def until(self, condition: Callable[[], object], why: str) -> None:
        waiting = WebDriverWait(self.driver, PATIENCE_S, 0.1, NOT_YET)
        waiting.until(lambda _driver: condition(), why)

    def sees(self, selector: str, words: str = "") -> None:
        """Waits until something is visible and says `words`."""
        self.until(lambda: self.has(selector) and words in self.text(selector), f"{selector} does not show {words!r}")

    def script(self, code: str, *values: Any) -> Any:
        return self.driver.execute_script(code, *values)  # type: ignore[no-untyped-call]

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.server.address)

    def complaints(self) -> list[str]:
        """What the browser's console holds against the pages: blocked resources, script errors."""
        entries = cast(list[dict[str, str]], self.driver.get_log("browser"))  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    # Doing
    def visit(self, path: str) -> None:
        self.driver.get(self.server.address + path)

    def click(self, selector: str) -> None:
        self.until(lambda: self.find(selector).is_enabled(), f"{selector} stays disabled")
        self.find(selector).click()

    def double_click(self, selector: str) -> None:
        ActionChains(self.driver).double_click(self.find(selector)).perform()

    def fill(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, selector: str) -> None:
        """Moves the focus with the Tab key alone."""
        for _ in range(40):
            if self.script("return document.activeElement.matches(arguments[0])", selector):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"{selector} is not reached with Tab")

    def sign_in(self) -> None:
        self.visit("/accounts/sign-in")
        self.fill("[name=username]", "buyer")
        self.fill("[name=password]", "a long buyer password")
        self.click("button.primary")
        self.sees("#account")
        self.loaded()

    def is_signed_in(self, user: User) -> None:
        """On the recharge page, with a session made without a password."""
        session = Client()
        session.force_login(user)
        self.visit("/accounts/sign-in")
        self.driver.add_cookie({"name": "sessionid", "value": session.cookies["sessionid"].value})
        self.visit("/recharge")

    def forget_everything(self) -> None:
        """One window, nothing stored, a network, the light colours."""
        first, *others = self.driver.window_handles
        for window in others:
            self.driver.switch_to.window(window)
            self.driver.close()
        self.driver.switch_to.window(first)
        self.is_offline(False)
        self.says_it_is("")
        self.sees_colours("light")
        self.visit("/accounts/sign-in")
        self.driver.delete_all_cookies()
        self.script("localStorage.clear(); sessionStorage.clear()")
        self.complaints()

    def says_it_is(self, user_agent: str) -> None:
        """Another browser from now on; empty: itself."""
        self.driver.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": user_agent})

    def stands_at(self, width: str) -> None:
        """In front of a desk's screen or with a phone, from the next page on."""
        across, down = WIDTHS[width]
        metrics = {"width": across, "height": down, "deviceScaleFactor": 1, "mobile": across < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def sees_colours(self, scheme: str) -> None:
        """Light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def loaded(self) -> None:
        """Waits until the page's scripts have run."""
        self.until(lambda: self.script("return document.readyState") == "complete", "the page goes on loading")

    def mark_page(self) -> None:
        """Leaves a mark that a reload would wipe out."""
        self.script("window.unloaded = false")

    def page_was_kept(self) -> bool:
        return self.script("return window.unloaded") is False

    def choose(self, amount: int) -> None:
        self.click(f'[data-amount="{amount}"]')

    def is_offline(self, offline: bool) -> None:
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    # The phone
    def pay_on_the_simulated_phone(self) -> None:
        """Opens the phone in its own tab, pays there, comes back."""
        page = self.driver.current_window_handle
        self.click("[data-sandbox-phone]")
        self.until(lambda: len(self.driver.window_handles) == 2, "no phone")
        self.driver.switch_to.window(next(each for each in self.driver.window_handles if each != page))
        self.click(".thumb button")
        self.sees(".done")
        self.driver.close()
        self.driver.switch_to.window(page)

    def pay_behind_the_scenes(self) -> None:
        """Pays what the card shows, without the browser."""
        code = self.find("[data-code]").get_attribute("data-code")
        assert self.server.post_json("/sandbox/phone/pay", {"code": code}).status == 200
