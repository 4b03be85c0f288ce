"""Refunds in the admin: who may, how it is asked for, what is said, what is shown."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from notifications.models import Alert
from sandbox.faults import write_script
from tests.certificates import issue
from tests.conftest import rarely, sampled
from tests.ledger import spend
from tests.merchants import WECHAT, WeChatMerchant
from tests.operators import browser_of, clerk
from tests.refunds import given_back, open_accounts, paid_order, sandbox_server
from topup import services
from topup.models import MerchantAccount, Order, RechargeSettings, Refund
from topup.models.sections import WeChatSettings
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.admin import base
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


@pytest.fixture
def order(provider: str, buyer: User) -> Order:
    return paid_order(buyer, "wechat")


@pytest.fixture
def people(db: None) -> tuple[User, User]:
    return clerk(*MAY_REFUND, name="first"), clerk(*MAY_REFUND, name="second")


MAY_REFUND = ("view_order", "change_order", "view_refund", "add_refund", "change_refund")


def do(browser: Client, record: Any, name: str, **data: str) -> str:
    """Press a button; the page that follows."""
    url = base.change_url(record).replace("/change/", f"/do/{name}/")
    return str(browser.post(url, data, follow=True).text)


def look(browser: Client, order: Order, amount: str, **more: str) -> str:
    """Send the form on the order's page; the page that follows, which shows what would happen."""
    url = base.change_url(order).replace("/change/", "/refund/")
    form = {"amount": amount, "number": "1", "reason": "Bought by mistake"} | more
    return str(browser.post(url, form, follow=True).text)


def confirm(browser: Client, order: Order, page: str) -> str:
    """Press the button of that page, which holds all that it sends."""
    form = page[page.index('<form method="post" class="vh-form">') : page.index('id="confirm"')]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', form))
    assert form.count("<input") == len(fields), "no field to type in, where Enter would press the button"
    return str(browser.post(base.change_url(order).replace("/change/", "/refund/"), fields, follow=True).text)


def refund(browser: Client, order: Order, amount: str, **more: str) -> str:
    """Both steps; where the first is refused, what it says."""
    page = look(browser, order, amount, **more)
    return confirm(browser, order, page) if 'id="confirm"' in page else page


def test_R12_an_operator_refunds_and_is_told_what_became_of_it_also_while_the_gateway_is_off(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    write_options({"WechatEnabled": False})
    browser = browser_of(staff)
    page = browser.get(base.change_url(order)).text
    assert 'name="amount" value="73.00"' in page
    said = refund(browser, order, "30")
    assert "The platform is giving ¥30.00 back" in said
    made = Refund.objects.get()
    assert base.change_url(made).split("?")[0] in said or made.refund_no in said
    services.ask_refund(made)
    page = browser.get(base.change_url(made)).text
    for shown in ("Refunded", "Refund requested", "Refund sent", "Refund confirmed", "Bought by mistake", "¥30.00"):
        assert shown in page, shown
    page = browser.get(base.change_url(order)).text
    assert "Partly refunded" in page
    assert made.refund_no in page
    assert 'value="43.00"' in page
    assert made.refund_no in browser.get("/admin/topup/refund/", {"q": order.order_no}).text
    assert given_back(order) == [3000]
    books_agree()


NO_AMOUNTS = [
    "1e-2", "٠.٠١", "0,01", "0.01元", *rarely("0_0.01", "+0.01", "1²", "0x1", "NaN", "．", "￥￥1", "abc", "1e2x"),
]  # fmt: skip


@pytest.mark.parametrize("amount", NO_AMOUNTS)
def test_R01_an_amount_that_could_mean_something_else_is_refused_in_words(
    order: Order, staff: User, amount: str
) -> None:
    assert "is not an amount" in look(browser_of(staff), order, amount)
    assert not Refund.objects.exists()


def test_R01_no_amount_or_more_than_was_paid_or_no_reason_is_refused(order: Order, staff: User) -> None:
    browser = browser_of(staff)
    for amount in ("", "0", "-1", "73.01", "1.005", "99999999999999999999"):
        said = refund(browser, order, amount)
        assert "vh-toasts" in said or "error" in said, amount
    assert "Say why" in refund(browser, order, "30", reason=" ")
    assert not Refund.objects.exists()


@pytest.mark.rare
def test_R01_an_amount_as_chinese_keyboards_write_it_is_understood(
    order: Order, staff: User, books_agree: Callable[[], None]
) -> None:
    browser = browser_of(staff)
    for number, amount in enumerate(
        ("￥0.01", "¥0.01", "￥０．０１", "０.01", " 0.01\u3000", "\ufeff￥ 0.01\u200b"), 1
    ):
        refund(browser, order, amount, number=str(number))
    assert list(Refund.objects.values_list("amount_fen", flat=True)) == [1] * 6
    books_agree()


# --- The second look -------------------------------------------------------------------------------------------------
def test_the_form_alone_sends_nothing_and_shows_what_would_happen(order: Order, buyer: User, staff: User) -> None:
    browser = browser_of(staff)
    for _ in range(3):
        page = look(browser, order, "30", reason="<b>Enter</b>")
    taken = order.quota * 3000 // 7300
    shown = ("¥30.00", "of ¥73.00 paid", "buyer", f"{taken:,} quota", f"{order.quota - taken:,} quota", "¥43.00")
    for words in (*shown, "&lt;b&gt;Enter", "told at once"):
        assert words in page, words
    assert "autofocus" not in page
    assert not Refund.objects.exists()
    assert (given_back(order), wallet_of(buyer).held, wallet_of(buyer).balance) == ([], 0, order.quota)
    assert "went back" in confirm(browser, order, page) or Refund.objects.get().amount_fen == 3000


def test_what_changed_since_it_was_shown_is_shown_again_and_not_done(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    """Looked at with all quota there; spent before the button was pressed."""
    browser = browser_of(staff)
    page = look(browser, order, "73", take_what_is_left="on")
    assert "lost to us" not in page
    spend(buyer, 1_500_000, ref="spent")
    page = confirm(browser, order, page)
    for words in (
        "Something changed meanwhile",
        f"{order.quota - 1_500_000:,} quota",
        "1,500,000 quota more are spent",
    ):
        assert words in page, words
    assert not Refund.objects.exists()
    confirm(browser, order, page)
    assert (Refund.objects.get().shortfall, Refund.objects.count()) == (1_500_000, 1)
    books_agree()


@pytest.mark.rare
def test_the_second_look_says_that_somebody_must_approve(order: Order, people: tuple[User, User]) -> None:
    RechargeSettings.objects.update(approve_refunds_above=50)
    browser = browser_of(people[0])
    assert "told at once" in look(browser, order, "50")
    page = look(browser, order, "50.01")
    assert "only after a second person has approved it" in page
    # The limit was raised meanwhile: it would be sent, and that was not what the page said.
    RechargeSettings.objects.update(approve_refunds_above=60)
    assert "told at once" in confirm(browser, order, page)
    assert not Refund.objects.exists()


@pytest.mark.rare
def test_N2_the_form_says_how_much_of_the_limit_is_used_up(order: Order, people: tuple[User, User]) -> None:
    RechargeSettings.objects.update(approve_refunds_above=50)
    browser = browser_of(people[0])
    assert "used up" not in browser.get(base.change_url(order)).text
    refund(browser, order, "50")
    assert "¥50.00 of that are used up" in browser.get(base.change_url(order)).text
    assert "only after a second person has approved it" in look(browser, order, "0.01", number="2")


@pytest.mark.rare
def test_the_same_form_sent_twice_is_one_refund(order: Order, staff: User) -> None:
    browser = browser_of(staff)
    page = look(browser, order, "30")
    for _ in range(2):
        confirm(browser, order, page)
    # Nor is it shown as something that would happen once more.
    assert "What will happen" not in look(browser, order, "30")
    assert Refund.objects.count() == 1
    assert "Something changed meanwhile" in refund(browser, order, "31")


def test_J3_who_may_not_refund_gets_no_button_and_is_refused(order: Order) -> None:
    browser = browser_of(clerk("view_order", "change_order", "view_refund"))
    assert 'name="amount"' not in browser.get(base.change_url(order)).text
    for path in ("/refund/", "/do/refund/"):
        url = base.change_url(order).replace("/change/", path)
        form = {"amount": "1", "number": "1", "reason": "x", "seen": "100/68493/sent"}
        assert browser.post(url, form).status_code == 403
    assert not Refund.objects.exists()


def test_J3_above_the_limit_a_second_person_approves(order: Order, people: tuple[User, User]) -> None:
    RechargeSettings.objects.update(approve_refunds_above=50)
    first, second = people
    said = refund(browser_of(first), order, "73.00")
    assert "when a second person approves" in said
    made = Refund.objects.get()
    Refund.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
    services.settle_unknown_refunds()
    assert (given_back(order), Refund.objects.get().state) == ([], "requested")
    page = browser_of(first).get(base.change_url(made)).text
    assert "Somebody else must approve" in page
    do(browser_of(first), made, "approve")
    assert Refund.objects.get().state == "requested"
    assert "Waits for approval" in browser_of(second).get("/admin/topup/refund/?mark=approval").text
    do(browser_of(second), made, "approve")
    assert given_back(order) == [7300]


@pytest.mark.rare
def test_what_waits_for_approval_can_be_withdrawn(order: Order, buyer: User) -> None:
    RechargeSettings.objects.update(approve_refunds_above=50)
    first = clerk(*MAY_REFUND)
    refund(browser_of(first), order, "73.00")
    said = do(browser_of(first), Refund.objects.get(), "withdraw", reason="not after all")
    assert "Withdrawn" in said
    assert (Refund.objects.get().state, wallet_of(buyer).held) == ("failed", 0)


@pytest.mark.rare
def test_spent_quota_is_explained_and_only_a_superuser_may_go_on(order: Order, buyer: User, staff: User) -> None:
    spend(buyer, order.quota - 500_000, ref="spent")
    browser = browser_of(clerk(*MAY_REFUND))
    page = browser.get(base.change_url(order)).text
    assert 'value="7.30"' in page
    assert "take_what_is_left" not in page
    assert "7.30 can be refunded" in refund(browser, order, "73.00")
    assert "Only a superuser" in refund(browser, order, "73.00", take_what_is_left="on")
    assert "take_what_is_left" in browser_of(staff).get(base.change_url(order)).text
    refund(browser_of(staff), order, "73.00", take_what_is_left="on")
    made = Refund.objects.get()
    assert (made.quota, made.shortfall) == (500_000, order.quota - 500_000)
    assert "Quota was spent" in browser_of(staff).get(base.change_url(made)).text


@pytest.mark.rare
def test_a_refund_without_an_answer_says_not_to_refund_twice(order: Order, staff: User) -> None:
    write_script({"gateway": "wechat", "operation": "refund", "fault": "http_500", "after_work": True})
    assert "do not refund a second time" in refund(browser_of(staff), order, "73.00")
    made = Refund.objects.get()
    assert "73.00 went back" in do(browser_of(staff), made, "ask")


def test_the_buttons_explain_why_there_is_no_refund(order: Order, staff: User, provider: str) -> None:
    browser = browser_of(staff)
    write_options({"WechatClientCert": None, "WechatClientKey": None})
    assert "upload apiclient_cert.pem" in browser.get(base.change_url(order)).text
    assert "upload apiclient_cert.pem" in refund(browser, order, "1")
    write_options({"WechatEnabled": False, "WechatApiV2Key": None})
    assert "The gateway is not completely configured" in browser.get(base.change_url(order)).text
    assert not Refund.objects.exists()


# --- The certificate -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("days", "tone", "words", "alerts"),
    sampled(
        [
            (365, "vh-on", "certificate good until", 0),
            (20, "vh-trouble", "expires on", 1),
            (-2, "vh-trouble", "expired on", 1),
        ],
        keep=2,
    ),
)
def test_the_section_says_until_when_the_certificate_is_good(
    staff: User, wechat: WeChatMerchant, days: int, tone: str, words: str, alerts: int
) -> None:
    client = issue(WECHAT.mch_id, days=days)
    wechat.configure(WechatClientCert=client.pem, WechatClientKey=client.key)
    page = browser_of(staff).get("/admin/topup/wechatsettings/1/change/").text
    status = page[page.index('class="vh-status') :][:400]
    assert tone in status
    assert words in status
    assert client.pem[60:100] not in page
    for _ in range(2):
        assert services.warn_of_expiry() == alerts
    assert Alert.objects.filter(event="certificate_expires").count() == alerts


@pytest.mark.rare
def test_M2_a_certificate_of_a_retired_account_is_warned_of_while_orders_or_refunds_of_it_are_under_way(
    order: Order, buyer: User, staff: User
) -> None:
    merchant_id, soon = order.merchant_id, issue(order.merchant_id, days=20)
    write_options({"WechatClientCert": soon.pem, "WechatClientKey": soon.key})
    open_order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    refund = services.request_refund(order, 100, number=1, actor=staff, reason="")
    other = issue(WECHAT.mch_id)
    write_options({"WechatMchId": WECHAT.mch_id, "WechatClientCert": other.pem, "WechatClientKey": other.key})
    account = MerchantAccount.objects.get(gateway="wechat", active=False)
    assert account.merchant_id == merchant_id
    assert services.warn_of_expiry() == 1
    told = Alert.objects.get(event="certificate_expires")
    assert merchant_id in told.title
    assert "save there again what they are now" in str(told.texts["content"])
    Order.objects.filter(pk=open_order.pk).update(next_ask_at=None)
    assert services.warn_of_expiry() == 1
    services.ask_refund(services.submit_refund(refund))
    assert Refund.objects.get().state == Refund.State.SUCCEEDED
    assert services.warn_of_expiry() == 0


def test_M1_a_certificate_is_warned_of_while_its_gateway_is_off_and_serves_orders(order: Order, buyer: User) -> None:
    soon = issue(order.merchant_id, days=20)
    write_options({"WechatClientCert": soon.pem, "WechatClientKey": soon.key})
    unpaid = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    write_options({"WechatEnabled": False})
    assert services.warn_of_expiry() == 1
    Order.objects.filter(pk=unpaid.pk).update(next_ask_at=None)
    assert services.warn_of_expiry() == 0


def test_a_certificate_that_is_mixed_up_is_not_saved(staff: User, wechat: WeChatMerchant, as_user: Any) -> None:
    client = issue(WECHAT.mch_id)
    api = as_user(staff)
    for cert, key, field in (
        (client.key, client.key, "WechatClientCert"),
        (client.pem, client.pem, "WechatClientKey"),
        (client.pem, issue("another").key, "WechatClientKey"),
    ):
        answer = api.put("/api/option", {"WechatClientCert": cert, "WechatClientKey": key}, format="json")
        assert (answer.status_code, list(answer.json()["data"])) == (400, [field])
    assert not WeChatSettings.load().client_cert
    both = {"WechatClientCert": client.pem, "WechatClientKey": client.key}
    answer = api.put("/api/option", {**both, "CurrentPassword": "a long operator password"}, format="json")
    assert answer.status_code == 200
    assert (answer.json()["data"]["WechatClientCert"], answer.json()["data"]["WechatClientCertSet"]) == ("", True)
    assert WeChatSettings.load().client_cert.reveal() == client.pem.strip()
