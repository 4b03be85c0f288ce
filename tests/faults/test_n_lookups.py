"""Faults N: what an operator's list does not show cannot be asked of it either, letter by letter."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from llm.models import ChatSession
from tests.conftest import sampled
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.secrets import EncryptedField

pytestmark = pytest.mark.django_db

ADMINS = [pytest.param(model, found, id=model._meta.label) for model, found in admin.site._registry.items()]
TRICKS = ("", "__startswith", "__regex", "__gt", "__isnull", "__in", "__date__year")


@pytest.fixture
def desk(staff: User) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(staff)
    return browser


def paths(model: type[Model], depth: int = 3) -> Iterator[str]:
    """Every field that can be reached from a model in a few steps, there and back."""
    for field in model._meta.get_fields():
        name = field.name
        yield name
        if field.is_relation and field.related_model and depth > 1 and not isinstance(field.related_model, str):
            yield from (f"{name}__{rest}" for rest in paths(field.related_model, depth - 1))


def declared(found: Any) -> set[str]:
    """The names of a list's filters in its address."""
    names = set()
    for one in found.list_filter:
        names |= {one.parameter_name} if isinstance(one, type) else {f"{one[0]}_from", f"{one[0]}_to"}
    return names


@pytest.mark.parametrize(("model", "found"), ADMINS)
def test_N3_a_list_can_be_asked_by_its_filters_only(model: type[Model], found: Any, rf: Any, staff: User) -> None:
    request = rf.get("/")
    request.user = staff
    asked = {f"{path}{trick}" for path in {*paths(model), "pk", "id"} for trick in TRICKS}
    assert {lookup for lookup in asked if found.lookup_allowed(lookup, "a", request)} <= declared(found)
    assert all(found.lookup_allowed(name, "a", request) for name in declared(found))


@pytest.mark.parametrize(("model", "found"), ADMINS)
def test_N3_no_list_can_be_ordered_by_what_is_secret(model: type[Model], found: Any, rf: Any, staff: User) -> None:
    request = rf.get("/")
    request.user = staff
    if not found.get_list_display(request):
        return
    try:
        changes = found.get_changelist_instance(request)
    except FieldDoesNotExist:
        return
    for column in changes.list_display:
        order = str(changes.get_ordering_field(column) or "pk").lstrip("-")
        field = None if order == "pk" else model._meta.get_field(order.split("__")[0])
        assert not isinstance(field, EncryptedField), column
        assert order not in {"password", "digest", "session_hash", "session_key", "title", "content"} or order == column


SECRETS = [
    ("accounts/user", "password__startswith=md5"),
    ("accounts/user", "access_tokens__digest__startswith=a"),
    ("accounts/user", "api_keys__digest__regex=^a"),
    ("accounts/apikey", "digest__startswith=a"),
    ("accounts/apikey", "user__password__startswith=md5"),
    ("llm/chatsession", "title__startswith=M"),
    ("llm/chatsession", "title__regex=^M"),
    ("llm/chatsession", "user__password__startswith=md5"),
    ("llm/usage", "session__title__startswith=M"),
    ("llm/credential", "api_key__startswith=g"),
    ("topup/order", "user__password__startswith=md5"),
    ("topup/order", "pay_url__startswith=weixin"),
    ("topup/codebatch", "codes__digest__startswith=a"),
    ("topup/codebatch", "codes__text__startswith=g"),
    ("notifications/channel", "secret__startswith=g"),
    ("admin/logentry", "change_message__contains=a"),
    ("admin/logentry", "user__password__startswith=md5"),
]


@pytest.mark.parametrize(("page", "query"), sampled(SECRETS, keep=5))
def test_N3_a_hidden_field_is_not_read_letter_by_letter(
    page: str, query: str, desk: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    pending_order(buyer, wechat)
    create_api_key(buyer, "mine")
    ChatSession.objects.create(user=buyer, title="My illness")
    for address in (f"/admin/{page}/?{query}", f"/admin/{page}/export.csv?{query}"):
        answer = desk.get(address)
        assert answer.status_code in (400, 404), address
        assert b"buyer" not in answer.content


def test_N3_the_filters_themselves_go_on_working(desk: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    orders = reverse("admin:topup_order_changelist")
    for query, there in {
        "username=buyer": True,
        "username=nobody": False,
        "state=pending&created_from=2020-01-01&created_to=2099-01-01": True,
        "created_to=2020-01-01": False,
        f"q={order.order_no}": True,
    }.items():
        answer = desk.get(f"{orders}?{query}")
        assert (answer.status_code, order.order_no in answer.content.decode()) == (200, there), query
