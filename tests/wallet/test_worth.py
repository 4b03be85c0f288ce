"""What quota is worth in yuan is said once: every page rounds it alike."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests.conftest import rarely
from topup.models import CodeBatch
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db(transaction=True)  # prices of the chat are read on another connection


def amounts(page: Any) -> list[str]:
    """Every amount a page says is about the worth of quota."""
    text = html.unescape(re.sub(r"<[^>]+>", "", page.content.decode()))
    return re.findall(r"≈ ¥(<?[0-9][0-9.,]*[0-9])", text)


@pytest.mark.parametrize(
    ("quota", "worth"), [(1, "<0.0001"), *rarely((1_500, "0.0219"), (10_000, "0.146")), (150_000, "2.19")]
)
def test_a_balance_is_worth_the_same_on_every_page(buyer: User, staff: User, quota: int, worth: str) -> None:
    credit(buyer, quota, kind=Entry.Kind.GIFT, ref="g", actor="test")
    browser = Client(headers={"accept-language": "en"})
    browser.force_login(buyer)
    for path in ("/recharge", "/chat"):
        assert worth in amounts(browser.get(path)), path
    CodeBatch.objects.create(name="gift", quota=quota, count=1, expires_at="2030-01-01T00:00:00Z")
    browser.force_login(staff)
    assert set(amounts(browser.get("/admin/topup/codebatch/"))) == {worth}


def test_a_price_is_worth_the_same_to_operators_and_users(staff: User) -> None:
    browser = Client(headers={"accept-language": "en"})
    browser.force_login(staff)
    typed = {"price_rows_kind": ["input", "output"], "price_rows_price": ["100", "100"]}
    assert amounts(browser.post("/admin/llm/model/price/", typed)) == ["1.46"]
