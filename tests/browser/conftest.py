"""A real browser in front of a real server. Without Chromium the tests are skipped and say why."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.browser.person import Person
from tests.processes import Server, open_sandbox_accounts
from voicehelper.accounts.models import User

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    # Nothing has to be painted sixty times a second for nobody.
    "--force-prefers-reduced-motion",
    "--lang=en",
    # A microphone that beeps, and a person who allows it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs them all: they share a server, and a machine has room for few browsers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="package")
def server(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    """One for all tests here, and down before others begin: alone for minutes it tells of jobs that nobody runs."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    with django_db_blocker.unblock(), Server() as running:
        yield running


class Browsers:
    """One with JavaScript and one without, opened when first wanted and kept until the last of these tests."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._open: dict[bool, webdriver.Chrome] = {}

    def person(self, width: str, javascript: bool) -> Person:
        """Somebody with a browser that knows nobody yet."""
        if javascript not in self._open:
            self._open[javascript] = self._start(self._folder / f"javascript-{javascript}", javascript)
        somebody = Person(self._open[javascript], self._server)
        somebody.stands_at(width)
        somebody.forget_everything()
        return somebody

    def rest(self) -> None:
        """Leave the pages: one that is open goes on asking the server."""
        for driver in self._open.values():
            driver.get("about:blank")

    def _start(self, folder: Path, javascript: bool) -> webdriver.Chrome:
        options = Options()
        options.binary_location = CHROMIUM or ""
        for flag in (*FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        preferences: dict[str, Any] = {"intl.accept_languages": "en"}
        if not javascript:
            preferences["profile.managed_default_content_settings.javascript"] = 2
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.execute_cdp_cmd("Network.enable", {})
        return driver

    def quit(self) -> None:
        for driver in self._open.values():
            driver.quit()


@pytest.fixture(scope="package")
def browsers(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    opened = Browsers(server, tmp_path_factory.mktemp("browsers"))
    yield opened
    opened.quit()


@pytest.fixture
def shop(transactional_db: None, server: Server) -> User:
    """Both gateways on at the sandbox, and a buyer who owns nothing yet."""
    open_sandbox_accounts()
    return User.objects.create_user("buyer", password="a long buyer password")


@pytest.fixture
def open_browser(shop: User, browsers: Browsers) -> Iterator[Callable[..., Person]]:
    """The buyer, not signed in: `width` names one of person.WIDTHS, `javascript` can be off."""

    def start(width: str = "desktop", *, javascript: bool = True) -> Person:
        return browsers.person(width, javascript)

    yield start
    browsers.rest()


@pytest.fixture
def person(shop: User, open_browser: Callable[..., Person]) -> Person:
    """The buyer, signed in, at a desk, on the recharge page."""
    somebody = open_browser()
    somebody.is_signed_in(shop)
    return somebody
