"""Signing in from the mini program: real HTTP to the stand-in of WeChat."""

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.models import Alert
from sandbox.models import LoginCode, WeChatApp
from tests.far_side import FarSide, http
from tests.faults.conftest import at_once
from tests.wechat import WeChat, set_up_mini_program, sign_in, signed_in
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts import mini_program
from voicehelper.accounts.models import AccessToken, User, WeChatIdentity
from voicehelper.accounts.wechat import base
from voicehelper.accounts.wechat.mini_program import WeChatPerson
from voicehelper.net.http import Limits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Every line of every logger."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


# --- Who somebody is -------------------------------------------------------------------------------------------------
def test_a_code_makes_a_user_and_a_token(wechat: WeChat) -> None:
    answer = sign_in(wechat.code())
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "userInfo"}
    user, identity = User.objects.get(), WeChatIdentity.objects.get()
    token = {"HTTP_AUTHORIZATION": f"Bearer {answer.json()['token']}"}
    assert APIClient().get("/api/user/self", **token).json()["data"] == answer.json()["userInfo"]
    assert (user.group, user.is_staff, user.has_usable_password()) == ("default", False, False)
    assert user.username.startswith("wx_")
    assert len(user.username) >= 19
    assert (identity.user, identity.app_id, len(identity.openid)) == (user, wechat.app.app_id, 28)
    assert identity.unionid


def test_who_comes_again_is_the_same(wechat: WeChat) -> None:
    _client, first = signed_in(wechat.code())
    before = WeChatIdentity.objects.get()
    _client, second = signed_in(wechat.code())
    after = WeChatIdentity.objects.get()
    assert first == second
    assert after.session_key != before.session_key
    assert after.seen_at > before.seen_at
    _client, other = signed_in(wechat.code("xiaohong"))
    assert other != first
    assert User.objects.count() == 2


def test_through_another_app_of_the_same_account_one_is_the_same(wechat: WeChat) -> None:
    _client, first = signed_in(wechat.code())
    app = wechat.app
    sister = WeChatApp.objects.create(name="b", app_id="wxsister", secret="s" * 32, open_platform=app.open_platform)
    alone = WeChatApp.objects.create(name="c", app_id="wxalone", secret="s" * 32)
    write_options({"MiniProgramAppId": sister.app_id, "MiniProgramAppSecret": sister.secret})
    assert signed_in(wechat.code(app_id=sister.app_id))[1] == first
    write_options({"MiniProgramAppId": alone.app_id, "MiniProgramAppSecret": alone.secret})
    assert signed_in(wechat.code(app_id=alone.app_id))[1] != first
    assert WeChatIdentity.objects.filter(user_id=first).count() == 2


def test_a_unionid_that_comes_later_is_kept_and_none_is_lost(wechat: WeChat) -> None:
    platform = wechat.app.open_platform
    WeChatApp.objects.update(open_platform="")
    signed_in(wechat.code())
    assert WeChatIdentity.objects.get().unionid == ""
    WeChatApp.objects.update(open_platform=platform)
    signed_in(wechat.code())
    unionid = WeChatIdentity.objects.get().unionid
    assert unionid
    WeChatApp.objects.update(open_platform="")
    signed_in(wechat.code())
    assert WeChatIdentity.objects.get().unionid == unionid


@pytest.mark.parametrize("unionid", ["", "o-union"])
def test_eight_first_sign_ins_at_once_make_one_user(db: None, unionid: str) -> None:
    people = [WeChatPerson("o-one", unionid, secrets.token_hex(12)) for _ in range(8)]
    users = at_once(*[lambda person=person: mini_program.user_of("wx1", person) for person in people])
    assert len({user.pk for user, _is_new in users}) == 1
    assert sum(is_new for _user, is_new in users) == 1
    assert (User.objects.count(), WeChatIdentity.objects.count()) == (1, 1)


def test_first_sign_ins_through_eight_apps_at_once_make_one_user(db: None) -> None:
    people = {f"wx{number}": WeChatPerson(f"o-{number}", "o-union", "key") for number in range(8)}
    users = at_once(*[lambda pair=pair: mini_program.user_of(*pair)[0] for pair in people.items()])
    assert len({user.pk for user in users}) == 1
    assert (User.objects.count(), WeChatIdentity.objects.count()) == (1, 8)


def test_a_user_who_is_switched_off_is_told_so_and_gets_no_token(wechat: WeChat) -> None:
    _client, user = signed_in(wechat.code())
    User.objects.filter(pk=user).update(is_active=False)
    AccessToken.objects.all().delete()
    answer = sign_in(wechat.code())
    assert (answer.status_code, answer.json()["message"]) == (403, "该账号已停用，请联系管理员")
    assert not AccessToken.objects.exists()


# --- Tokens ----------------------------------------------------------------------------------------------------------
ROUTES = [
    ("get", "/api/user/self"),
    ("get", "/api/user/topup/info"),
    ("get", "/api/user/topup/orders"),
    ("post", "/api/user/wechat/pay"),
    ("post", "/api/user/alipay/pay"),
    ("post", "/api/user/amount"),
    ("post", "/api/chat/message"),
    ("post", "/api/chat/stream"),
    ("get", "/api/chat/sessions"),
    ("get", "/api/user/keys"),
    ("get", "/api/user/usage"),
    ("get", "/api/share"),
    ("post", "/api/share"),
    ("post", "/api/share/visit"),
    ("post", "/api/auth/wx-bind"),
]


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_token_that_ended_is_401_on_every_route_and_a_new_code_helps(wechat: WeChat, end: str) -> None:
    client, user = signed_in(wechat.code())
    moment = clock.now() - timedelta(seconds=1)
    AccessToken.objects.update(**{"expires_at" if end == "expired" else "revoked_at": moment})
    for method, route in ROUTES:
        assert getattr(client, method)(route, {}, format="json").status_code == 401, route
    client, again = signed_in(wechat.code())
    assert again == user
    assert client.get("/api/user/self").status_code == 200


# --- What WeChat says ------------------------------------------------------------------------------------------------
AGAIN = (401, "登录凭证已失效，请重新登录")
BLOCKED = (403, "微信暂时不允许该账号登录")
TOO_OFTEN = (429, "登录过于频繁，请稍等一分钟")
NOT_SET_UP = (503, "管理员尚未完成微信登录配置")
AWAY = (502, "微信没有响应，请重试")
ERRORS = {
    **dict.fromkeys((40029, 40163, 41008), AGAIN),
    40226: BLOCKED,
    **dict.fromkeys((45011, 45009), TOO_OFTEN),
    **dict.fromkeys((40013, 40125, 40001, 41002, 41004, 40164), NOT_SET_UP),
    99999: AWAY,
}


def test_each_error_has_its_status_and_words(wechat: WeChat) -> None:
    for errcode, (status, words) in ERRORS.items():
        Alert.objects.all().delete()
        wechat.misbehaves("errcode", code=errcode)
        answer = sign_in(wechat.code())
        assert (answer.status_code, answer.json()) == (status, {"success": False, "message": words}), errcode
        assert ("Retry-After" in answer) == (status == 429), errcode
        # What only the operator can mend, the operator hears of.
        assert Alert.objects.filter(event="wechat_login_broken").exists() == (status == 503), errcode
    assert not User.objects.exists()


def test_a_used_an_old_and_a_made_up_code_are_refused(wechat: WeChat) -> None:
    used, old = wechat.code(), wechat.code()
    signed_in(used)
    LoginCode.objects.filter(code=old).update(created_at=clock.now() - timedelta(minutes=6))
    assert [sign_in(code).status_code for code in (used, old, "made-up")] == [401, 401, 401]
    assert User.objects.count() == 1


def test_a_busy_answer_is_asked_again_and_a_code_is_still_good(wechat: WeChat) -> None:
    wechat.misbehaves("errcode", code=-1, times=2)
    assert sign_in(wechat.code()).status_code == 200
    wechat.misbehaves("errcode", code=-1, times=3)
    answer = sign_in(wechat.code())
    assert (answer.status_code, answer.json()["message"]) == (502, "微信没有响应，请重试")


@pytest.mark.rare
def test_nonsense_for_an_answer_is_502(wechat: WeChat, settings: Any) -> None:
    for fault in ("http_500", "html", "half_body"):
        wechat.misbehaves(fault)
        assert sign_in(wechat.code()).status_code == 502, fault
    nobody = [b"[]", b'"x"', b"{}", b'{"openid": ""}', b'{"openid": 7}', b'{"errcode": "x"}', b"[", b"[" * 50_000]
    left = list(nobody)
    with FarSide(answer=lambda _seen: http(left.pop(0))) as weixin:
        settings.WECHAT_API_BASE_URL = weixin.url
        for said in nobody:
            assert sign_in("code").status_code == 502, said[:20]
    assert left == []
    assert not User.objects.exists()


def test_errcode_0_is_success_whatever_the_content_type(db: None, settings: Any) -> None:
    set_up_mini_program()
    said = json.dumps({"errcode": 0, "errmsg": "ok", "openid": "o1", "session_key": "k"}).encode()
    with FarSide(answer=lambda _seen: http(said, headers="Content-Type: image/png\r\nConnection: close\r\n")) as weixin:
        settings.WECHAT_API_BASE_URL = weixin.url
        assert sign_in("a code&appid=x").status_code == 200
    (seen,) = weixin.seen
    assert seen.line.startswith("GET /sns/jscode2session?appid=")
    assert "js_code=a+code%26appid%3Dx&grant_type=authorization_code " in seen.line


def test_no_answer_in_time_is_504_and_nobody_there_502_and_neither_tells_the_secret(
    wechat: WeChat, settings: Any, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    secret = wechat.app.secret
    code = wechat.code()
    with FarSide(answer=lambda _seen: [0.5, http(b"{}")]) as slow:
        monkeypatch.setattr(base, "LIMITS", Limits(connect_s=0.2, read_s=0.2, total_s=0.3))
        settings.WECHAT_API_BASE_URL = slow.url
        late = sign_in(code)
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"
    nobody = sign_in(code)
    assert (late.status_code, nobody.status_code) == (504, 502)
    told = "\n".join([*log, late.content.decode(), nobody.content.decode()])
    assert secret not in told
    assert code not in told
    assert "jscode2session" not in told


def test_without_app_id_and_secret_nobody_signs_in_and_the_operator_hears_of_it(db: None) -> None:
    answer = sign_in("code")
    assert (answer.status_code, answer.json()["message"]) == (503, "管理员尚未完成微信登录配置")
    assert sign_in("code").status_code == 503
    assert Alert.objects.get().count == 2


def test_what_is_no_code_is_400_and_wechat_is_not_asked(db: None, settings: Any) -> None:
    set_up_mini_program()
    with FarSide() as weixin:
        settings.WECHAT_API_BASE_URL = weixin.url
        for code in ("", "x" * 129, None, ["x"], "\0", "\ud800"):
            text = json.dumps({"code": code})
            answer = APIClient().post("/api/auth/wx-login", text, content_type="application/json")
            assert answer.status_code == 400, code
        for body in ({}, [], "x"):
            assert APIClient().post("/api/auth/wx-login", body, format="json").status_code == 400
    assert weixin.seen == []


# --- Binding ---------------------------------------------------------------------------------------------------------
BUYERS = "a long buyer password"


def bind(client: Any, code: str, **more: Any) -> Any:
    return client.post("/api/auth/wx-bind", {"code": code} | more, format="json", HTTP_ACCEPT_LANGUAGE="zh-hans")


def test_a_user_with_a_password_can_sign_in_by_wechat_after_binding(
    wechat: WeChat, buyer: User, as_user: Callable[..., Any]
) -> None:
    answer = bind(as_user(buyer), wechat.code(), password=BUYERS)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert signed_in(wechat.code())[1] == buyer.pk
    # Once more changes nothing.
    assert bind(as_user(buyer), wechat.code(), password=BUYERS).status_code == 200
    assert User.objects.count() == 1


def test_N5_a_stolen_token_or_session_cannot_bind_its_own_wechat(
    wechat: WeChat, buyer: User, as_user: Callable[..., Any]
) -> None:
    User.objects.create_user("thief", password="a long thief password")
    session = APIClient()
    session.force_login(buyer)
    for stolen in (as_user(buyer), session):
        for more in ({}, {"password": ""}, {"password": "wrong"}, {"password": "a long thief password"}):
            answer = bind(stolen, wechat.code(), **more)
            says = "密码不正确。" if more.get("password") else "请输入您自己的密码，以确认此次修改。"
            assert (answer.status_code, answer.json()) == (403, {"success": False, "message": says})
    for _ in range(7):
        answer = bind(as_user(buyer), wechat.code(), password="wrong")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 1
    assert bind(as_user(buyer), wechat.code(), password=BUYERS).status_code == 429
    client, thief = signed_in(wechat.code())
    assert thief != buyer.pk
    # Who came by WeChat has no password, and binds nobody else.
    assert bind(client, wechat.code("xiaohong"), password="").status_code == 403
    assert WeChatIdentity.objects.count() == 1


def test_nobody_takes_over_a_wechat_account_that_is_anothers(
    wechat: WeChat, buyer: User, as_user: Callable[..., Any]
) -> None:
    _client, other = signed_in(wechat.code())
    answer = bind(as_user(buyer), wechat.code(), password=BUYERS)
    assert (answer.status_code, answer.json()["message"]) == (409, "该微信账号已属于本站的另一位用户")
    assert signed_in(wechat.code())[1] == other
    assert APIClient().post("/api/auth/wx-bind", {"code": "x"}, format="json").status_code == 401
