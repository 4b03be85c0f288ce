"""Merchant accounts as operators meet them, and how orders of the release before got theirs."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django.test import Client

from notifications.models import Alert
from tests.conftest import sampled
from tests.merchants import WeChatMerchant
from tests.operators import PASSWORD, browser_of, clerk, errors
from tests.orders import pending_order
from tests.topup.test_admin import WECHAT_PAGE, wechat_form
from topup import services
from topup.models import GatewayCall, MerchantAccount, Notice, Order
from topup.models.orders import KEYLESS
from topup.services.accounts import burden_of, delete_account
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

OTHER = WeChatMerchant(mch_id="1900000999", key="Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La")
ANOTHER = {"mch_id": OTHER.mch_id, "api_v2_key": OTHER.key, "enabled": "on", "current_password": PASSWORD}
ORDERS, CALLS = "/admin/topup/order/", "/admin/topup/gatewaycall/"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def browser(staff: User) -> Client:
    return browser_of(staff)


def active() -> MerchantAccount:
    return MerchantAccount.objects.get(gateway="wechat", active=True)


def retired() -> MerchantAccount:
    return MerchantAccount.objects.get(gateway="wechat", active=False)


# --- Changing whose account it is ------------------------------------------------------------------------------------
def test_M2_P42_another_merchant_asks_for_a_tick_while_orders_are_under_way(
    browser: Client, wechat: WeChatMerchant, buyer: User
) -> None:
    for _ in range(2):
        pending_order(buyer, wechat)
    assert 'name="retire"' not in browser.get(WECHAT_PAGE).text
    assert 'name="current_password"' in browser.get(WECHAT_PAGE).text
    refused = browser.post(WECHAT_PAGE, wechat_form(**ANOTHER))
    assert errors(refused) == {"retire": ["Tick this to go on."]}
    assert f"2 orders of merchant {wechat.mch_id} are under way. They are served to their end" in refused.text
    assert active().merchant_id == wechat.mch_id
    assert browser.post(WECHAT_PAGE, wechat_form(**ANOTHER, retire="on")).status_code == 302
    assert (active().merchant_id, retired().merchant_id) == (OTHER.mch_id, wechat.mch_id)

    page = browser.get(WECHAT_PAGE).text.partition('id="retired"')[2]
    assert f"{wechat.mch_id} · v2 · Sandbox" in page
    assert "Delete" not in page
    assert f'href="{ORDERS}?account={retired().pk}"' in page
    assert "keys are not known" not in page


@pytest.mark.parametrize(
    "changes",
    sampled([{"min_topup": "3"}, {"app_id": "wx0000000000000002"}, {"api_v2_key": OTHER.key}], keep=1),
    ids=["minimum", "app", "key"],
)
def test_nothing_is_asked_while_it_stays_the_same_account(
    browser: Client, wechat: WeChatMerchant, buyer: User, changes: dict[str, str]
) -> None:
    pending_order(buyer, wechat)
    form = wechat_form(enabled="on", current_password=PASSWORD) | changes
    assert browser.post(WECHAT_PAGE, form).status_code == 302
    assert MerchantAccount.objects.get().active


@pytest.mark.rare
def test_nothing_is_asked_where_nothing_is_under_way_or_by_the_api(
    browser: Client, wechat: WeChatMerchant, buyer: User, as_user: Any, staff: User
) -> None:
    assert browser.post(WECHAT_PAGE, wechat_form(**ANOTHER)).status_code == 302
    pending_order(buyer, OTHER)
    options = {"WechatMchId": wechat.mch_id, "WechatApiV2Key": wechat.key, "CurrentPassword": PASSWORD}
    assert as_user(staff).put("/api/option", options, format="json").status_code == 200
    assert active().merchant_id == wechat.mch_id


# --- What is kept, and for how long ----------------------------------------------------------------------------------
@pytest.mark.rare
def test_only_an_account_that_nothing_refers_to_can_be_deleted(
    browser: Client, wechat: WeChatMerchant, buyer: User
) -> None:
    used = pending_order(buyer, wechat)
    OTHER.configure()
    WeChatMerchant(mch_id="1900000111").configure()
    unused = MerchantAccount.objects.get(merchant_id=OTHER.mch_id)
    address = "/admin/topup/wechatsettings/accounts/{}/delete/"
    assert browser.get(address.format(unused.pk)).status_code == 405
    page = browser.get(WECHAT_PAGE).text
    assert page.count("Delete: nothing refers to it") == 1
    assert f'action="{address.format(unused.pk)}"' in page
    assert browser_of(clerk("view_wechatsettings")).post(address.format(unused.pk)).status_code == 403
    for stays in (used.account, active()):
        assert stays is not None
        assert "it stays" in browser.post(address.format(stays.pk), follow=True).text
        with pytest.raises(ProtectedError) if stays == used.account else pytest.raises(AssertionError):
            stays.delete()
            raise AssertionError
    assert "Deleted: 1900000999" in browser.post(address.format(unused.pk), follow=True).text
    assert not MerchantAccount.objects.filter(pk=unused.pk).exists()


def test_an_order_of_code_that_knew_no_accounts_keeps_its_account_too(wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat, account=None)
    OTHER.configure()
    assert burden_of(retired()).under_way == 1
    gateway = services.open_gateway_of(order)
    assert gateway is not None
    assert (gateway.merchant_id, gateway.account) == (wechat.mch_id, retired().pk)


@pytest.mark.rare
def test_a_list_of_orders_shows_and_filters_the_account(browser: Client, wechat: WeChatMerchant, buyer: User) -> None:
    old = pending_order(buyer, wechat)
    OTHER.configure()
    new = pending_order(buyer, OTHER)
    page = browser.get(f"{ORDERS}?account={retired().pk}").text
    assert old.order_no in page
    assert new.order_no not in page
    assert f"WeChat Pay {OTHER.mch_id} · v2 · Sandbox" in page
    assert f"{OTHER.mch_id} · v2 · Sandbox (active)" in browser.get(f"{ORDERS}{new.pk}/change/").text
    page = browser.get(f"{ORDERS}{old.pk}/change/").text
    assert "(retired since 20" in page
    assert "Its merchant account is retired and takes no new orders." in page


def test_a_call_is_listed_with_the_account_in_whose_name_it_was_made(
    browser: Client, wechat: WeChatMerchant, buyer: User, settings: Any
) -> None:
    settings.WECHAT_PAY_BASE_URL = NOBODY
    old = pending_order(buyer, wechat)
    OTHER.configure()
    new = pending_order(buyer, OTHER)
    for order in (old, new):
        services.ask_provider(order, source="admin")
    assert dict(GatewayCall.objects.values_list("order_no", "account")) == {
        old.order_no: retired().pk,
        new.order_no: active().pk,
    }
    page = browser.get(f"{CALLS}?account={retired().pk}").text
    assert (old.order_no in page, new.order_no in page) == (True, False)
    call = GatewayCall.objects.get(order_no=new.order_no)
    assert f"{OTHER.mch_id} · v2 · Sandbox" in browser.get(f"{CALLS}{call.pk}/change/").text


def test_the_log_of_calls_keeps_no_account_and_needs_none(
    browser: Client, wechat: WeChatMerchant, settings: Any
) -> None:
    settings.WECHAT_PAY_BASE_URL = NOBODY
    gateway = services.open_gateway("wechat")
    OTHER.configure()
    assert not gateway.probe().ok
    assert GatewayCall.objects.get().account == retired()
    unused = retired()
    assert delete_account(unused)
    assert GatewayCall.objects.get().account is None
    # Whoever was under way in its name is not disturbed.
    assert not gateway.probe().ok
    assert GatewayCall.objects.count() == 2
    assert wechat.mch_id not in browser.get(CALLS).text
    for call in GatewayCall.objects.all():
        assert browser.get(f"{CALLS}{call.pk}/change/").status_code == 200


def test_secrets_of_an_account_are_shown_nowhere(browser: Client, wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    OTHER.configure()
    account = retired()
    assert account.values["api_key"] == wechat.key
    with connection.cursor() as cursor:
        cursor.execute("SELECT kept, former FROM topup_merchantaccount")
        assert wechat.key not in str(cursor.fetchall())
    pages = (WECHAT_PAGE, ORDERS, f"{ORDERS}{order.pk}/change/")
    assert not [page for page in pages if wechat.key in browser.get(page).text]
    assert wechat.key not in repr(vars(account))


# --- The release before ----------------------------------------------------------------------------------------------
def test_orders_of_three_merchants_get_their_accounts_from_the_release_before(
    wechat: WeChatMerchant, alipay: Any, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = import_module("topup.migrations.0017_accounts_of_orders")
    monkeypatch.setattr(migration, "AT_ONCE", 2)
    MerchantAccount.objects.all().delete()
    noted = {"account": None, "review": migration.ANOTHER_ACCOUNT}
    orders = [
        pending_order(buyer, wechat, **noted),
        pending_order(buyer, wechat, account=None, app_id="wx0000000000000002"),
        pending_order(buyer, wechat, account=None, live=True),
        pending_order(buyer, alipay, account=None),
        pending_order(buyer, wechat, **noted, merchant_id="1900000111"),
        pending_order(buyer, alipay, account=None, app_id="2021000000000009"),
    ]
    state = MigrationLoader(connection).project_state(("topup", "0017_accounts_of_orders"))
    with connection.schema_editor() as editor:
        for _twice in range(2):
            migration.forwards(state.apps, editor)
    for order in orders:
        order.refresh_from_db()
    first, second, live, ours, keyless, other_app = (order.account for order in orders)
    assert first == second == active()
    assert first is not None
    assert first.app_ids == ["wx0000000000000002", wechat.app_id]
    assert {live, ours, keyless, other_app}.isdisjoint({first, None})
    in_use = MerchantAccount.objects.filter(active=True).order_by("gateway")
    assert list(in_use.values_list("gateway", flat=True)) == ["alipay", "wechat"]
    assert [bool(account and account.values) for account in (first, ours, live, keyless, other_app)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert [orders[0].review, orders[4].review] == ["", KEYLESS]
    # What it wrote down is what the settings say: the first use changes nothing.
    before = list(MerchantAccount.objects.order_by("pk").values())
    assert services.open_gateway("wechat").account == first.pk
    assert services.open_gateway_of(orders[0])
    assert services.open_gateway_of(orders[4]) is None
    assert list(MerchantAccount.objects.order_by("pk").values()) == before
    wechat.configure()
    assert not active().keys_until(first.created)


def test_keys_entered_once_let_the_orders_of_a_keyless_account_be_asked(wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat, account=None, merchant_id=OTHER.mch_id, next_ask_at=Now())
    account = MerchantAccount.objects.create(gateway="wechat", version="v2", merchant_id=OTHER.mch_id, live=False)
    Order.objects.filter(pk=order.pk).update(account=account, review=KEYLESS)
    OTHER.configure()
    wechat.configure()
    order.refresh_from_db()
    assert (order.review, services.open_gateway_of(order) is not None) == ("", True)
    assert (active().merchant_id, MerchantAccount.objects.count()) == (wechat.mch_id, 2)
    assert not Alert.objects.filter(event="forged_notice").exists()
    assert not Notice.objects.exists()
