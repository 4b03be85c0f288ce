"""The ledger in the admin: statements to read, nothing to change."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url
from voicehelper.wallet import audit
from voicehelper.wallet.models import AuditRun, Entry
from voicehelper.wallet.services import as_actor, capture, credit, hold, wallet_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def spender(buyer: User) -> User:
    credit(buyer, 5_000_000, kind=Entry.Kind.TOPUP, ref="20261121abc", actor="notice")
    hold(buyer, 1_300, ref="call-1", life=timedelta(minutes=5))
    capture("call-1", 1_234, kind=Entry.Kind.SPEND, actor=as_actor(buyer.pk), reason="<script>alert(1)</script>")
    hold(buyer, 500, ref="chat-1", life=timedelta(minutes=5))
    return buyer


def test_a_wallet_shows_its_statement_newest_first(browser: Client, spender: User) -> None:
    page = browser.get(change_url(wallet_of(spender))).text
    assert page.index("-1,234") < page.index("+5,000,000")
    for text in ("4,998,766", "4,998,266", "chat-1", "20261121abc"):
        assert text in page
    assert "<script>alert" not in page
    # Who wrote an entry is said in words.
    for said in (page, browser.get("/admin/wallet/entry/").text):
        assert ("the user" in said, "a notice" in said, f"user:{spender.pk}" in said) == (True, True, False)


def test_an_empty_wallet_says_so(browser: Client, buyer: User) -> None:
    assert "Nothing was ever credited or spent." in browser.get(change_url(wallet_of(buyer))).text


def test_entries_are_found(browser: Client, spender: User) -> None:
    for query in ({"q": "call-1"}, {"q": "buyer"}, {"kind": "spend"}, {"username": "buyer"}):
        assert "-1,234" in browser.get("/admin/wallet/entry/", query).text, query
    for query in ({"q": "nobody"}, {"kind": "gift"}, {"username": "stranger"}):
        assert "-1,234" not in browser.get("/admin/wallet/entry/", query).text, query


def test_wallets_and_holds_are_found_by_user(browser: Client, spender: User, other_user: User) -> None:
    wallet_of(other_user)
    page = browser.get("/admin/wallet/wallet/", {"q": "buy"}).text
    assert "4,998,766" in page
    assert "stranger" not in page
    assert "chat-1" in browser.get("/admin/wallet/hold/", {"state": "open"}).text
    assert "chat-1" not in browser.get("/admin/wallet/hold/", {"state": "captured"}).text


def test_an_audit_run_lists_its_findings(browser: Client) -> None:
    audit.run(full=True)
    bad = AuditRun.objects.create(
        full=False, findings=["balance: wallet 1: <b>wrong</b>"], finished="2026-11-21T00:00Z"
    )
    assert "the books agree" in browser.get("/admin/wallet/auditrun/", {"result": "agrees"}).text
    page = browser.get(change_url(bad)).text
    assert "&lt;b&gt;wrong" in page
    assert "1 findings" in browser.get("/admin/wallet/auditrun/", {"result": "findings"}).text


def test_closed_periods_are_listed_with_what_their_entries_come_to(browser: Client, buyer: User) -> None:
    credit(buyer, 100, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE wallet_entry SET created = created - interval '2 days'")
    chain = audit.run(full=False).chain
    assert "+100 (1)" in browser.get("/admin/wallet/closedperiod/").text
    assert chain in browser.get("/admin/wallet/closedperiod/1/change/").text
