"""Every page of a user in both languages, on a desk and on a small phone: it fits, every control has a name, and a
finger can hit it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from selenium.webdriver import Keys

from llm.models import ChatMessage, ChatSession, Credential, Usage
from llm.tasks import arrange_old_messages
from tests.browser.person import Person
from tests.browser.test_chat import give, provider  # noqa: F401  # a fixture
from tests.conftest import rarely
from tests.llm.upstream import Upstream
from tests.merchants import WECHAT
from tests.orders import pending_order
from topup.models import Order
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.key_limits import KeyLimits
from voicehelper.accounts.models import Passkey, User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import capture, hold

pytestmark = pytest.mark.django_db(transaction=True)

CONTROLS = Path(__file__).with_name("controls.js").read_text()
# The roles of what a person operates, in the tree that the browser hands to a screen reader.
OPERATED = {"button", "link", "textbox", "combobox", "radio", "checkbox", "DisclosureTriangle"}
ERRORS = ("400", "403", "403_csrf", "404", "500")
LONG = "a-name-without-a-place-to-break-it-" * 2
ANSWER = f"# Heading\n\n```python\nx = '{LONG * 3}'\n```\n\n|a|b|\n|-|-|\n|{LONG}|{LONG}|\n\n{LONG * 3}"


@pytest.fixture
def session(shop: User, provider: Upstream) -> ChatSession:  # noqa: F811
    """The buyer has talked, paid and called, and gives long names to things."""
    give(shop, 1_234_567_890)
    Passkey.objects.create(user=shop, name=LONG[:64], credential_id=b"1", public_key=b"1", user_handle=b"1")
    write_options({"WebsiteAppId": "wx1", "WebsiteAppSecret": "x" * 32})
    # Its models hear and speak: that brings the microphone and the button that reads aloud.
    Credential.objects.create(name="openai", provider="openai", base_url=provider.url, api_key="k")
    limits = KeyLimits(10**15, "month", 60, 10**9, clock.now() + timedelta(days=9), (LONG,) * 3, ("2001:db8::/32",) * 3)
    create_api_key(shop, LONG[:64], limits)
    for number, state in enumerate(("paid", "refunded", "failed", "closed", "pending")):
        facts = {"credited_at": clock.now(), "transaction_id": f"t{number}"} if state in Order.CREDITED else {}
        pending_order(shop, WECHAT, 100, state=state, **facts)
    for number in range(3):
        usage = {"model_name": LONG[:60], "operation": "chat", "usage_source": "provider", "outcome": "ok"}
        Usage.objects.create(request_id=f"r{number}", user=shop, quota=123_456, input_tokens=9_999, **usage)
        hold(shop, 123_456, ref=f"h{number}", life=timedelta(hours=1))
        if number:
            capture(f"h{number}", 123_456, kind=Entry.Kind.SPEND, actor="shop", reason=LONG[:60])
    session = ChatSession.objects.create(user=shop, public_id="chat_long", title=LONG)
    for number, (role, text) in enumerate((("user", LONG), ("assistant", ANSWER))):
        message = {"content": text, "model_name": LONG[:60], "quota": 123_456}
        last = ChatMessage.objects.create(public_id=f"m{number}", session=session, role=role, **message)
    # Answered twice, and found.
    for number in range(2):
        placed = {"parent": last, "placed": True, "content": "Hm?"}
        asked = ChatMessage.objects.create(public_id=f"q{number}", session=session, role="user", **placed)
        again = {"role": "assistant", "question": asked, "content": f"In this place: {LONG}", "quota": 123}
        ChatMessage.objects.create(public_id=f"a{number}", session=session, ended="stopped", complete=False, **again)
    arrange_old_messages()
    return session


def described(person: Person, node: dict[str, Any]) -> str:
    found = person.driver.execute_cdp_cmd("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
    return f"{found['localName']} {found['attributes']} has no name"


def problems(person: Person) -> list[str]:
    """What is too wide, too small, cut off or without a name."""
    nodes = person.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    operated = [node for node in nodes if not node["ignored"] and node["role"]["value"] in OPERATED]
    nameless = [described(person, node) for node in operated if not node["name"]["value"].strip()]
    return [*person.script(CONTROLS), *nameless]


def pages_of(user: User, session: ChatSession) -> list[str]:
    orders = [f"/recharge/orders/{number}" for number in Order.objects.values_list("order_no", flat=True)]
    chats = ["/chat", f"/chat/{session.public_id}", "/conversations", "/conversations/find?q=place"]
    account = ["/accounts/email", "/accounts/email/x", "/accounts/devices", "/accounts/password"]
    account += ["/accounts/code", "/accounts/two-steps", "/accounts/wechat", "/accounts/wechat/back"]
    account += [f"/accounts/passkeys/{passkey.pk}" for passkey in user.passkeys.all()]
    account += ["/accounts/data", "/accounts/data/export", "/accounts/delete", "/accounts/minors", "/accounts/consent"]
    account += ["/accounts/low-balance"]
    account += ["/statement", "/statement?by=month", "/statement?from=2026-11-02&to=2026-11-01"]
    read = ["/prices", "/first-steps", "/api/docs"]
    return [*chats, *read, "/recharge", "/recharge?amount=0", "/recharge/orders", *orders, "/usage", *account]


def see_error(person: Person, name: str, language: str) -> None:
    """An error page in the browser, with the server's styles: no address leads to most of them."""
    person.visit("/no/such/page")
    with translation.override(language):
        page = render_to_string(f"{name}.html")
    person.script("document.open(); document.write(arguments[0]); document.close()", page)
    person.loaded()


def walk(person: Person, user: User, session: ChatSession, language: str) -> Iterator[str]:
    """Leads from page to page, and to what opens on them; says where it is."""
    for path in ("/", "/accounts/sign-in", "/accounts/sign-up", "/accounts/forgot", "/accounts/reset/x/y-z"):
        person.visit(path)
        yield path
    person.is_signed_in(user)
    for path in pages_of(user, session):
        person.visit(path)
        person.loaded()
        yield path
    person.click(".tools summary")
    yield "the menu of the account"
    person.visit(f"/chat/{session.public_id}")
    for opener in (
        ".models summary", "[popovertarget=rename]", "[popovertarget=setting]", ".doings-menu > summary",
        "[popovertarget=sessions]",
    ):  # fmt: skip
        if person.has(opener):
            person.click(opener)
            yield f"what {opener} opens"
            person.press(Keys.ESCAPE)
    person.visit("/keys")
    person.click("[popovertarget^=revoke]")
    yield "revoking a key"
    person.press(Keys.ESCAPE)
    person.click(".limits summary")
    yield "/keys with its limits"
    person.click(".keyring .go a")
    yield "changing a key"
    person.visit("/keys")
    person.fill("#name", "notebook")
    person.click(".make button")
    person.sees("[data-key]")
    yield "/keys with a new one"
    for name in ERRORS:
        see_error(person, name, language)
        yield name


@pytest.mark.parametrize(
    ("language", "width"),
    [("zh-hans", "small phone"), *rarely(("zh-hans", "desktop"), ("en", "small phone"), ("en", "desktop"))],
)
def test_every_page_fits_and_every_control_has_a_name_and_room_for_a_finger(
    shop: User, session: ChatSession, open_browser: Callable[..., Person], width: str, language: str
) -> None:
    person = open_browser(width)
    person.driver.add_cookie({"name": "django_language", "value": language})
    found = [f"{place}: {each}" for place in walk(person, shop, session, language) for each in problems(person)]
    assert not found, "\n".join(found)


def test_the_number_of_an_error_has_no_frame(person: Person) -> None:
    """It shared its class with the frame around a program's text."""
    for name in ERRORS:
        see_error(person, name, "en")
        number = "getComputedStyle(document.querySelector('.problem > p'))"
        assert person.script(f"return [{number}.fontSize, {number}.borderTopStyle]") == ["64px", "none"], name
