"""The stand-in for WeChat's QR code is as strict as WeChat."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from sandbox.management.commands.open_sandbox_accounts import mini_program, website
from sandbox.models import ScanLogin
from voicehelper import clock

pytestmark = pytest.mark.django_db

PAGE, PHONE = "/sandbox/weixin/connect/qrconnect", "/sandbox/weixin/connect/confirm"


def question(**changes: str) -> dict[str, str]:
    asked = {"appid": website()["app_id"], "redirect_uri": "http://127.0.0.1:8000/back?x=1", "response_type": "code"}
    return asked | {"scope": "snsapi_login", "state": "7"} | changes


def opened(**changes: str) -> Any:
    return Client().get(f"{PAGE}?{urlencode(question(**changes))}")


def sold(code: str, **changes: str) -> dict[str, Any]:
    app = website()
    asked = {"appid": app["app_id"], "secret": app["secret"], "code": code, "grant_type": "authorization_code"}
    answer = Client().get("/sandbox/weixin/sns/oauth2/access_token", asked | changes)
    said: dict[str, Any] = json.loads(answer.content)
    return said


def test_a_scanned_code_leads_back_once_and_buys_the_unionid() -> None:
    page = opened()["Location"]
    uuid = parse_qs(urlsplit(page).query)["uuid"][0]
    assert 'http-equiv="refresh"' in Client().get(page).text
    assert "VoiceHelper web" in Client().get(PHONE, {"uuid": uuid}).text
    assert Client().post(PHONE, {"uuid": uuid, "person": "li", "answer": "allow"}).status_code == 200
    assert Client().post(PHONE, {"uuid": uuid, "person": "wang", "answer": "allow"}).status_code == 400
    back = Client().get(page)["Location"]
    assert back.startswith("http://127.0.0.1:8000/back?x=1&code=")
    assert Client().get(page).status_code == 400
    found = parse_qs(urlsplit(back).query)
    assert found["state"] == ["7"]
    said = sold(found["code"][0])
    assert (len(said["openid"]), len(said["unionid"]), said["scope"]) == (28, 28, "snsapi_login")
    assert sold(found["code"][0])["errcode"] == 40163
    assert sold("x", secret="0" * 32)["errcode"] == 40125


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "snsapi_base"},
        {"response_type": "token"},
        {"appid": "wx0000000000000000"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"state": "<x>"},
    ],
)
def test_wrong_questions_are_refused(wrong: dict[str, str]) -> None:
    assert opened(**wrong).status_code == 400


def test_the_order_of_the_parameters_counts_and_a_mini_program_is_no_website() -> None:
    assert Client().get(f"{PAGE}?{urlencode(dict(reversed(question().items())))}").status_code == 400
    assert opened(appid=mini_program()["app_id"]).status_code == 400


def test_a_code_on_a_screen_is_good_for_five_minutes() -> None:
    page = opened()["Location"]
    ScanLogin.objects.update(created_at=clock.now() - timedelta(minutes=5, seconds=1))
    assert Client().get(page).status_code == 400
