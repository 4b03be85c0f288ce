"""A customer is on the phone: their page says what happened and offers what an operator may do about it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import DatabaseError, connection, transaction
from django.test import Client

from llm.models import Usage
from tests.merchants import AlipayMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup.models import Order
from voicehelper import clock
from voicehelper.accounts.models import User, UserNote
from voicehelper.accounts.services import create_api_key, issue_token, user_of_token
from voicehelper.admin.base import change_url
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(buyer: User, alipay: AlipayMerchant) -> User:
    """Paid, called, has a key, and is signed in."""
    facts = {"state": "paid", "transaction_id": "4200001", "credited_at": clock.now(), "credited_by": "notice"}
    order = pending_order(buyer, alipay, **facts)
    credit(buyer, order.quota, kind=Entry.Kind.TOPUP, ref=order.order_no, actor="notice")
    usage = {"model_name": "deep", "operation": "chat", "usage_source": "provider", "outcome": "ok"}
    Usage.objects.create(request_id="req_1", user=buyer, quota=4_321, input_tokens=7, output_tokens=8, **usage)
    create_api_key(buyer, "notebook")
    browser_of(buyer).get("/recharge", headers={"User-Agent": "Firefox/140 Windows"})
    return buyer


def do(browser: Client, user: User, name: str, **data: str) -> str:
    return browser.post(change_url(user).replace("/change/", f"/do/{name}/"), data, follow=True).text


def test_everything_about_a_customer_is_on_one_page(browser: Client, customer: User) -> None:
    page = browser.get(change_url(customer)).text
    order = Order.objects.get()
    for text in (
        order.order_no,
        "5,000,000",
        "4,321",
        "notebook",
        "Firefox on Windows",
        "Paid and kept",
        "deep",
        "Last sign-in",
    ):
        assert text in page, text
    for address in (change_url(order), f"/admin/wallet/wallet/{customer.wallet.pk}/adjust/"):
        assert address in page
    assert f'action="/admin/topup/order/{order.pk}/refund/"' in page


def test_an_operator_sees_and_does_only_what_the_permissions_say(customer: User) -> None:
    reader = browser_of(clerk("view_user", name="reader"))
    page = reader.get(change_url(customer)).text
    for text in (Order.objects.get().order_no, "4,321", "notebook", "/adjust/", "/refund/", "/do/", "/note/"):
        assert text not in page, text
    for name in ("sign_out", "deactivate", "send_reset", "remove_factor", "revoke", "adjust", "refund"):
        answer = reader.post(change_url(customer).replace("/change/", f"/do/{name}/"), {"reason": "x"})
        assert answer.status_code == 403, name
    assert reader.post(change_url(customer).replace("/change/", "/note/"), {"text": "x"}).status_code == 403
    customer.refresh_from_db()
    assert customer.is_active
    helper = browser_of(clerk("view_user", "help_user"))
    assert "/do/sign_out/" in helper.get(change_url(customer)).text


def test_who_may_only_help_changes_neither_address_nor_price_nor_password(customer: User) -> None:
    helper = browser_of(clerk("view_user", "help_user"))
    form = {"username": "buyer", "email": "thief@example.org", "group": "vip"}
    assert helper.post(change_url(customer), form).status_code == 403
    assert helper.get(change_url(customer).replace("/change/", "/password/")).status_code == 403


def test_nobody_helps_another_operator_but_a_superuser(customer: User, staff: User) -> None:
    helper = browser_of(clerk("view_user", "help_user"))
    for name in ("sign_out", "deactivate"):
        answer = helper.post(change_url(staff).replace("/change/", f"/do/{name}/"), {"reason": "x"})
        assert answer.status_code == 403
    staff.refresh_from_db()
    assert (staff.is_active, staff.sign_outs) == (True, 0)


def test_signing_out_everywhere_ends_browsers_and_programs(browser: Client, customer: User) -> None:
    theirs, token = browser_of(customer), issue_token(customer)
    customer.refresh_from_db()
    assert theirs.get("/recharge").status_code == 200
    assert "not any more" in do(browser, customer, "sign_out")
    assert theirs.get("/recharge").status_code == 302
    assert user_of_token(token) is None


def test_a_user_is_deactivated_with_a_reason_and_activated_again(browser: Client, customer: User, staff: User) -> None:
    assert "Say why" in do(browser, customer, "deactivate")
    do(browser, customer, "deactivate", reason="chargeback")
    customer.refresh_from_db()
    assert not customer.is_active
    assert "chargeback" in LogEntry.objects.latest("pk").change_message
    do(browser, customer, "activate", reason="settled")
    customer.refresh_from_db()
    assert customer.is_active
    do(browser, staff, "deactivate", reason="oops")
    staff.refresh_from_db()
    assert staff.is_active


def test_notes_have_an_author_and_a_time_and_are_never_changed(browser: Client, customer: User) -> None:
    address = change_url(customer).replace("/change/", "/note/")
    for text in ("Called about <b>order</b> 1.", "  ", "x" * 2001):
        browser.post(address, {"text": text})
    note = UserNote.objects.get()
    assert (note.author, note.text) == ("operator", "Called about <b>order</b> 1.")
    page = browser.get(change_url(customer)).text
    assert "Called about &lt;b&gt;order&lt;/b&gt; 1." in page
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_usernote SET text = 'else'")
    customer_of_nobody: Any = browser.post("/admin/accounts/user/999999/note/", {"text": "x"})
    assert customer_of_nobody.status_code == 404


def test_looking_at_a_user_changes_nothing(browser: Client, other_user: User) -> None:
    page = browser.get(change_url(other_user)).text
    assert "Never ordered anything." in page
    assert not hasattr(User.objects.get(pk=other_user.pk), "wallet")
