"""What WeChat's OAuth may answer, and what becomes of it. The secret shows nowhere."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.far_side import FarSide, Seen, http
from voicehelper.accounts.wechat.base import AppRefused, CodeRefused, LoginFailed, WeChatAway
from voicehelper.accounts.wechat.web_login import WebLogin

SECRET = "5ecre7f0rw3ch47sweb10g1n"


def login(far_side: FarSide) -> WebLogin:
    return WebLogin("wx8888888888888888", SECRET, "https://open.example/authorize", far_side.url)


def test_the_visitor_is_sent_with_the_parameters_in_wechats_order() -> None:
    real = WebLogin("wx8888888888888888", SECRET).address("https://pay.example.com/recharge/payer", "s7")
    assert real == (
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx8888888888888888"
        "&redirect_uri=https%3A%2F%2Fpay.example.com%2Frecharge%2Fpayer&response_type=code&scope=snsapi_base"
        "&state=s7#wechat_redirect"
    )


def test_a_code_buys_the_openid() -> None:
    seen: list[Seen] = []

    def answer(request: Seen) -> bytes:
        seen.append(request)
        # WeChat calls its JSON text/plain.
        return http(b'{"access_token":"t","openid":"oBuyer","scope":"snsapi_base"}')

    with FarSide(answer=answer) as far_side:
        assert login(far_side).openid("c0de&x=1") == "oBuyer"
    path, asked = seen[0].line.split()[1], parse_qs(urlsplit(seen[0].line.split()[1]).query)
    assert path.startswith("/sns/oauth2/access_token?")
    assert asked == {
        "appid": ["wx8888888888888888"],
        "secret": [SECRET],
        "code": ["c0de&x=1"],
        "grant_type": ["authorization_code"],
    }


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"errcode": 40029, "errmsg": "invalid code"}, CodeRefused),
        ({"errcode": 40125, "errmsg": "invalid appsecret"}, AppRefused),
        ({}, WeChatAway),
        ({"openid": ""}, WeChatAway),
        ({"openid": 7}, WeChatAway),
        ({"openid": "o" * 129}, WeChatAway),
        ({"openid": "o\n"}, WeChatAway),
        (["openid"], WeChatAway),
        ("{", WeChatAway),
    ],
    ids=str,
)
def test_whatever_else_it_says_is_no_openid(body: object, error: type[LoginFailed]) -> None:
    said = body if isinstance(body, str) else json.dumps(body)
    with FarSide(answer=lambda _seen: http(said.encode())) as far_side, pytest.raises(error) as raised:
        login(far_side).openid("code")
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(login(far_side))


def test_silence_is_no_openid() -> None:
    nobody = WebLogin("wx8888888888888888", SECRET, base_url="http://127.0.0.1:9")
    with pytest.raises(WeChatAway) as raised:
        nobody.openid("code")
    assert SECRET not in str(raised.value)
    with FarSide(answer=lambda _seen: http(b"no", status="502 Bad Gateway")) as far_side, pytest.raises(WeChatAway):
        login(far_side).openid("code")
