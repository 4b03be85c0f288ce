"""Agreement and privacy: asked at sign-up, again when a new version needs it, and never of programs; the foot of
pages."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from tests.accounts.conftest import WeChat
from tests.operators import browser_of
from tests.wechat import sign_in
from voicehelper import clock
from voicehelper.accounts.legal_html import as_html
from voicehelper.accounts.models import Consent, LegalText, SiteSettings, User

NEW = {"username": "newcomer", "password1": "plum-tree-93-lake", "password2": "plum-tree-93-lake"}
CONSENT = "/accounts/consent"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def write(kind: str, version: int, *, days: int = -1, asks: bool = True, language: str = "en") -> LegalText:
    facts = {"kind": kind, "version": version, "language": language, "asks_again": asks}
    return LegalText.objects.create(**facts, text=f"# Words {version}", valid_from=clock.now() + timedelta(days=days))


def english() -> Client:
    return Client(headers={"accept-language": "en"})


def test_signing_up_takes_a_tick_for_the_texts_in_force_and_keeps_it_with_time_and_address(db: None) -> None:
    write("agreement", 2)
    write("privacy", 1)
    write("privacy", 2, days=1)
    page = english().get("/accounts/sign-up").text
    assert '/legal/agreement" target="_blank">User agreement</a> and <a href="/legal/privacy"' in page
    texts = {"texts": "agreement:2 privacy:1"}
    assert "Please read and agree first." in english().post("/accounts/sign-up", NEW | texts).text
    assert not User.objects.exists()
    assert english().post("/accounts/sign-up", NEW | texts | {"agrees": "on"}).status_code == 302
    kept = {(each.kind, each.version, each.address) for each in Consent.objects.all()}
    assert kept == {("agreement", 2, "127.0.0.1"), ("privacy", 1, "127.0.0.1")}
    assert clock.now() - Consent.objects.latest("pk").agreed < timedelta(minutes=1)


def test_what_was_not_shown_is_not_agreed_to(db: None) -> None:
    """A new version came into force while somebody read the old one."""
    write("agreement", 3)
    form = NEW | {"texts": "agreement:2", "agrees": "on"}
    page = english().post("/accounts/sign-up", form).text
    assert "read them again" in page
    assert 'value="agreement:3"' in page
    assert not User.objects.exists()


def test_without_texts_nobody_is_asked(buyer: User) -> None:
    assert "agree" not in english().get("/accounts/sign-up").text
    assert browser_of(buyer).get("/recharge").status_code == 200
    assert english().post("/accounts/sign-up", NEW).status_code == 302


def test_a_new_version_is_asked_for_at_the_next_page_once(buyer: User, as_user: Callable[..., Any]) -> None:
    browser = browser_of(buyer)
    assert browser.get("/recharge").status_code == 200
    write("agreement", 1)
    answer = browser.get("/recharge?amount=20")
    assert (answer.status_code, answer["Location"]) == (302, f"{CONSENT}?next=/recharge%3Famount%3D20")
    # Programs, and the ways out, are left alone.
    assert as_user(buyer).get("/api/user/self").status_code == 200
    assert browser.get("/api/user/self").status_code == 200
    for way_out in ("/accounts/data", "/accounts/delete", "/legal/agreement"):
        assert browser.get(way_out).status_code == 200
    answer = browser.post(CONSENT, {"texts": "agreement:1", "agrees": "on", "next": "/recharge?amount=20"})
    assert answer["Location"] == "/recharge?amount=20"
    assert browser.get("/recharge").status_code == 200
    assert browser_of(buyer).get("/recharge").status_code == 200
    # A correction asks nobody.
    write("agreement", 2, asks=False)
    assert browser.get("/recharge").status_code == 200
    write("privacy", 1)
    assert browser.get("/recharge").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_the_mini_program_is_told_what_to_ask_and_agrees_by_the_api(
    wechat: WeChat, as_user: Callable[..., Any]
) -> None:
    write("agreement", 4)
    wanted = sign_in(wechat.code()).json()["consent"]
    assert [(each["kind"], each["version"]) for each in wanted] == [("agreement", 4)]
    api = as_user(User.objects.get())
    assert api.get("/api/user/consent").json()["data"] == wanted
    assert api.post("/api/user/consent", {"agreement": 3}, format="json").status_code == 409
    assert api.post("/api/user/consent", {"agreement": 4}, format="json").json() == {"success": True, "data": []}
    api.post("/api/user/consent", {"agreement": 4}, format="json")
    assert Consent.objects.count() == 1
    assert "consent" not in sign_in(wechat.code()).json()


def test_a_text_is_read_in_ones_language_and_an_old_version_can_be_looked_up(db: None) -> None:
    write("privacy", 1)
    write("privacy", 2)
    write("privacy", 2, language="zh-hans")
    write("privacy", 3, days=3)
    assert "Version 2, valid from" in english().get("/legal/privacy").text
    assert 'lang="zh-hans"' in Client(headers={"accept-language": "zh-hans"}).get("/legal/privacy").text
    assert "Words 1" in english().get("/legal/privacy?version=1").text
    assert english().get("/legal/privacy?version=3").status_code == 404
    assert english().get("/legal/nothing").status_code == 404


def test_what_is_in_force_is_not_rewritten(browser: Client) -> None:
    old, new = write("agreement", 1), write("agreement", 2, days=2)
    page = f"/admin/accounts/legaltext/{old.pk}/change/"
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"text": "other"}).status_code == 403
    assert browser.get(f"/admin/accounts/legaltext/{new.pk}/change/").status_code == 200
    assert browser.get("/admin/accounts/consent/").status_code == 200


def test_texts_are_escaped(db: None) -> None:
    html = as_html("# A <b>\n\n- **one** <script>\n- [two](https://example.com/?a=1&b=2)\n\n[x](javascript:alert(1))")
    assert html == (
        "<h2>A &lt;b&gt;</h2>\n<ul><li><strong>one</strong> &lt;script&gt;</li>"
        '<li><a href="https://example.com/?a=1&amp;b=2" rel="noopener">two</a></li></ul>\n'
        "<p>[x](javascript:alert(1))</p>"
    )


def test_the_foot_says_what_operators_entered_and_nothing_else(browser: Client, buyer: User) -> None:
    assert "<footer" not in english().get("/accounts/sign-in").text
    form = {
        "icp_number": "京ICP备12345678号-1",
        "algorithm_number": "网信算备1",
        "contact": "010-1234",
        "help_address": "",
    }
    assert browser.post("/admin/accounts/sitesettings/1/change/", form).status_code == 302
    assert SiteSettings.load().icp_number == form["icp_number"]
    for page in (
        english().get("/accounts/sign-in"),
        browser_of(buyer).get("/recharge"),
        browser_of(buyer).get("/accounts/data"),
    ):
        assert all(word in page.text for word in (form["icp_number"], "网信算备1", "010-1234", "beian.miit.gov.cn"))
        assert "beian.mps" not in page.text
