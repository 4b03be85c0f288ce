"""The stand-in for WeChat's OAuth lets nobody in whom the real one would not."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from sandbox.management.commands.open_sandbox_accounts import wechat_account
from sandbox.models import Merchant, WebCode
from tests.topup.user_agents import IPHONE_SAFARI, WECHAT_IOS
from voicehelper import clock

pytestmark = pytest.mark.django_db

AUTHORIZE = "/sandbox/weixin/connect/oauth2/authorize"


@pytest.fixture
def account() -> dict[str, str]:
    return wechat_account()


def question(account: dict[str, str], **changes: str) -> dict[str, str]:
    asked = {"appid": account["app_id"], "redirect_uri": "http://127.0.0.1:8000/back", "response_type": "code"}
    return asked | {"scope": "snsapi_base", "state": "7"} | changes


def visit(asked: dict[str, str], user_agent: str = WECHAT_IOS) -> Any:
    return Client(headers={"User-Agent": user_agent}).get(f"{AUTHORIZE}?{urlencode(asked)}")


def sell(account: dict[str, str], code: str, **changes: str) -> dict[str, Any]:
    asked = {"appid": account["app_id"], "secret": account["app_secret"], "code": code}
    asked |= {"grant_type": "authorization_code"} | changes
    answer = Client().get(f"/sandbox/weixin/sns/oauth2/access_token?{urlencode(asked)}")
    assert answer["Content-Type"] == "text/plain"
    said: dict[str, Any] = json.loads(answer.content)
    return said


def test_a_visitor_comes_back_with_a_code_that_buys_the_openid_once(account: dict[str, str]) -> None:
    back = visit(question(account))["Location"]
    assert back.startswith("http://127.0.0.1:8000/back?code=")
    found = parse_qs(urlsplit(back).query)
    assert found["state"] == ["7"]
    bought = sell(account, found["code"][0])
    assert bought["openid"].startswith("o")
    assert len(bought["openid"]) == 28
    assert sell(account, found["code"][0])["errcode"] == 40163


def test_who_is_not_wechats_browser_or_asks_wrongly_is_sent_away(account: dict[str, str]) -> None:
    asked = question(account)
    refused = [
        visit(asked, IPHONE_SAFARI),
        visit(dict(reversed(asked.items()))),
        visit(question(account, scope="snsapi_login")),
        visit(question(account, response_type="token")),
        visit(question(account, state="not letters and digits")),
        visit(question(account, appid=account["mini_app_id"])),
        visit(question(account, redirect_uri="https://evil.example/")),
        Client().post(AUTHORIZE, asked),
    ]
    assert [answer.status_code for answer in refused] == [400] * 7 + [405]
    assert not WebCode.objects.exists()


def test_a_code_is_sold_to_its_app_alone_and_not_for_long(account: dict[str, str]) -> None:
    Merchant.objects.create(gateway="wechat", name="Other", app_id="wx1", merchant_id="1", app_secret="theirs")
    code = parse_qs(urlsplit(visit(question(account))["Location"]).query)["code"][0]
    said = [
        sell(account, code, secret="wrong"),
        sell(account, code, secret=""),
        sell(account, code, appid="wx2"),
        sell(account, code, appid="wx1", secret="theirs"),
        sell(account, code, grant_type="client_credential"),
        sell(account, "another"),
    ]
    assert [answer["errcode"] for answer in said] == [40125, 41004, 40013, 40029, 40002, 40029]
    WebCode.objects.update(created_at=clock.now() - timedelta(minutes=6))
    assert sell(account, code)["errcode"] == 40029


def test_wechats_page_for_phones_does_not_open_inside_wechat() -> None:
    inside = Client(headers={"User-Agent": WECHAT_IOS, "Referer": "http://127.0.0.1/"})
    assert "请在微信外打开订单" in inside.get("/sandbox/wechat/h5?prepay_id=wx1").text


def test_a_browser_plays_another_until_it_is_told_to_stop() -> None:
    browser = Client()
    for played, shown in (("wechat", True), ("phone", True), ("", False), ("netscape", False)):
        answer = browser.post("/sandbox/browser", {"browser": played, "next": "//evil.example"})
        assert answer["Location"] == "/recharge"
        page = browser.get("/accounts/sign-in").text
        assert (f'data-browser="{played}"' in page) == shown
    assert browser.post("/sandbox/browser", {"next": "/chat"})["Location"] == "/chat"
    assert browser.post("/sandbox/browser", {}, headers={"Origin": "https://evil.example"}).status_code == 403
