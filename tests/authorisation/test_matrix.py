"""Every address that there is, asked by everybody, with both methods: the answers are those of the table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from llm.models import ChatMessage, ChatSession
from tests.merchants import WeChatMerchant
from tests.operators import clerk
from tests.orders import pending_order
from topup.models import MerchantAccount
from voicehelper import clock
from voicehelper.accounts import roles, sharing
from voicehelper.accounts.models import (
    AccessToken,
    BrowserSession,
    BuiltInRole,
    DataExport,
    LegalText,
    Passkey,
    SavedView,
    User,
)
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

from . import table
from .rows import row_of

# Some views ask from threads of their own, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def routes(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """Every route the resolver knows."""
    for found in (resolver or get_resolver()).url_patterns:
        route = before + str(found.pattern)
        if isinstance(found, URLResolver):
            yield from routes(found, route)
        elif not table.PLAYTHINGS.match(route):
            yield route


ROUTES = list(dict.fromkeys(routes()))


@dataclass
class World:
    """The people with their sessions, and what stands in the places of an address."""

    people: dict[str, User | None]
    sessions: dict[str, str]
    places: dict[str, object]
    rows: dict[str, object] = field(default_factory=dict)

    def ask(self, visitor: str, method: str, address: str) -> Any:
        """An answer, without what it changed."""
        client = Client(raise_request_exception=False, headers={"Accept-Language": "en"})
        if visitor in self.sessions:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[visitor]
        with transaction.atomic():
            answer: Any = client.get(address) if method == "GET" else client.post(address, {})
            transaction.set_rollback(True)
        return answer


@pytest.fixture
def world(buyer: User, other_user: User, staff: User, wechat: WeChatMerchant, settings: Any) -> World:
    settings.STAFF_SECOND_FACTOR = False
    roles.plant()
    for model in admin.site._registry:
        if hasattr(model, "load"):
            model.load()
    people: dict[str, User | None] = {
        table.NOBODY: None,
        table.BUYER: buyer,
        table.OTHER: other_user,
        table.BOSS: staff,
    }
    for role in table.ROLES:
        people[role] = clerk(name=f"of-{role}")
        people[role].groups.add(BuiltInRole.objects.get(name=role).group)  # type: ignore[union-attr]
    sessions = {}
    for visitor, user in people.items():
        if user is not None:
            client = Client()
            client.force_login(user)
            client.get("/recharge")
            sessions[visitor] = client.cookies["sessionid"].value
    return World(people, sessions, _places(buyer, wechat))


def _places(buyer: User, wechat: WeChatMerchant) -> dict[str, object]:
    """The buyer's rows, for the places in addresses."""
    credit(buyer, 1, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    issue_token(buyer)
    talk = ChatSession.objects.create(user=buyer, public_id="chat_1", title="Mine")
    ChatMessage.objects.create(public_id="m1", session=talk, role="assistant", content="x", complete=True)
    key, _text = create_api_key(buyer, "notebook")
    Passkey.objects.create(user=buyer, credential_id=b"c", public_key=b"k", user_handle=b"h", name="laptop")
    week = clock.now() + timedelta(days=7)
    DataExport.objects.create(user=buyer, state=DataExport.State.READY, expires=week)
    # It asks nobody to agree: whoever is asked sees no other page.
    text = {"kind": "agreement", "language": "en", "version": 1, "text": "T", "valid_from": clock.now()}
    LegalText.objects.create(**text, asks_again=False)
    order = pending_order(buyer, wechat)
    return {
        "<str:order_no>": order.order_no,
        "<str:session_id>": talk.public_id,
        "<str:message_id>": "m1",
        "<int:key_id>": key.pk,
        "<str:share_id>": sharing.share(buyer).share_id,
        "<str:token>": "x",
        "<uidb64>": "x",
        "<token>": "x-y",
        "<slug:name>": "nothing",
        "<slug:kind>": "agreement",
        "<path:content_type_id>": 1,
        "(?P<url>.*)$": "nowhere/",
        "^(?P<app_label>accounts|admin|auth|wallet|notifications|topup|storage_backends|llm)/$": "topup/",
        r"^/*api/+wechat/+(?:notify|webhook|refund-notify)/*\Z": "api//wechat/notify",
        r"^/*api/+alipay/+(?:notify|webhook)/*\Z": "api//alipay/notify",
    }


def address_of(world: World, route: str) -> str:
    """A route with the buyer's rows in its places; in the admin, a row of its model."""
    needs = table.needs_of(route)
    own: dict[str, object] = {}
    if needs is not None:
        row = _row(world, needs[0])
        own = {"<path:object_id>": row, "<id>": row, "<int:pk>": row, "<int:key>": row}
        if "/accounts/<int:pk>/" in route:
            own["<int:pk>"] = MerchantAccount.objects.values_list("pk", flat=True)[0]
        if route.endswith("views/<int:pk>/delete/"):
            own["<int:pk>"] = _view_of_another(world, needs[0])
    elif route.startswith("accounts/passkeys"):
        own = {"<int:pk>": Passkey.objects.get(user__username="buyer").pk}
    elif route.startswith("accounts/devices"):
        own = {"<int:pk>": BrowserSession.objects.get(user__username="buyer").pk}
    elif route.startswith("accounts/tokens"):
        own = {"<int:pk>": AccessToken.objects.get(user__username="buyer").pk}
    elif "<path:path>" in route:
        own = {"<path:path>": f"u/{world.people[table.BUYER].pk}/x.txt"}  # type: ignore[union-attr]
    for place, value in {**own, "<path:object_id>": 1, **world.places, **own}.items():
        route = route.replace(place, str(value))
    assert "<" not in route, f"{route}: nothing stands in this place"
    return f"/{route}"


def _view_of_another(world: World, label: str) -> int:
    """A saved view of a model's list, of an operator who is none of those who ask."""
    user, _created = User.objects.get_or_create(username="keeps-views", is_staff=True)
    view, _created = SavedView.objects.get_or_create(user=user, model=label, name="Mine", query="q=1")
    return view.pk


def _row(world: World, label: str) -> object:
    """The key of a model's row: of users the buyer, of sections the only one."""
    if label not in world.rows:
        model = next(one for one in admin.site._registry if one._meta.label_lower == label)
        buyer = world.people[table.BUYER]
        assert buyer is not None
        row: Any = model.load() if hasattr(model, "load") else buyer if model is User else row_of(model, buyer)
        world.rows[label] = row.pk
    return world.rows[label]


# --- What is expected ------------------------------------------------------------------------------------------------
def expected(world: World, visitor: str, method: str, route: str) -> str:
    """What the table says."""
    if line := table.line_of(route):
        told = {table.NOBODY: line.nobody, table.BUYER: line.owner}.get(visitor, line.others)
        return table.LET_IN if visitor in line.but else told
    if visitor in (table.NOBODY, table.BUYER, table.OTHER):
        return table.SIGN_IN
    needs = table.needs_of(route)
    if needs is None:
        assert route in table.STAFF, route
        return table.LET_IN
    model, get, post = needs
    if route.endswith("/export.csv") and not _page_of(model).export:
        return table.MISSING
    need = get if method == "GET" else post
    if need == table.WRONG_METHOD:
        return table.WRONG_METHOD
    user = world.people[visitor]
    assert user is not None
    if need == table.ANOTHERS:
        return table.MISSING if _has(user, model, table.SEE) else table.FORBIDDEN
    return table.LET_IN if all(_has(user, model, each) for each in need.split()) else table.FORBIDDEN


def _page_of(model: str) -> Any:
    return next(page for each, page in admin.site._registry.items() if each._meta.label_lower == model)


def _has(user: User, model: str, need: str) -> bool:
    """Whether an operator has one of the things that a page needs."""
    app, name = model.split(".")
    if need in (table.NEVER, "any", "operator"):
        return need != table.NEVER
    if need == table.BOSS:
        return user.is_superuser
    if "." in need:
        return user.has_perm(need)
    if need == table.SEE:
        return user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}")
    can = table.CAN.get(model, "")
    if can == table.BOSS:
        return user.is_superuser
    return need in can.split() and user.has_perm(f"{app}.{need}_{name}")


def kind_of(answer: Any) -> str:
    """What an answer is, in the table's words."""
    status, goes = answer.status_code, answer.headers.get("Location", "")
    if status in (301, 302) and goes.startswith(("/accounts/sign-in", "/admin/login/")):
        return table.SIGN_IN
    known = {401: table.UNAUTHORIZED, 403: table.FORBIDDEN, 404: table.MISSING, 405: table.WRONG_METHOD}
    return known.get(status) or (table.LET_IN if status < 500 else str(status))


def fits(found: str, wanted: str, answer: Any, route: str) -> bool:
    if wanted == table.REFUSED:
        return 400 <= answer.status_code < 500
    if found == table.WRONG_METHOD or (wanted, found) == (table.WRONG_METHOD, table.FORBIDDEN):
        # Looked at before or after who it is: either gives nothing away.
        return True
    if route in SIGNS_OUT and wanted == table.LET_IN:
        return found in (table.LET_IN, table.SIGN_IN)
    if route in ASK_NOTHING and wanted == table.LET_IN:
        return found == table.FORBIDDEN
    if route in LEADS_NOWHERE and wanted == table.LET_IN:
        return found in (table.LET_IN, table.MISSING)
    return found == wanted


# Whoever was signed out is at the sign-in page.
SIGNS_OUT = {"accounts/sign-out", "admin/logout/"}
# Fills in a field's choices, and refuses whoever does not say of which field.
ASK_NOTHING = {"admin/autocomplete/"}
# Who is let in finds nothing there: no such page, file, token or job, an order that is not paid, a question without
# events, and WeChat's sign-in is not set up.
LEADS_NOWHERE = {
    "recharge/orders/<str:order_no>/receipt",
    "api/chat/messages/<str:message_id>/events",
    r"admin/(?P<url>.*)$",
    "admin/r/<path:content_type_id>/<path:object_id>/",
    "admin/notifications/jobrun/<slug:name>/run/",
    "admin/storage_backends/archive/<int:pk>/download/",
    "admin/^(?P<app_label>accounts|admin|auth|wallet|notifications|topup|storage_backends|llm)/$",
    "accounts/wechat",
    "accounts/email/<str:token>",
    "accounts/reset/<uidb64>/<token>",
    "api/files/<path:path>",
}


def differences(world: World, asked: Iterator[tuple[str, str, str]]) -> list[str]:
    found = []
    for visitor, method, route in asked:
        address = address_of(world, route)
        answer = world.ask(visitor, method, address)
        wanted, got = expected(world, visitor, method, route), kind_of(answer)
        if not fits(got, wanted, answer, route):
            found.append(f"{visitor}: {method} {address}: {answer.status_code}, not {wanted}")
    return found


EVERYTHING = [(visitor, method, route) for route in ROUTES for visitor in table.VISITORS for method in ("GET", "POST")]


def test_every_address_has_a_line_in_the_table() -> None:
    without = [route for route in ROUTES if not (table.line_of(route) or route in table.STAFF or table.needs_of(route))]
    assert without == []


def test_every_line_of_the_table_is_an_address() -> None:
    known = set(ROUTES)
    gone = [line.route for line in table.LINES if line.route not in known]
    gone += [route for route in table.STAFF if route not in known]
    gone += [route for route in table.SPECIAL if f"admin/{route}" not in known]
    assert gone == []
    assert set(table.CAN) <= {model._meta.label_lower for model in admin.site._registry}


def test_I1_N1_a_part_of_all_addresses_answers_everybody_as_the_table_says(world: World) -> None:
    """One in 53 of the whole product: 53 is prime to the visitors and methods, so all of them appear."""
    found = differences(world, iter(EVERYTHING[::53]))
    assert not found, "\n".join(found)


@pytest.mark.rare
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(8))
def test_I1_N1_every_address_answers_everybody_as_the_table_says(world: World, part: int) -> None:
    found = differences(world, iter(EVERYTHING[part::8]))
    assert not found, "\n".join(found)
