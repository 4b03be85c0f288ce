"""axe-core finds nothing, on any page: of users, of operators, of problems; on a desk and on a phone, in both languages
and both schemes of colours. And no page is wider than a phone."""

from collections.abc import Callable, Iterator
from itertools import cycle, product

import pytest
from django.core.management import call_command
from django.test import Client

from llm.models import ChatSession, Model
from llm.seeds import plant
from tests.browser.accessibility import CONTRAST, too_wide, violations
from tests.browser.person import Person
from tests.browser.test_chat import provider  # noqa: F401  # a fixture
from tests.browser.test_every_page import session, walk  # noqa: F401  # a fixture
from tests.conftest import SOAK
from tests.operators import browser_of
from tests.walking import admin_starts
from tests.walking import walk as walk_links
from topup.models import Order
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = pytest.mark.skipif(not SOAK, reason="make soak: every page in every setting takes many minutes")
LANGUAGES, WIDTHS, SCHEMES = ("zh-hans", "en"), ("small phone", "desktop"), ("light", "dark")
# One page of each kind, for every run; the others are rare.
COMMON = ("/", "/accounts/sign-up", "/first-steps", "/recharge", "/chat", "/usage", "/keys", "/api/docs", "/no/such")
COMMON_OF_OPERATORS = ("/admin/", "/admin/topup/order/", "/admin/llm/model/add/", "/admin/topup/wechatsettings/")


def speaks(person: Person, language: str) -> None:
    person.driver.add_cookie({"name": "django_language", "value": language})


def in_both_schemes(person: Person, place: str) -> list[str]:
    """All rules in the light, and in the dark those that colours matter to."""
    found = violations(person) + too_wide(person)
    person.sees_colours("dark")
    found += [f"dark: {each}" for each in violations(person, CONTRAST)]
    person.sees_colours("light")
    return [f"{place}: {each}" for each in found]


@pytest.fixture
def month(shop: User) -> User:
    """A month of business, and who looks after it."""
    plant(Model)
    call_command("seed_demo", history=True)
    call_command("seed_demo_channels")
    return User.objects.get(username="admin")


def visited(person: Person, paths: Iterator[str] | tuple[str, ...] | list[str]) -> list[str]:
    """Each path once, each in another language, width and scheme than the one before."""
    found = []
    settings = cycle(product(LANGUAGES, WIDTHS, SCHEMES))
    for path, (language, width, scheme) in zip(paths, settings, strict=False):
        person.stands_at(width)
        person.sees_colours(scheme)
        speaks(person, language)
        person.visit(path)
        person.loaded()
        found += [f"{path} ({language}, {width}, {scheme}): {each}" for each in violations(person) + too_wide(person)]
    return found


@pytest.mark.rare
def test_a_page_of_each_kind_has_no_violation(
    shop: User,
    session: ChatSession,  # noqa: F811
    open_browser: Callable[..., Person],
) -> None:
    person = open_browser("desktop")
    found = visited(person, COMMON[:2])
    person.is_signed_in(shop)
    pending = Order.objects.get(state="pending")
    found += visited(person, (*COMMON[2:], f"/chat/{session.public_id}", f"/recharge/orders/{pending.order_no}"))
    assert not found, "\n".join(found)


@pytest.mark.rare
def test_an_admin_page_of_each_kind_has_no_violation(month: User, open_browser: Callable[..., Person]) -> None:
    person = open_browser("desktop")
    person.is_signed_in(month)
    order = Order.objects.filter(state="paid").first()
    assert order is not None
    found = visited(person, (*COMMON_OF_OPERATORS, f"/admin/topup/order/{order.pk}/change/"))
    assert not found, "\n".join(found)


@pytest.mark.rare
@PATIENT
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("language", "width"), product(LANGUAGES, WIDTHS))
def test_no_page_of_a_user_has_a_violation(
    shop: User,
    session: ChatSession,  # noqa: F811
    open_browser: Callable[..., Person],
    language: str,
    width: str,
) -> None:
    person = open_browser(width)
    speaks(person, language)
    found = [each for place in walk(person, shop, session, language) for each in in_both_schemes(person, place)]
    assert not found, "\n".join(found)


@pytest.mark.rare
@PATIENT
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("language", "width"), product(LANGUAGES, WIDTHS))
def test_no_admin_page_has_a_violation(
    month: User, open_browser: Callable[..., Person], language: str, width: str
) -> None:
    paths = [path for path, _answer in walk_links(browser_of(month), *admin_starts(1), most=1)]
    person = open_browser(width)
    person.is_signed_in(month)
    speaks(person, language)
    found = []
    for path in paths:
        person.visit(path)
        person.loaded()
        found += in_both_schemes(person, path)
    assert not found, "\n".join(found)


@pytest.mark.rare
@pytest.mark.parametrize(("language", "width"), product(LANGUAGES, WIDTHS))
def test_the_page_for_operators_to_sign_in_has_no_violation(
    shop: User, open_browser: Callable[..., Person], language: str, width: str
) -> None:
    person = open_browser(width)
    speaks(person, language)
    person.visit("/admin/login/")
    assert Client().get("/admin/login/").status_code == 200
    assert in_both_schemes(person, "/admin/login/") == []
