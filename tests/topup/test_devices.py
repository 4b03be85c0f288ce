"""Which browser is what, by what they really say of themselves."""

import pytest

from tests.merchants import ALIPAY, WECHAT
from tests.orders import pending_order
from tests.topup.user_agents import (
    ALIPAY_ANDROID,
    ANDROID_CHROME,
    ANDROID_TABLET,
    DESKTOPS,
    HARMONY_PHONE,
    HARMONY_TABLET,
    IPAD,
    IPAD_AS_MAC,
    IPHONE_SAFARI,
    WECHAT_ANDROID,
    WECHAT_HARMONY,
    WECHAT_IOS,
    WECHAT_IPAD,
    WECHAT_MAC,
    WECHAT_WINDOWS,
    WECOM,
)
from topup.gateways.ways import DESKTOP, PHONE, Device
from topup.pages.devices import Browser, Step, device_of
from topup.services import QR_CODE, Way
from voicehelper.accounts.models import User

IN_WECHAT, IN_ALIPAY = Device("wechat"), Device("alipay")


@pytest.mark.parametrize(
    ("device", "user_agents"),
    [
        (PHONE, [IPHONE_SAFARI, ANDROID_CHROME, HARMONY_PHONE, WECOM]),
        (IN_WECHAT, [WECHAT_IOS, WECHAT_ANDROID, WECHAT_HARMONY, WECHAT_IPAD]),
        (IN_ALIPAY, [ALIPAY_ANDROID]),
        # Whoever may have neither app, or has a screen large enough for a code.
        (
            DESKTOP,
            [*DESKTOPS, WECHAT_WINDOWS, WECHAT_MAC, IPAD, IPAD_AS_MAC, ANDROID_TABLET, HARMONY_TABLET, "", "curl/8"],
        ),
    ],
)
def test_a_browser_is_known_by_what_it_says(device: Device, user_agents: list[str]) -> None:
    assert {text: device_of(text) for text in user_agents} == dict.fromkeys(user_agents, device)


def test_each_browser_pays_as_it_can() -> None:
    payer = Way("JSAPI", "wx8888888888888888", "oUpF8uMEb4qRXf22hE3X68TekukE")
    assert Browser(DESKTOP).way("wechat") == Browser(DESKTOP).way("alipay") == QR_CODE
    assert [Browser(PHONE).way(name).trade_type for name in ("wechat", "alipay")] == ["MWEB", "WAP"]
    assert Browser(IN_WECHAT, payer).way("wechat") == payer
    # It is not known whose WeChat this is.
    assert Browser(IN_WECHAT, Way("JSAPI")).way("wechat") == QR_CODE
    assert Browser(IN_ALIPAY).way("alipay").trade_type == "WAP"


@pytest.mark.django_db
def test_an_order_is_paid_where_it_can_be(buyer: User) -> None:
    payer = Way("JSAPI", "wx8888888888888888", "oBuyer")
    browsers = [Browser(DESKTOP), Browser(PHONE), Browser(IN_WECHAT, payer), Browser(IN_ALIPAY)]
    for trade_type, expected in {
        "NATIVE": [Step.SCAN] * 4,
        "MWEB": [Step.ELSEWHERE, Step.OPEN, Step.ELSEWHERE, Step.ELSEWHERE],
        "JSAPI": [Step.ELSEWHERE, Step.ELSEWHERE, Step.IN_APP, Step.ELSEWHERE],
        "WAP": [Step.OPEN, Step.OPEN, Step.ELSEWHERE, Step.OPEN],
    }.items():
        merchant = ALIPAY if trade_type == "WAP" else WECHAT
        order = pending_order(buyer, merchant, trade_type=trade_type, openid="oBuyer")
        assert [browser.step(order) for browser in browsers] == expected, trade_type
    # Another person's WeChat cannot pay it.
    order.gateway, order.trade_type, order.openid = "wechat", "JSAPI", "oSomebodyElse"
    assert browsers[2].step(order) == Step.ELSEWHERE
