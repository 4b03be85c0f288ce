"""What a buyer sees on the pages of recharging, with and without JavaScript."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from tests.conftest import sampled
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.models import Order
from topup.pages.display import discount_badge
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.qr import qr_image
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, hold

pytestmark = pytest.mark.django_db

INTENT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def page(buyer: User) -> Client:
    """The buyer's browser, reading English, with CSRF checks on."""
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    client.force_login(buyer)
    return client


def text_of(response: Any) -> str:
    """The words of a page, without tags, in one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def post_form(client: Client, **changes: str) -> Any:
    """Sends the recharge form as a browser without JavaScript does, with the token of the page it was on."""
    client.get("/recharge")
    fields = {"amount": "10", "payment_method": "wechat", "intent": INTENT} | changes
    fields["csrfmiddlewaretoken"] = client.cookies["csrftoken"].value
    return client.post("/recharge", fields)


def hidden(body: str, name: str) -> str:
    """What a form of the page sends under a name without being asked."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', body)
    assert found is not None
    return found[1]


def order_in(
    buyer: User, merchant: WeChatMerchant | AlipayMerchant, state: str, *, left_s: int = 600, **changes: Any
) -> Order:
    """An order of that state whose time is over `left_s` seconds from now, and that nobody asks the provider about."""
    now = clock.now()
    if state in Order.CREDITED:
        changes = {"credited_at": now, "transaction_id": f"t{state}"} | changes
    expires = now + timedelta(seconds=left_s)
    return pending_order(buyer, merchant, state=state, expires_at=expires, polled_at=now, **changes)


# --- Who may see what ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/recharge", "/recharge/orders", "/recharge/orders/x", "/recharge/orders/x/card"])
def test_nobody_sees_a_page_without_signing_in(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/sign-in?next={quote(path)}")


def test_I4_a_form_without_its_token_is_refused_in_plain_words(page: Client, wechat: WeChatMerchant) -> None:
    answer = page.post("/recharge", {"amount": "10", "payment_method": "wechat", "intent": INTENT})
    assert answer.status_code == 403
    assert "nothing was done" in text_of(answer)
    assert not Order.objects.exists()


# --- The form --------------------------------------------------------------------------------------------------------
def test_the_head_shows_balance_worth_used_and_what_is_set_aside(page: Client, buyer: User) -> None:
    credit(buyer, 5_000_000, kind=Entry.Kind.GIFT, ref="g", actor="test")
    text = text_of(page.get("/recharge"))
    assert "Balance 5,000,000 ≈ ¥73.00 Used 0" in text
    hold(buyer, 1234, ref="h", life=timedelta(minutes=1))
    assert "Of it set aside 1,234" in text_of(page.get("/recharge"))


def test_presets_say_what_one_pays_and_saves(page: Client, wechat: WeChatMerchant) -> None:
    text = text_of(page.get("/recharge"))
    assert "10 You pay ¥73.00 20 You pay ¥146.00" in text
    assert "100 5% off You pay ¥693.50 Save ¥36.50" in text


def test_a_discount_is_written_as_readers_of_chinese_write_it(page: Client, wechat: WeChatMerchant) -> None:
    assert "100 9.5折 实付 ¥693.50 省 ¥36.50" in text_of(page.get("/recharge", headers={"accept-language": "zh-CN"}))
    assert discount_badge(Decimal(1)) == ""


def test_the_summary_belongs_to_the_amount_in_the_address(page: Client, wechat: WeChatMerchant) -> None:
    text = text_of(page.get("/recharge?amount=100"))
    assert "Recharge amount 100 Quota you get 50,000,000 Original price ¥730.00 Discount −¥36.50" in text
    assert 'name="amount" value="100"' in page.get("/recharge?amount=100").content.decode()


def test_tokens_are_priced_as_tokens(page: Client, wechat: WeChatMerchant) -> None:
    write_options({"QuotaDisplayType": "tokens"})
    text = text_of(page.get("/recharge?amount=750000"))
    assert "¥7.30 for 500,000 tokens" in text
    assert "Recharge amount 750,000 Quota you get 750,000 Original price ¥10.95" in text


@pytest.mark.parametrize(
    ("amount", "words"),
    sampled(
        [
            ("0", "The amount must not be less than 1"),
            ("-5", "The amount must not be less than 1"),
            ("1.5", "Enter the amount as a whole number."),
            ("999999999999999", "This amount cannot be charged."),
            ("9" * 40, "Enter the amount as a whole number."),
            ("", "Enter the amount as a whole number."),
        ],
        keep=3,
    ),
)
def test_an_amount_that_cannot_be_bought_is_explained_and_cannot_be_paid(
    page: Client, wechat: WeChatMerchant, amount: str, words: str
) -> None:
    answer = page.get("/recharge", {"amount": amount})
    assert words in text_of(answer)
    assert re.search(r'<button class="method wechat"[^>]* disabled>', answer.content.decode())


def test_a_way_to_pay_below_its_minimum_is_disabled_and_says_so(
    page: Client, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    write_options({"WechatMinTopUp": 20})
    answer = page.get("/recharge?amount=10")
    body = answer.content.decode()
    assert re.search(r'<button class="method wechat"[^>]* disabled>', body)
    assert re.search(r'<button class="method alipay"[^>]*(?<!disabled)>', body)
    assert "WeChat Pay: from 20" in text_of(answer)


def test_a_way_to_pay_that_is_off_is_not_shown(page: Client, wechat: WeChatMerchant) -> None:
    body = page.get("/recharge").content.decode()
    assert 'value="wechat"' in body
    assert 'value="alipay"' not in body


def test_without_any_way_to_pay_the_page_says_whom_to_ask(page: Client, staff: User) -> None:
    text = text_of(page.get("/recharge"))
    assert "Recharging is not possible yet" in text
    assert "Set up a way to pay" not in text
    page.force_login(staff)
    assert "Set up a way to pay" in text_of(page.get("/recharge"))


# --- Paying without JavaScript ---------------------------------------------------------------------------------------
def test_posting_the_form_leads_to_the_card_of_the_order(page: Client, wechat: WeChatMerchant) -> None:
    """The provider of this test is down: the card says so and offers to try again."""
    answer = post_form(page)
    order = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/recharge/orders/{order.order_no}")
    text = text_of(page.get(answer["Location"]))
    assert "WeChat Pay does not answer You have not been charged." in text


def test_C12_a_form_sent_twice_places_one_order(page: Client, wechat: WeChatMerchant) -> None:
    assert post_form(page)["Location"] == post_form(page)["Location"]
    assert Order.objects.count() == 1
    assert post_form(page, amount="20").status_code == 302
    assert Order.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    sampled(
        [
            ({"amount": "0"}, 400, "The amount must not be less than 5"),
            ({"amount": "4"}, 400, "The amount must not be less than 5"),
            ({"amount": "99999999999"}, 400, "This amount cannot be charged."),
            ({"payment_method": "paypal"}, 400, "Unsupported payment channel"),
            ({"payment_method": "alipay"}, 503, "The administrator has not enabled Alipay!"),
            ({"intent": "../../x"}, 400, "Enter the amount as a whole number."),
        ],
        keep=3,
    ),
)
def test_a_form_that_cannot_be_served_comes_back_with_the_reason(
    page: Client, wechat: WeChatMerchant, changes: dict[str, str], status: int, words: str
) -> None:
    write_options({"WechatMinTopUp": 5})
    answer = post_form(page, **changes)
    assert answer.status_code == status
    assert words in text_of(answer)
    assert not Order.objects.exists()


def test_P47_a_price_raised_behind_an_open_page_is_shown_before_anything_is_ordered(
    page: Client, wechat: WeChatMerchant, books_agree: Callable[[], None]
) -> None:
    opened = page.get("/recharge").content.decode()
    write_options({"Price": "9.9"})
    answer = post_form(page, quoted=hidden(opened, "quoted"))
    assert answer.status_code == 409
    assert "The price has changed: you now pay ¥99.00. Pay again to agree." in text_of(answer)
    assert "Original price ¥99.00" in text_of(answer)
    assert not Order.objects.exists()
    fresh = answer.content.decode()
    assert post_form(page, quoted=hidden(fresh, "quoted"), intent=hidden(fresh, "intent")).status_code == 302
    assert Order.objects.get().amount_fen == 9900
    books_agree()


def test_P47_a_bonus_that_ended_behind_an_open_page_is_told_before_anything_is_ordered(
    page: Client, wechat: WeChatMerchant
) -> None:
    write_options({"AmountBonus": {"10": 1}})
    opened = page.get("/recharge").content.decode()
    assert hidden(opened, "quoted_quota") == "5500000"
    write_options({"AmountBonus": {}})
    told = {name: hidden(opened, name) for name in ("quoted", "quoted_quota")}
    answer = post_form(page, **told)
    assert "¥73.00 now buy 5,000,000 quota. Pay again to agree." in text_of(answer)
    assert (answer.status_code, Order.objects.count()) == (409, 0)
    fresh = answer.content.decode()
    told = {name: hidden(fresh, name) for name in ("quoted", "quoted_quota", "intent")}
    assert post_form(page, **told).status_code == 302


def test_P47_ordering_again_from_an_old_card_asks_before_it_costs_more(
    page: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = order_in(buyer, wechat, "failed")
    shown = page.get(f"/recharge/orders/{order.order_no}")
    assert "You pay ¥73.00" in text_of(shown)
    write_options({"Price": "9.9"})
    answer = post_form(page, quoted=hidden(shown.content.decode(), "quoted"))
    assert (answer.status_code, Order.objects.count()) == (409, 1)
    assert "You pay ¥99.00" in card_text(page, order)


def test_posting_the_form_has_the_brake_of_the_pay_api(page: Client, wechat: WeChatMerchant, settings: Any) -> None:
    settings.PAY_RATE_LIMIT = "1 per minute"
    assert post_form(page).status_code == 302
    answer = post_form(page, amount="20")
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert "Please wait 1 minute" in text_of(answer)
    assert Order.objects.count() == 1


# --- The card --------------------------------------------------------------------------------------------------------
def card_text(page: Client, order: Order) -> str:
    return text_of(page.get(f"/recharge/orders/{order.order_no}/card"))


def test_the_waiting_card_shows_code_price_time_and_refreshes_itself(
    page: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat)
    answer = page.get(f"/recharge/orders/{order.order_no}")
    body, text = answer.content.decode(), text_of(answer)
    assert qr_image(order.pay_url) in body
    assert f'data-code="{order.pay_url}"' in body
    assert "Scan with WeChat to pay ¥73.00" in text
    assert re.search(r"Time left (30:00|29:5\d)", text)
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in body
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"


def test_the_simulated_phone_is_offered_only_beside_the_sandbox(
    page: Client, buyer: User, wechat: WeChatMerchant, settings: Any
) -> None:
    order = pending_order(buyer, wechat, pay_url="weixin://wxpay/bizpayurl?pr=a&b")
    link = 'href="/sandbox/phone?code=weixin%3A%2F%2Fwxpay%2Fbizpayurl%3Fpr%3Da%26b"'
    assert link in page.get(f"/recharge/orders/{order.order_no}").content.decode()
    settings.SANDBOX = False
    assert "/sandbox" not in page.get(f"/recharge/orders/{order.order_no}").content.decode()


def test_the_paid_card_tells_credit_and_balance_and_rests(page: Client, buyer: User, wechat: WeChatMerchant) -> None:
    credit(buyer, 5_000_000, kind=Entry.Kind.TOPUP, ref="r", actor="test")
    order = order_in(buyer, wechat, "paid")
    body = page.get(f"/recharge/orders/{order.order_no}").content.decode()
    assert "Payment received Credited +5,000,000 You paid ¥73.00 Balance now 5,000,000 ≈ ¥73.00" in card_text(
        page, order
    )
    assert 'http-equiv="refresh"' not in body
    assert "data-polling" not in body
    assert "data-code" not in body


@pytest.mark.parametrize(
    ("state", "facts", "words", "next_step"),
    sampled(
        [
            ("closed", {}, "This order has expired You have not been charged.", "Order again · ¥73.00"),
            ("failed", {}, "WeChat Pay did not accept this order, and you have not been charged.", "Pay with Alipay"),
            ("created", {"pay_url": ""}, "WeChat Pay does not answer You have not been charged.", "Try again"),
            ("pending", {"left_s": -1}, "We are asking WeChat Pay whether you have paid.", "Check now"),
            ("pending", {"left_s": -1, "review": "x"}, "Nothing you have paid is lost", "Back to recharging"),
            ("refunded", {}, "Refunded", "See all orders"),
            ("partly_refunded", {}, "Partly refunded", "See all orders"),
        ],
        keep=3,
    ),
)
def test_each_state_has_its_words_and_a_next_step(
    page: Client,
    buyer: User,
    wechat: WeChatMerchant,
    alipay: AlipayMerchant,
    state: str,
    facts: dict[str, Any],
    words: str,
    next_step: str,
) -> None:
    text = card_text(page, order_in(buyer, wechat, state, **facts))
    assert words in text
    assert next_step in text


def test_not_charged_is_said_only_when_the_provider_has_confirmed_it(
    page: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = order_in(buyer, wechat, "pending", left_s=-1)
    text = card_text(page, order)
    assert "not been charged" not in text
    assert "Order again" not in text


def test_ordering_again_costs_what_it_costs_today(page: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = order_in(buyer, wechat, "closed")
    write_options({"Price": "8"})
    assert "Order again · ¥80.00" in card_text(page, order)
    write_options({"QuotaDisplayType": "tokens"})
    assert "Order again" not in card_text(page, order)


def test_the_providers_own_words_are_not_shown_to_the_buyer(page: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = order_in(buyer, wechat, "failed", failure="<b>SIGNERROR key 1234</b>")
    assert "SIGNERROR" not in page.get(f"/recharge/orders/{order.order_no}").content.decode()


def test_a_refused_payment_names_its_order_to_the_browser(
    page: Client, wechat: WeChatMerchant, as_user: Callable[[User | None], Any], buyer: User
) -> None:
    answer = as_user(buyer).post("/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"}, format="json")
    assert answer.status_code == 502
    assert answer["X-Order-Id"] == Order.objects.get().order_no


# --- The history -----------------------------------------------------------------------------------------------------
def test_an_empty_history_leads_to_recharging(page: Client) -> None:
    text = text_of(page.get("/recharge/orders"))
    assert "No orders yet" in text
    assert "Recharge now" in text


def test_the_history_has_pages_and_states(
    page: Client, buyer: User, wechat: WeChatMerchant, django_assert_max_num_queries: Any
) -> None:
    order_in(buyer, wechat, "created", pay_url="")
    for state in ["closed", "failed", "paid", "refunded", *["pending"] * 20]:
        order_in(buyer, wechat, state)
    # The first visit makes a wallet and notes the device, once.
    page.get("/recharge/orders")
    with django_assert_max_num_queries(10):
        first = text_of(page.get("/recharge/orders"))
    second = text_of(page.get("/recharge/orders?page=2"))
    assert "Page 1 of 2" in first
    assert first.count("Waiting for payment") == 20
    for word in ("Expired", "Failed", "Refunded", "In progress", "Credited", "+5,000,000"):
        assert word in second
    assert "Page 2 of 2" in text_of(page.get("/recharge/orders?page=77"))
    assert "Page 1 of 2" in text_of(page.get("/recharge/orders?page=x"))


# --- Every page ------------------------------------------------------------------------------------------------------
def test_a_crash_is_told_in_plain_words(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topup.pages.recharge.shown_balance", lambda *_: 1 // 0)
    page.raise_request_exception = False
    answer = page.get("/recharge")
    assert answer.status_code == 500
    assert "Nothing you did was lost." in text_of(answer)


def test_pages_speak_the_readers_language_and_the_choice_is_kept(page: Client, wechat: WeChatMerchant) -> None:
    assert "选择充值数量" in text_of(page.get("/recharge", headers={"accept-language": "zh-CN,zh;q=0.9"}))
    assert "选择充值数量" in text_of(page.get("/recharge", headers={"accept-language": "fr"}))
    token = page.cookies["csrftoken"].value
    chosen = page.post(
        "/i18n/setlang/",
        {"language": "zh-hans", "csrfmiddlewaretoken": token},
        headers={"referer": "http://testserver/recharge"},
    )
    assert (chosen.status_code, chosen["Location"]) == (302, "http://testserver/recharge")
    assert "选择充值数量" in text_of(page.get("/recharge"))
