"""M: the merchant account changes while payments are under way. An order belongs to its account for life."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notifications.models import Alert
from sandbox import buyer as sandbox_buyer
from sandbox.models import Delivery, Merchant, Trade
from tests.conftest import rarely
from tests.merchants import ALIPAY, WECHAT, AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from tests.refunds import given_back, open_accounts, sandbox_server, trade_of
from topup import services, tasks
from topup.models import GatewaySettings, MerchantAccount, Notice, Order, Reconciliation
from topup.models.accounts import FORMER_FOR
from topup.models.orders import KEYLESS
from topup.models.sections import WeChatSettings
from topup.services.accounts import burden_of
from topup.services.options import write_options
from topup.services.receiving import replay_notice
from topup.services.reconciliation import NoBill
from topup.services.sweeping import WORKERS
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret
from voicehelper.wallet import audit

from .conftest import CallbackDesk, alert, at_once, credited_once, last_notice, not_credited
from .scripted import ScriptedProvider, gateway_of

pytestmark = pytest.mark.django_db(transaction=True)

NOTIFY = {"wechat": "text/xml", "alipay": "application/x-www-form-urlencoded"}
EMPTIED = {"wechat": {"WechatMchId": "", "WechatEnabled": False}, "alipay": {"AlipayAppId": "", "AlipayEnabled": False}}
OTHER = {
    "wechat": WeChatMerchant(mch_id="1900000999", key="Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La"),
    "alipay": AlipayMerchant(app_id="2021000000000002", seller_id="2088102146225999"),
}


@pytest.fixture(params=["wechat", *rarely("alipay")])
def gateway(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Shop:
    """Both platforms' stand-ins, where we can become another merchant. Their notices wait until they are delivered."""

    def __init__(self, address: str, settings: Any) -> None:
        self.address, self.settings = address, settings
        open_accounts(address, settings)

    def become_another(self) -> None:
        Merchant.objects.update(name="before")
        open_accounts(self.address, self.settings)

    def paid(self, gateway: str, buyer: User) -> Order:
        """Paid there, and nobody here has heard of it."""
        order = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
        sandbox_buyer.pay(trade_of(order))
        return order

    def notice(self, order: Order) -> bool:
        """Deliver the latest of it; whether it need not come again."""
        body = Delivery.objects.filter(trade__out_trade_no=order.order_no).latest("pk").body
        answer = Client().post(f"/api/{order.gateway}/notify", body, content_type=NOTIFY[order.gateway])
        return answer.content == b"success" or b"SUCCESS" in answer.content


@pytest.fixture
def shop(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        yield Shop(address, settings)


def make_due(order: Order, *, expired: bool = False) -> None:
    Order.objects.filter(pk=order.pk).update(next_ask_at=Now(), created=Now() - timedelta(minutes=10))
    if expired:
        Order.objects.filter(pk=order.pk).update(expires_at=Now() - timedelta(minutes=1))
        Trade.objects.filter(out_trade_no=order.order_no).update(created_at=Now() - timedelta(minutes=10))


def reconcile(gateway: str, *more: str) -> tuple[int, str]:
    """manage.py reconcile for today: its exit code and what it said."""
    out = StringIO()
    try:
        call_command("reconcile", "--gateway", gateway, "--date", str(clock.today()), *more, stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def active(gateway: str) -> MerchantAccount:
    return MerchantAccount.objects.get(gateway=gateway, active=True)


def account_for(merchant: Any) -> MerchantAccount:
    number = merchant.mch_id if gateway_of(merchant) == "wechat" else merchant.seller_id
    return MerchantAccount.objects.get(merchant_id=number)


# --- M2: another merchant --------------------------------------------------------------------------------------------
def test_M2_P42_the_merchant_before_serves_its_orders_to_their_end_and_its_bill_is_compared(
    shop: Shop, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    told, swept, polled, refunded = (shop.paid(gateway, buyer) for _ in range(4))
    unpaid = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
    services.ask_provider(refunded, source="admin")
    shop.become_another()
    new = shop.paid(gateway, buyer)
    assert (new.account_id, new.merchant_id) == (active(gateway).pk, active(gateway).merchant_id)
    assert told.account_id not in (None, new.account_id)

    assert shop.notice(told)
    assert last_notice().account_id == told.account_id
    assert replay_notice(last_notice(), actor="operator").verdict == Notice.Verdict.DUPLICATE
    for each in (swept, new):
        make_due(each)
    make_due(unpaid, expired=True)
    services.follow_orders()
    Order.objects.filter(pk=polled.pk).update(created=Now() - timedelta(minutes=1))
    services.poll_order(Order.objects.get(pk=polled.pk))
    for each in (told, swept, polled, new):
        credited_once(each)
    not_credited(unpaid, Order.State.CLOSED)

    write_options({"WechatEnabled": False, "AlipayEnabled": False})
    refunded.refresh_from_db()
    asked = services.request_refund(refunded, 1000, number=1, actor=staff, reason="test")
    services.submit_refund(asked)
    services.ask_refund(asked)
    assert given_back(refunded) == [1000]
    assert not Alert.objects.filter(event__in=["forged_notice", "notice_mismatch"]).exists()

    code, said = reconcile(gateway)
    assert code == 0, said
    numbers = {told.merchant_id, new.merchant_id}
    assert set(Reconciliation.objects.values_list("merchant_id", flat=True)) == numbers
    assert all(f"{gateway} {number} {clock.today()}: the bill and our books agree." in said for number in numbers)
    assert new.merchant_id not in reconcile(gateway, "--merchant", told.merchant_id)[1]
    assert reconcile(gateway, "--merchant", "1")[0] == 2
    Order.objects.update(created=Now() - timedelta(days=2))
    Reconciliation.objects.all().delete()
    # Early in the day there are no bills of yesterday yet.
    with suppress(NoBill):
        tasks.reconcile()
    assert set(Reconciliation.objects.values_list("merchant_id", flat=True)) == numbers, "though both are off"
    books_agree()


def test_M2_P42_one_merchant_that_is_silent_keeps_the_orders_of_the_other_from_nobody(
    desk: CallbackDesk, buyer: User, settings: Any
) -> None:
    old, new = desk.merchant, OTHER[gateway_of(desk.merchant)]
    dead = [pending_order(buyer, old) for _ in range(40)]
    with ScriptedProvider(new, settings) as provider:
        new.configure()
        paid = [pending_order(buyer, new) for _ in range(9)]
        for order in paid:
            provider.pay(order)
        Order.objects.update(next_ask_at=Now())
        # Five that nobody answers are enough; those that others ask about at that moment are asked to the end.
        assert len(paid) + 5 <= services.follow_orders() < len(paid) + 5 + WORKERS
    assert Order.objects.filter(state="paid").count() == len(paid)
    assert not Order.objects.filter(pk__in=[order.pk for order in dead]).exclude(state="pending").exists()


def test_M2_P42_a_detour_over_an_emptied_page_strands_nothing_and_coming_back_is_the_same_account(
    desk: CallbackDesk, buyer: User, books_agree: Callable[[], None]
) -> None:
    name, merchant = gateway_of(desk.merchant), desk.merchant
    order, late, last = (pending_order(buyer, merchant) for _ in range(3))
    own = active(name)
    write_options(EMPTIED[name])
    assert not MerchantAccount.objects.filter(active=True).exists()
    assert desk.acknowledged(merchant.notice(order))
    credited_once(order)
    OTHER[name].configure()
    assert desk.acknowledged(merchant.notice(late))
    credited_once(late)
    merchant.configure()
    assert active(name) == own
    assert desk.acknowledged(merchant.notice(last))
    assert MerchantAccount.objects.filter(gateway=name).count() == 2
    books_agree()


def test_M2_a_key_cleared_stops_the_account_and_keeps_it_active(desk: CallbackDesk, buyer: User) -> None:
    name = gateway_of(desk.merchant)
    order, own = pending_order(buyer, desk.merchant), active(name)
    off = {"WechatEnabled": False, "WechatApiV2Key": None}
    write_options(off if name == "wechat" else {"AlipayEnabled": False, "AlipayPublicKey": None})
    assert active(name) == own
    assert desk.deliver(desk.merchant.notice(order)).status_code == 404
    desk.merchant.configure()
    assert desk.acknowledged(desk.merchant.notice(order))


def test_M2_a_gateway_that_was_never_configured_answers_nobody(provider: Client, buyer: User) -> None:
    for name, merchant in (("wechat", WECHAT), ("alipay", ALIPAY)):
        order = pending_order(buyer, merchant)
        assert CallbackDesk(merchant, provider).deliver(merchant.notice(order)).status_code == 404, name
    assert not Notice.objects.exists()


def test_M2_an_app_may_change_within_an_account_of_wechats(
    wechat: WeChatMerchant, buyer: User, provider: Client
) -> None:
    desk, order = CallbackDesk(wechat, provider), pending_order(buyer, wechat)
    write_options({"WechatAppId": "wx0000000000000002"})
    assert MerchantAccount.objects.get().app_ids == [wechat.app_id, "wx0000000000000002"]
    assert desk.acknowledged(wechat.notice(order))
    credited_once(order)
    own = services.open_gateway_of(pending_order(buyer, wechat))
    assert own is not None
    assert own.app_id == wechat.app_id
    assert not MerchantAccount.objects.get().keys_until(clock.now()), "no key was replaced"


def test_M2_the_same_app_with_another_seller_is_another_account(
    alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, alipay)
    AlipayMerchant(alipay.app_id, "2088102146225999").configure()
    assert MerchantAccount.objects.filter(app_id=alipay.app_id).count() == 2
    assert CallbackDesk(alipay, provider).acknowledged(alipay.notice(order))
    credited_once(order)
    assert last_notice().account == order.account


# --- Keys that nobody knows ------------------------------------------------------------------------------------------
def test_M2_P41_orders_without_keys_are_told_as_still_to_be_asked_until_somebody_enters_them(
    desk: CallbackDesk, scripted: ScriptedProvider, buyer: User, books_agree: Callable[[], None]
) -> None:
    name, merchant = gateway_of(desk.merchant), desk.merchant
    order = pending_order(buyer, merchant, expires_at=clock.now() - timedelta(hours=3), next_ask_at=clock.now())
    OTHER[name].configure()
    MerchantAccount.objects.filter(active=False).update(kept=Secret())
    services.follow_orders()
    order.refresh_from_db()
    assert (order.review, order.state) == (KEYLESS, Order.State.PENDING)
    books_agree()
    (line,) = audit.open_ends()
    assert line.startswith(f"still to be asked: 1 orders of merchant {order.merchant_id}")
    assert not desk.acknowledged(merchant.notice(order))
    with pytest.raises(NoBill) as told:
        tasks.reconcile()
    assert order.merchant_id not in str(told.value), "its bill is not to be had, today or tomorrow"

    scripted.pay(order)
    merchant.configure()
    services.follow_orders()
    credited_once(order)
    assert audit.open_ends() == []
    books_agree()


# --- M3: another key -------------------------------------------------------------------------------------------------
def replaced_keys(merchant: Any) -> list[Any]:
    """The merchant with its key, with a second, with a third."""
    if gateway_of(merchant) == "wechat":
        return [merchant, *(WeChatMerchant(key=letter * 16 + merchant.key[:16]) for letter in "Ab")]
    return [merchant, AlipayMerchant(), AlipayMerchant()]


def test_M3_P42_a_key_that_was_replaced_verifies_for_a_day_and_is_forged_afterwards(
    desk: CallbackDesk, buyer: User, books_agree: Callable[[], None]
) -> None:
    name, (first, second, third) = gateway_of(desk.merchant), replaced_keys(desk.merchant)
    for key in (second, third):
        key.configure()
    account = MerchantAccount.objects.get()
    assert len(account.keys_until(clock.now())) == 2
    for key in (first, second, third):
        order = pending_order(buyer, key)
        assert desk.acknowledged(key.notice(order)), f"{name}: key of {key}"
        credited_once(order)
    stranger, order = replaced_keys(desk.merchant)[1], pending_order(buyer, first)
    if name == "alipay":
        assert not desk.acknowledged(stranger.notice(order))
        not_credited(order)

    former = json.loads(account.former.reveal())
    kept_for = clock.now() + FORMER_FOR
    assert all(abs(datetime.fromisoformat(each["until"]) - kept_for) < timedelta(minutes=1) for each in former)
    for each in former:
        each["until"] = (clock.now() - timedelta(seconds=1)).isoformat()
    MerchantAccount.objects.update(former=Secret(json.dumps(former)))
    for key in (first, second):
        assert not desk.acknowledged(key.notice(order))
        assert last_notice().verdict == Notice.Verdict.FORGED
        assert last_notice().account is None
    not_credited(order)
    assert alert("forged_notice").level == "critical"
    books_agree()


def test_M3_what_the_old_key_vouches_for_is_confirmed_with_the_new_one(
    desk: CallbackDesk, buyer: User, settings: Any
) -> None:
    first, second, _third = replaced_keys(desk.merchant)
    write_options({"ConfirmAbove": "0"})
    with ScriptedProvider(second, settings) as provider:
        second.configure()
        order = pending_order(buyer, second)
        provider.pay(order)
        assert desk.acknowledged(first.notice(order))
        assert provider.operations() == ["query"]
    credited_once(order)


# --- M6: another address ---------------------------------------------------------------------------------------------
def test_M6_the_address_was_changed_and_the_account_before_is_asked_at_its_own(
    desk: CallbackDesk, scripted: ScriptedProvider, buyer: User, settings: Any, books_agree: Callable[[], None]
) -> None:
    desk.merchant.configure()
    swept, told = (pending_order(buyer, desk.merchant) for _ in range(2))
    for each in (swept, told):
        scripted.pay(each)
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = ""
    name = gateway_of(desk.merchant)
    assert services.open_gateway(name).live
    assert (active(name).live, swept.account and swept.account.live) == (True, False)
    make_due(swept)
    services.follow_orders()
    # The keys are those of both: the notice is believed once its own platform says the same.
    assert desk.acknowledged(desk.merchant.notice(told))
    for each in (swept, told):
        credited_once(each)
    assert scripted.operations() == ["query", "query"]
    books_agree()


def test_M6_of_two_accounts_of_one_number_the_claimed_orders_verifies(
    desk: CallbackDesk, buyer: User, settings: Any, books_agree: Callable[[], None]
) -> None:
    """The address was changed and the key with it, so the notice is only the account's before."""
    order, (_first, second, _third) = pending_order(buyer, desk.merchant), replaced_keys(desk.merchant)
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = ""
    second.configure()
    assert not desk.acknowledged(second.notice(order)), "the order is not that account's"
    assert desk.acknowledged(desk.merchant.notice(order))
    credited_once(order)
    assert last_notice().account == order.account
    books_agree()


# --- Holding under anything ------------------------------------------------------------------------------------------
def test_two_who_save_at_once_leave_one_active_account_that_is_the_settings(desk: CallbackDesk) -> None:
    name = gateway_of(desk.merchant)
    for _ in range(3):
        at_once(*[merchant.configure for merchant in (desk.merchant, OTHER[name])])
        assert active(name).identity["merchant_id"] == services.open_gateway(name).merchant_id
        assert MerchantAccount.objects.filter(gateway=name).count() == 2


def test_a_save_that_dies_on_the_way_changes_neither_settings_nor_account(wechat: WeChatMerchant) -> None:
    keeper, before = GatewaySettings._keep_account, active("wechat")

    def die(section: GatewaySettings) -> None:
        keeper(section)
        raise KeyboardInterrupt

    GatewaySettings.accounts_are_kept_by(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            OTHER["wechat"].configure()
    finally:
        GatewaySettings.accounts_are_kept_by(keeper)
    assert WeChatSettings.load().mch_id == wechat.mch_id
    assert (active("wechat"), MerchantAccount.objects.count()) == (before, 1)


def test_a_notice_of_the_active_account_costs_the_same_however_many_are_retired(
    desk: CallbackDesk, buyer: User
) -> None:
    def statements() -> int:
        order = pending_order(buyer, desk.merchant)
        with CaptureQueriesContext(connection) as queries:
            assert desk.acknowledged(desk.merchant.notice(order))
        return len(queries)

    # Sections are made on first use, and read again when they were written.
    alone = [statements() for _ in range(3)][-1]
    OTHER[gateway_of(desk.merchant)].configure()
    desk.merchant.configure()
    statements()
    assert statements() == alone
    assert burden_of(active(gateway_of(desk.merchant))).orders == 5
