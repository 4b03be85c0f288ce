"""How many clicks an operator needs for what customers ask every day (docs/operations.md lists them); and that what
buyers are told fits a phone."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.support.select import Select

from sandbox import buyer as phone
from sandbox.management.commands import open_sandbox_accounts
from sandbox.models import Trade
from tests.browser.conftest import Browsers
from tests.browser.person import Person
from tests.browser.test_recharge import CARD, start_paying
from tests.ledger import dated, spend
from tests.merchants import WECHAT
from tests.operators import PASSWORD, clerk
from tests.orders import pending_order
from tests.processes import Server
from topup import services
from topup.models import CodeBatch, Order, RechargeSettings, RedemptionCode, Refund
from topup.models.sections.wechat import WeChatSettings
from voicehelper import clock
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import create_api_key
from voicehelper.changes import changes_since, record, snapshot
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "a[href='/admin/topup/order/']"
BOX = "#searchbar, [name=q]"


class Counting:
    """An operator whose clicks and Enters are counted, from the front page on."""

    def __init__(self, operator: Person, staff: User) -> None:
        self.clicks, self.operator = 0, operator
        operator.is_signed_in(staff)
        operator.visit("/admin/")

    def click(self, selector: str) -> None:
        self.clicks += 1
        self.operator.click(selector)
        self.operator.loaded()

    def took_at_most(self, most: int, job: str) -> None:
        """See docs/operations.md, "How many clicks"."""
        print(f"{job}: {self.clicks} clicks")
        assert self.clicks <= most

    def look_for(self, term: str, among: str = ORDERS) -> None:
        self.click(among)
        self.operator.sees(BOX)
        self.operator.fill(BOX, term)
        self.clicks += 1
        self.operator.press(Keys.ENTER)
        self.operator.until(lambda: "q=" in self.operator.path, "nothing was searched")
        self.operator.loaded()


@pytest.fixture
def operator(open_browser: Callable[..., Person], staff: User) -> Counting:
    return Counting(open_browser("desktop"), staff)


@pytest.fixture
def newcomer(transactional_db: None, browsers: Browsers, server: Server, staff: User) -> Iterator[Counting]:
    """An operator of a system where nothing is set up."""
    yield Counting(browsers.person("desktop", javascript=True), staff)
    browsers.rest()


@pytest.fixture
def lost(shop: User, server: Server, settings: Any) -> Trade:
    """Paid at WeChat Pay; its notice never came."""
    settings.WECHAT_PAY_BASE_URL = f"{server.address}/sandbox/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{server.address}/sandbox/alipay/gateway.do"
    order = services.place_order(shop, "wechat", 10, client_ip="127.0.0.1")
    trade = Trade.objects.select_related("merchant").get(out_trade_no=order.order_no)
    return phone.pay(trade, {"drop": {}})


def is_credited(operator: Counting) -> None:
    operator.operator.until(lambda: Order.objects.get().state == "paid", "not credited")
    operator.operator.sees("#content-main", "5,000,000")


def test_paid_no_quota_by_the_platforms_number_takes_at_most_four_clicks(operator: Counting, lost: Trade) -> None:
    operator.look_for(lost.transaction_id)
    operator.click("#ask-wechat")
    is_credited(operator)
    operator.took_at_most(4, "paid, no quota: platform's number")


@pytest.mark.rare
def test_paid_no_quota_by_amount_and_hour_takes_at_most_five_clicks(operator: Counting, lost: Trade) -> None:
    moment = (clock.now() - timedelta(minutes=1)).astimezone(clock.BEIJING)
    operator.look_for(f"73.00 {moment:%H:%M}")
    operator.click(f"a[href*='/admin/topup/order/{Order.objects.get().pk}/change/']")
    operator.click("form[action$='/do/ask/'] button")
    is_credited(operator)
    operator.took_at_most(5, "paid, no quota: amount and hour")


@pytest.mark.rare
def test_a_refund_with_a_second_look_takes_at_most_three_clicks(operator: Counting, lost: Trade) -> None:
    RechargeSettings.objects.update(approve_refunds_above="1")
    services.ask_provider(Order.objects.get(), source="admin")
    order = Order.objects.get()
    helper = clerk("view_order", "change_order", "view_refund", "add_refund", "change_refund")
    operator.operator.is_signed_in(helper)
    operator.operator.visit(f"/admin/topup/order/{order.pk}/change/")
    operator.operator.fill("form[action$='/refund/'] [name=reason]", "Bought by mistake")
    operator.click("form[action$='/refund/'] button")
    operator.operator.sees("#confirm", "¥73.00")
    operator.click("#confirm")
    operator.operator.until(lambda: Refund.objects.get().needs_approval, "no refund")
    operator.took_at_most(3, "refund, with a look at what it does")
    boss = Counting(operator.operator, User.objects.get(username="operator"))
    boss.click("a[href='/admin/topup/refund/']")
    boss.click(f"a[href*='/admin/topup/refund/{Refund.objects.get().pk}/change/']")
    boss.click("form[action$='/do/approve/'] button")
    boss.operator.until(lambda: Refund.objects.get().approved_by, "not approved")
    boss.took_at_most(3, "refund approved by a second person")


def key_files(folder: Path) -> tuple[dict[str, str], list[str]]:
    """What WeChat Pay gives a merchant of API v3: what is shown, and the files."""
    given = open_sandbox_accounts.wechat_account()
    names = {"client_cert": "apiclient_cert.pem", "client_key": "apiclient_key.pem", "public_key": "pub_key.pem"}
    paths = [folder / name for name in (*names.values(), "readme.pem")]
    for key, path in zip([*names, "mch_id"], paths, strict=True):
        path.write_text(given[key])
    return given, [str(path) for path in paths]


@pytest.mark.rare
def test_a_new_merchant_of_api_v3_takes_its_first_order_after_one_page(newcomer: Counting, tmp_path: Path) -> None:
    given, files = key_files(tmp_path)
    newcomer.click("a[href^='/admin/topup/wechatsettings/']")
    person = newcomer.operator
    newcomer.clicks += 1
    person.find("[data-files] input").send_keys("\n".join(files))
    person.sees("[data-files] output", "Merchant’s certificate · Merchant’s private key · WeChat Pay’s public key")
    person.sees("[data-files] output", "readme.pem")
    for name in ("app_id", "mch_id", "api_v3_key", "public_key_id"):
        person.fill(f"[name={name}]", given[name])
    person.fill("[name=current_password]", PASSWORD)
    newcomer.click("[name=enabled]")
    newcomer.click("[name=_save]")
    person.sees(".vh-status", "On")
    row = WeChatSettings.load()
    assert (row.enabled, row.api_version) == (True, "v3")
    assert row.client_key.reveal().split() == given["client_key"].split()
    newcomer.click(".vh-test button")
    person.sees("#probe", "The connection works")
    newcomer.took_at_most(5, "new merchant of API v3")
    is_paid_by_a_buyer(person)


def is_paid_by_a_buyer(person: Person) -> None:
    buyer = User.objects.create_user("buyer", password="a long buyer password")
    person.is_signed_in(buyer)
    start_paying(person)
    person.pay_on_the_simulated_phone()
    person.sees(CARD.format("paid"), "Balance now\n5,000,000")
    assert Order.objects.get().sign_type == "RSA"
    assert person.complaints() == []


@pytest.mark.rare
def test_a_slip_of_the_decimal_point_is_seen_before_it_is_saved(operator: Counting, shop: User) -> None:
    person = operator.operator
    person.visit("/admin/topup/rechargesettings/1/change/")
    person.fill("[name=price]", "730")
    person.fill("[name=current_password]", "a long operator password")
    operator.click("[name=_save]")
    person.sees("#effects", "+9,900 %")
    assert RechargeSettings.load().price < 10
    operator.click("[name=sure]")
    operator.click("[name=_save]")
    person.until(lambda: RechargeSettings.load().price == 730, "not saved")
    operator.took_at_most(3, "a great change of a price")


@pytest.mark.rare
def test_a_change_of_a_price_is_taken_back_in_three_clicks(operator: Counting, staff: User) -> None:
    row = RechargeSettings.load()
    before = snapshot(row)
    row.price = Decimal(730)
    row.save()
    record(row, changes_since(before, row), by=staff)
    operator.click("a[href='/admin/admin/logentry/']")
    operator.click("#result_list th a")
    operator.operator.fill("[name=current_password]", PASSWORD)
    operator.click("form[action$='/do/take_back/'] button")
    operator.operator.until(lambda: RechargeSettings.load().price < 10, "not taken back")
    operator.took_at_most(3, "a change of a price taken back")


@pytest.mark.rare
def test_a_lost_key_is_found_by_its_end_and_revoked_in_four_clicks(operator: Counting, shop: User) -> None:
    create_api_key(shop, "desk")
    key, text = create_api_key(shop, "notebook")
    operator.look_for(text[-4:], among="a[href='/admin/accounts/apikey/']")
    operator.click(f"a[href*='/admin/accounts/apikey/{key.pk}/change/']")
    operator.operator.fill("form[action$='/do/revoke/'] [name=reason]", "Lost")
    operator.click("form[action$='/do/revoke/'] button")
    operator.operator.until(lambda: ApiKey.objects.get(pk=key.pk).revoked_at, "not revoked")
    operator.took_at_most(4, "a lost API key revoked")


@pytest.mark.rare
def test_what_last_week_brought_and_who_spent_what_yesterday_take_two_clicks(operator: Counting, shop: User) -> None:
    person, today = operator.operator, clock.today()
    last_week = clock.midnight(today - timedelta(days=today.weekday() + 3))
    made = pending_order(shop, WECHAT)
    Order.objects.filter(pk=made.pk).update(state="paid", credited_at=last_week, transaction_id="t1")
    operator.click("a[href='/admin/topup/order/statistics/']")
    operator.click("a[href^='?period=last_week']")
    person.sees("#content", "¥73.00")
    operator.took_at_most(2, "last week's income by gateway")

    credit(shop, 5000, kind=Entry.Kind.GIFT, ref="g", actor="test")
    spend(shop, 1234, ref="s")
    before = Entry.objects.order_by("pk").first()
    assert before
    dated(before.pk, clock.midnight(today) - timedelta(hours=1))
    operator.clicks = 0
    person.visit("/admin/")
    operator.click("a[href='/admin/llm/usage/spenders/']")
    person.sees("#content", "1,234")
    operator.took_at_most(2, "who spent what yesterday")


@pytest.mark.rare
def test_a_code_that_a_customer_pasted_is_found_and_revoked_in_four_clicks(operator: Counting) -> None:
    batch = services.make_codes(CodeBatch(name="Spring", quota=500_000, count=3), by="boss")
    text, code = list(services.texts_of(batch))[1]
    operator.look_for(f"您的兑换码：{text.lower()}", among="a[href='/admin/topup/redemptioncode/']")
    operator.click(f"a[href*='/admin/topup/redemptioncode/{code.pk}/change/']")
    operator.operator.fill("form[action$='/do/revoke/'] [name=reason]", "Sent to the wrong group")
    operator.click("form[action$='/do/revoke/'] button")
    operator.operator.until(lambda: RedemptionCode.objects.get(pk=code.pk).revoked_at, "not revoked")
    operator.took_at_most(4, "a redemption code revoked")


@pytest.mark.rare
def test_quota_is_given_in_five_clicks(operator: Counting, shop: User) -> None:
    wallet = wallet_of(shop)
    operator.look_for(shop.username, among="a[href='/admin/wallet/wallet/']")
    operator.click(f"a[href*='/admin/wallet/wallet/{wallet.pk}/change/']")
    operator.click("form[action$='/adjust/'] button")
    person = operator.operator
    Select(person.find("[name=direction]")).select_by_value("give")
    for name, text in {"amount": "300", "reason": "An outage", "current_password": PASSWORD}.items():
        person.fill(f"[name={name}]", text)
    operator.click(".vh-save button")
    person.until(lambda: wallet_of(shop).balance == 300, "not given")
    operator.took_at_most(5, "quota given")


@pytest.mark.rare
def test_a_buyer_cancels_with_one_click_and_reads_his_receipt_on_a_small_phone(
    shop: User, open_browser: Callable[..., Person], lost: Trade
) -> None:
    RechargeSettings.objects.update(support_contact="kefu@example.com", merchant_name="Example Ltd")
    buyer = open_browser("small phone")
    buyer.is_signed_in(shop)
    second = services.place_order(shop, "alipay", 10, client_ip="127.0.0.1")
    buyer.visit(f"/recharge/orders/{second.order_no}")
    for words in ("AI service recharge", "Example Ltd", "kefu@example.com"):
        buyer.sees("#card", words)
    buyer.click(".cancel button")
    buyer.until(lambda: Order.objects.get(pk=second.pk).cancelled_at, "not cancelled")
    buyer.sees("#card", "ancelled")
    services.ask_provider(Order.objects.get(order_no=lost.out_trade_no), source="admin")
    buyer.visit(f"/recharge/orders/{lost.out_trade_no}/receipt")
    buyer.sees(".receipt", lost.transaction_id)
    assert buyer.script("return document.documentElement.scrollWidth <= innerWidth")
    assert buyer.complaints() == []
