"""The stand-in of WeChat's sign-in refuses what the real one refuses, in its words."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from sandbox.management.commands.open_sandbox_accounts import mini_program
from sandbox.models import LoginCode, WeChatApp

pytestmark = pytest.mark.django_db

LOGIN = "/sandbox/weixin/sns/jscode2session"
TOKEN = "/sandbox/weixin/cgi-bin/stable_token"  # an address


@pytest.fixture
def app() -> WeChatApp:
    mini_program()
    return WeChatApp.objects.get()


def code_of(client: Client, person: str = "xiaoming", app_id: str = "") -> str:
    answer = client.post("/sandbox/wechat/code", {"person": person, "appId": app_id}, content_type="application/json")
    return str(answer.json()["code"])


def asked(app: WeChatApp, code: str, **changes: str) -> dict[str, str]:
    query = {"appid": app.app_id, "secret": app.secret, "js_code": code, "grant_type": "authorization_code"} | changes
    return {name: value for name, value in query.items() if value}


def says(answer: Any) -> dict[str, Any]:
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain")
    found: dict[str, Any] = json.loads(answer.content)
    return found


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"js_code": ""}, 41008),
        ({"appid": "wx0000000000000000"}, 40013),
        ({"secret": "0" * 32}, 40125),
        ({"js_code": "0" * 32}, 40029),
        ({"grant_type": "client_credential"}, 40002),
    ],
)
def test_what_is_wrong_has_its_code(client: Client, app: WeChatApp, changes: dict[str, str], errcode: int) -> None:
    answer = says(client.get(LOGIN, asked(app, code_of(client), **changes)))
    assert answer["errcode"] == errcode
    assert "openid" not in answer
    assert not LoginCode.objects.exclude(used_at=None).exists()


def test_a_post_misses_the_app_id(client: Client, app: WeChatApp) -> None:
    query = asked(app, code_of(client))
    assert says(client.post(LOGIN, query))["errcode"] == 41002
    assert says(client.post(f"{LOGIN}?appid={app.app_id}"))["errcode"] == 41002


def test_a_code_is_good_for_one_use_five_minutes_and_one_app(client: Client, app: WeChatApp) -> None:
    code = code_of(client)
    assert "openid" in says(client.get(LOGIN, asked(app, code)))
    assert says(client.get(LOGIN, asked(app, code)))["errcode"] == 40163
    old = code_of(client)
    LoginCode.objects.filter(code=old).update(created_at=timezone.now() - timedelta(minutes=5))
    assert says(client.get(LOGIN, asked(app, old)))["errcode"] == 40029
    other = WeChatApp.objects.create(name="b", app_id="wxb", secret="s")
    assert says(client.get(LOGIN, asked(app, code_of(client, app_id=other.app_id))))["errcode"] == 40029


def test_an_app_proves_itself_and_gets_a_token(client: Client, app: WeChatApp) -> None:
    right = {"grant_type": "client_credential", "appid": app.app_id, "secret": app.secret}

    def ask(body: Any, **more: Any) -> dict[str, Any]:
        return says(client.post(TOKEN, body, content_type="application/json", **more))

    assert len(ask(right)["access_token"]) >= 100
    assert ask(right | {"secret": "0" * 32})["errcode"] == 40125
    assert ask(right | {"appid": "wx0000000000000000"})["errcode"] == 40013
    assert ask(right | {"grant_type": "x"})["errcode"] == 40002
    assert ask("[1]")["errcode"] == 47001
    assert says(client.get(TOKEN, right))["errcode"] == 43002
    WeChatApp.objects.update(allowed_address="203.0.113.7")
    assert ask(right)["errcode"] == 40164
    assert "access_token" in ask(right, REMOTE_ADDR="203.0.113.7")


@pytest.mark.parametrize("body", ["{", '{"appId": "wx0000000000000000"}', '{"person": "' + "x" * 65 + '"}'])
def test_a_phone_that_cannot_be_gets_no_code(client: Client, app: WeChatApp, body: str) -> None:
    answer = client.post("/sandbox/wechat/code", body, content_type="application/json")
    assert answer.status_code == 400
    assert not LoginCode.objects.exists()


def test_another_site_gets_no_code(client: Client, app: WeChatApp) -> None:
    answer = client.post("/sandbox/wechat/code", {}, HTTP_ORIGIN="https://evil.example")
    assert answer.status_code == 403
