"""Completing an order by hand: the platform is asked first, only a superuser may, and it credits once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from notifications.models import Alert
from tests.faults.conftest import at_once
from tests.faults.scripted import ScriptedProvider
from tests.merchants import WeChatMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup import services
from topup.models import Notice, Order
from voicehelper.accounts.models import User
from voicehelper.admin import base
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"


@pytest.fixture
def order(buyer: User, wechat: WeChatMerchant) -> Order:
    return pending_order(buyer, wechat)


def form(seen: str = "waiting", **changes: str) -> dict[str, str]:
    facts = {"seen": seen, "amount": "73.00", "reason": "Seen in the bank", "current_password": PASSWORD}
    return facts | changes


def page_of(order: Order) -> str:
    return base.change_url(order).replace("/change/", "/complete/")


def press(browser: Client, order: Order, **data: str) -> str:
    return str(browser.post(page_of(order), data, follow=True).text)


def test_the_platforms_answer_comes_first_then_it_is_credited_with_who_and_why(
    browser: Client, order: Order, wechat: WeChatMerchant, settings: Any, books_agree: Callable[[], None]
) -> None:
    assert page_of(order) in browser.get(base.change_url(order)).text
    with ScriptedProvider(wechat, settings, states={order.order_no: "waiting"}):
        shown = press(browser, order)
        assert "The platform says: not paid yet." in shown
        assert "nobody has paid this order" in shown
        assert not Entry.objects.exists()
        said = press(browser, order, **form())
    assert "Completed by hand: 5,000,000 quota are credited." in said
    order.refresh_from_db()
    assert (order.state, order.credited_by, order.transaction_id) == ("paid", "manual", f"manual-{order.order_no}")
    entry = Entry.objects.get()
    assert (entry.amount, entry.actor, entry.reason) == (5_000_000, "operator", "Seen in the bank")
    page = browser.get(base.change_url(order)).text
    for text in ("operator: Seen in the bank", "through an operator, without proof of payment", "Completed by hand"):
        assert text in page, text
    assert "no money to give back there" in page
    assert page_of(order) not in page
    assert "not paid yet" in LogEntry.objects.get().change_message
    assert Alert.objects.get().event == "manual_completion"
    assert order.order_no in browser.get("/admin/topup/order/?mark=unproven").text
    books_agree()


def test_what_the_platform_knows_to_be_paid_is_credited_with_proof_instead(
    browser: Client, order: Order, wechat: WeChatMerchant, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings) as platform:
        platform.pay(order)
        said = press(browser, order)
    assert "The platform says: paid. ¥73.00, transaction 42" in said
    order.refresh_from_db()
    assert (order.credited_by, order.without_proof) == ("admin", False)
    assert not Alert.objects.exists()


def test_a_payment_between_reading_and_confirming_is_credited_with_proof(
    browser: Client, order: Order, wechat: WeChatMerchant, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings, states={order.order_no: "waiting"}) as platform:
        press(browser, order)
        platform.pay(order)
        assert "It has been credited meanwhile" in press(browser, order, **form())
    order.refresh_from_db()
    assert (order.credited_by, order.without_proof) == ("admin", False)
    assert Entry.objects.count() == 1


def test_who_was_shown_another_answer_reads_the_new_one_first(
    browser: Client, order: Order, wechat: WeChatMerchant, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings, states={order.order_no: "closed"}):
        said = press(browser, order, **form("waiting"))
    assert "The payment platform’s answer has changed" in said
    assert "The platform says: closed, not paid." in said
    assert not Entry.objects.exists()


def test_a_platform_that_does_not_answer_is_warned_about(browser: Client, order: Order) -> None:
    shown = press(browser, order)
    assert "No certain answer" in shown
    assert "Nobody can say now whether it was paid" in shown
    assert "Completed by hand" in press(browser, order, **form("none"))
    order.refresh_from_db()
    assert order.without_proof


WRONG = [
    ({"reason": "  "}, "Say why"),
    ({"amount": "72.99"}, "The order is about ¥73.00"),
    ({"amount": "730"}, "The order is about ¥73.00"),
    ({"amount": "x"}, "is not an amount"),
    ({"amount": "73.001"}, "yuan like 30 or 19.90"),
    ({"current_password": "wrong"}, "This is not your password."),
    ({"current_password": ""}, "password"),
]


def test_a_form_that_lacks_something_credits_nothing_and_says_what(browser: Client, order: Order) -> None:
    for changes, said in WRONG:
        # Without an earlier password: each is asked for it anew.
        session = browser.session
        session.pop("password_confirmed", None)
        session.save()
        assert said in press(browser, order, **form("none", **changes)), changes
    assert not Entry.objects.exists()


def test_money_that_went_back_is_not_credited(
    browser: Client, order: Order, wechat: WeChatMerchant, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings, states={order.order_no: "refunded"}):
        assert "the money went back" in press(browser, order)
        assert "the money went back" in press(browser, order, **form("refunded"))
    assert not Entry.objects.exists()


def test_J3_an_operator_who_is_no_superuser_cannot(order: Order) -> None:
    helper = clerk("view_order", "change_order", "add_refund", "change_refund")
    client = browser_of(helper)
    assert page_of(order) not in client.get(base.change_url(order)).text
    assert client.post(page_of(order), form("none")).status_code == 403
    assert client.post(page_of(order).replace("/complete/", "/do/complete/"), form("none")).status_code == 403
    with pytest.raises(services.CompletionRefused):
        services.complete_order(order, amount_fen=7300, seen="none", by=helper, reason="x")
    assert not Entry.objects.exists()


def test_C14_of_two_superusers_at_once_one_wins(order: Order, staff: User, buyer: User) -> None:
    other = User.objects.create_superuser("second", password=PASSWORD)

    def complete(by: User) -> str:
        try:
            mine = Order.objects.select_related("user").get(pk=order.pk)
            services.complete_order(mine, amount_fen=7300, seen="none", by=by, reason=f"by {by}")
        except services.CompletionRefused:
            return "refused"
        return by.get_username()

    outcomes = at_once(lambda: complete(staff), lambda: complete(other))
    (winner,) = set(outcomes) - {"refused"}
    assert "refused" in outcomes
    assert Entry.objects.get().actor == winner
    assert wallet_of(buyer).balance == order.quota
    assert Order.objects.get().review == ""


def test_the_payment_that_is_found_later_takes_the_marks_place_and_credits_nothing(
    order: Order, staff: User, buyer: User, wechat: WeChatMerchant, provider: Client, books_agree: Callable[[], None]
) -> None:
    services.complete_order(order, amount_fen=7300, seen="none", by=staff, reason="Seen in the bank")
    body = wechat.notice(order)

    def arrive() -> str:
        return str(provider.post("/api/wechat/notify", body, content_type="text/xml").content)

    assert all("SUCCESS" in answer for answer in at_once(arrive, arrive, arrive))
    order.refresh_from_db()
    assert (order.credited_by, order.without_proof, order.review) == ("manual", False, "")
    assert order.transaction_id
    assert order.transaction_id.startswith("42000")
    assert order.paid_at
    assert set(Notice.objects.values_list("verdict", flat=True)) == {"duplicate"}
    assert Alert.objects.get(event="manual_confirmed").count == 1
    assert wallet_of(buyer).balance == order.quota
    # A second payment is what it always was: somebody must look.
    provider.post("/api/wechat/notify", wechat.notice(order, transaction_id="42009"), content_type="text/xml")
    order.refresh_from_db()
    assert "Paid again" in order.review
    assert Entry.objects.count() == 1
    books_agree()


def test_a_later_payment_of_another_amount_does_not_prove_it(
    order: Order, staff: User, wechat: WeChatMerchant, provider: Client
) -> None:
    services.complete_order(order, amount_fen=7300, seen="none", by=staff, reason="Seen in the bank")
    provider.post("/api/wechat/notify", wechat.notice(order, total_fee="7299"), content_type="text/xml")
    order.refresh_from_db()
    assert order.without_proof
    assert "amount in fen is 7299" in order.review


def test_without_a_payment_there_is_nothing_to_refund(order: Order, staff: User) -> None:
    services.complete_order(order, amount_fen=7300, seen="none", by=staff, reason="Seen in the bank")
    with pytest.raises(services.RefundRefused, match=r"没有对应付款|no money to give back"):
        services.request_refund(order, 7300, number=1, actor=staff, reason="x")
