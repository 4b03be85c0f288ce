"""The operators' one search box: a customer reads something out, and the right record opens."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from llm.models import Usage
from tests.merchants import WeChatMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup.models import CodeBatch, Order, RedemptionCode, Refund
from topup.services import make_codes, texts_of
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.admin.base import change_url

pytestmark = pytest.mark.django_db

FIND = "/admin/find/"
REFUND: dict[str, Any] = {"ref": "r1", "amount_fen": 100, "quota": 0, "quota_due": 0, "requested_by": "x"}
TRANSACTION = "4200001234202611301234567890"


@pytest.fixture
def order(buyer: User, wechat: WeChatMerchant) -> Order:
    User.objects.filter(pk=buyer.pk).update(email="Buyer@example.org")
    return pending_order(
        buyer, wechat, state="paid", transaction_id=TRANSACTION, amount_fen=7300, credited_at=clock.now()
    )


@pytest.fixture
def call(buyer: User) -> Usage:
    facts = {"model_name": "deep", "operation": "chat", "usage_source": "provider", "outcome": "ok"}
    return Usage.objects.create(request_id="req_0123456789abcdef", user=buyer, **facts)


@pytest.fixture
def codes(staff: User) -> tuple[CodeBatch, str]:
    batch = CodeBatch(name="Autumn", quota=1000, count=1)
    make_codes(batch, by="operator")
    ((text, _code),) = texts_of(batch)
    return batch, text


def opened(browser: Client, term: str) -> str:
    """Where typing something and pressing Enter ends."""
    answer: Any = browser.post(FIND, {"term": term}, follow=True)
    assert answer.status_code == 200
    return str(answer.redirect_chain[-1][0]) if answer.redirect_chain else FIND


def test_any_number_of_a_customer_opens_its_record(browser: Client, order: Order, call: Usage, buyer: User) -> None:
    refund = Refund.objects.create(order=order, number=1, refund_no="R77001", **REFUND)
    for term, record in {
        order.order_no: order,
        f"  {order.order_no.upper()} ": order,
        TRANSACTION: order,
        "73.00": order,
        "¥73": order,
        refund.refund_no: refund,
        call.request_id: call,
        "buyer": buyer,
        "buyer@EXAMPLE.org": buyer,
        f"#{buyer.pk}": buyer,
    }.items():
        assert opened(browser, term) == change_url(record), term


def test_a_whole_key_and_a_token_open_their_record_and_stand_nowhere(browser: Client, buyer: User, caplog: Any) -> None:
    key, text = create_api_key(buyer, "notebook")
    token = issue_token(buyer)
    for secret, record in ((text, key), (token, buyer)):
        answer: Any = browser.post(FIND, {"term": secret}, follow=True)
        assert [where for where, _status in answer.redirect_chain] == [change_url(record)]
        assert secret not in answer.text
        palette = browser.post(FIND, {"term": secret}, headers={"HX-Request": "true"})
        assert secret not in palette.text
        assert change_url(record) in palette.text
    assert opened(browser, f"{key.prefix}…{key.last4}") == change_url(key)
    assert text not in caplog.text + "".join(entry.change_message for entry in LogEntry.objects.all())


def test_a_key_nobody_has_is_not_repeated_and_never_gets_an_address(browser: Client, codes: tuple[Any, str]) -> None:
    for secret in ("sk-" + "0" * 48, "vh-" + "a" * 43, "0000-0000-0000-0000"):
        answer = browser.post(FIND, {"term": secret})
        assert (answer.status_code, "Nothing was found" in answer.text) == (200, True)
        assert secret not in answer.text
        asked = browser.get(FIND, {"term": secret})
        assert (asked.status_code, asked["Location"]) == (302, FIND)


def test_a_redemption_code_opens_its_page_which_says_what_became_of_it(
    browser: Client, buyer: User, codes: tuple[CodeBatch, str]
) -> None:
    batch, text = codes
    answer: Any = browser.post(FIND, {"term": text.lower()}, follow=True)
    assert answer.redirect_chain[-1][0] == change_url(batch.codes.get())
    assert "Not redeemed" in answer.text
    RedemptionCode.objects.update(redeemed_by=buyer, redeemed_at="2026-11-30T12:00:00Z")
    answer = browser.post(FIND, {"term": text}, follow=True)
    assert all(fact in answer.text for fact in ("Redeemed", "buyer", "2026-11-30 20:00:00"))


def test_what_may_mean_several_things_is_a_list_with_kinds(browser: Client, order: Order) -> None:
    namesake = User.objects.create_user("73")
    page = browser.post(FIND, {"term": "73"}, follow=True)
    assert page.redirect_chain[-1][0] == f"{FIND}?term=73"
    assert change_url(namesake) in page.text
    assert change_url(order) in page.text
    assert re.findall(r'vh-card-title">(\w+)', page.text)[:2] == ["Order", "User"]


def test_the_page_of_a_menu_is_found_by_its_name(browser: Client) -> None:
    assert 'href="/admin/topup/reconciliation/"' in browser.get(FIND, {"term": "reconc"}).text


def test_nothing_found_says_what_can_be_typed_and_whom_to_ask(browser: Client, wechat: WeChatMerchant) -> None:
    page = browser.post(FIND, {"term": "4200009999202611301234567890"}, follow=True).text
    assert "Nothing was found" in page
    assert "the request id of a call" in page
    assert 'action="/admin/topup/order/ask-payment/"' in page
    assert "Ask WeChat Pay" in page
    assert "Ask Alipay" not in page


def test_only_what_an_operator_may_see_is_found(order: Order, call: Usage, codes: tuple[Any, str]) -> None:
    key, text = create_api_key(order.user, "notebook")
    helper = browser_of(clerk("view_order"))
    assert opened(helper, order.order_no) == change_url(order)
    for term in (text, call.request_id, "buyer", "buyer@example.org", codes[1], key.prefix + "…" + key.last4):
        page: Any = helper.post(FIND, {"term": term}, follow=True)
        assert "Nothing was found" in page.text, term
    unknown = helper.post(FIND, {"term": "4200009999202611301234567890"}, follow=True).text
    assert "ask-payment" not in unknown
    assert "the request id of a call" not in unknown


def test_the_box_is_for_operators(client: Client, buyer: User) -> None:
    for browser in (client, browser_of(buyer)):
        answer = browser.post(FIND, {"term": "buyer"})
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_every_page_of_the_admin_has_the_box_and_what_is_typed_into_it_is_posted(browser: Client) -> None:
    for page in ("/admin/", "/admin/topup/order/", "/admin/accounts/user/add/", FIND):
        boxes = re.findall(r'<form method="(\w+)" action="/admin/find/"', browser.get(page).text)
        assert len(boxes) == 2, page
        assert set(boxes) == {"post"}


def test_odd_terms_are_answered(browser: Client) -> None:
    for term in ("", " ", "\0", "%", "'", "\\", "0" * 500, "9" * 19, "1e9", "²", "５"):
        assert browser.post(FIND, {"term": term}, follow=True).status_code == 200, term
