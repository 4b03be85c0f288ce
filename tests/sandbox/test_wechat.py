"""WeChat Pay's stand-in, as a merchant meets it."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from sandbox import wechat as protocol
from sandbox.models import Merchant, Trade
from tests.merchants import wechat_sign

from .clients import WeChatClient, beijing, new_number, xml_fields

OFFICIAL = {
    "appid": "wxd930ea5d5a258f4f",
    "body": "test",
    "device_info": "1000",
    "mch_id": "10000100",
    "nonce_str": "ibuaiVcKdpRxkhJA",
}
OFFICIAL_KEY = "192006250b4c09247ec02edce69f6a2d"
OFFICIAL_SIGNS = {
    "MD5": "9A0A8659F005D6984697E2CA0A9CF3B7",
    "HMAC-SHA256": "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6",
}


@pytest.mark.parametrize("sign_type", OFFICIAL_SIGNS)
def test_both_sides_sign_like_the_official_example(sign_type: str) -> None:
    assert protocol.sign(OFFICIAL, OFFICIAL_KEY, sign_type) == OFFICIAL_SIGNS[sign_type]
    assert wechat_sign(OFFICIAL, OFFICIAL_KEY, sign_type) == OFFICIAL_SIGNS[sign_type]


def test_zero_is_signed_and_empty_is_not() -> None:
    plain = protocol.sign({"a": "0"}, "k", "MD5")
    assert protocol.sign({"a": "0", "b": "", "sign": "x"}, "k", "MD5") == plain
    assert protocol.sign({}, "k", "MD5") != plain


@pytest.mark.parametrize("sign_type", ["MD5", "HMAC-SHA256", None])
def test_an_order_is_answered_with_a_signed_code(wechat: WeChatClient, sign_type: str | None) -> None:
    answer = wechat.create(sign_type=sign_type, device_info="WEB")
    assert answer["code_url"].startswith("weixin://")
    assert answer["prepay_id"].startswith("wx")
    assert (answer["trade_type"], answer["device_info"]) == ("NATIVE", "WEB")
    assert wechat.state(answer["out_trade_no"]) == "NOTPAY"


@pytest.mark.parametrize(
    ("name", "value"), [("total_fee", "1"), ("body", "else"), ("attach", "new"), ("time_expire", "later")]
)
def test_other_parameters_under_one_number_are_refused(wechat: WeChatClient, name: str, value: str) -> None:
    order = wechat.order()
    wechat.call("unifiedorder", **order)
    value = f"{beijing(minutes=40):%Y%m%d%H%M%S}" if value == "later" else value
    assert wechat.call("unifiedorder", **order | {name: value})["err_code"] == "OUT_TRADE_NO_USED"


NEEDED = ["body", "out_trade_no", "total_fee", "spbill_create_ip", "notify_url", "trade_type", "product_id"]
BAD = {
    "trade_type": ["APP"],
    "body": ["充" * 43],
    "attach": ["x" * 128],
    "product_id": ["x" * 33],
    "out_trade_no": ["short", "x" * 33, "white space", "chinese充值"],
    "total_fee": ["0", "-1", "73.00", "1e2", "１００"],
    "fee_type": ["USD"],
    "spbill_create_ip": ["localhost", "::ffff:203.0.113.9"],
    "notify_url": [
        *("http://127.0.0.1/notify?a=1", "http://127.0.0.1/" + "x" * 240, "ftp://127.0.0.1/notify"),
        *(
            "https://pay.example.com/notify",
            "http://127.0.0.1.example.com/notify",
            "http://127.0.0.1@example.com/notify",
        ),
        *("http://example.com\\@127.0.0.1/notify", "http://10.0.0.1/notify"),
    ],
    "time_expire": ["2026-01-01 00:00:00", "20269999999999"],
}


def test_an_order_is_refused_with_a_signed_reason(wechat: WeChatClient) -> None:
    lacking = [("LACK_PARAMS", needed, value) for needed in NEEDED for value in (None, "")]
    for code, name, value in lacking + [("INVALID_REQUEST", bad, value) for bad in BAD for value in BAD[bad]]:
        answer = wechat.call("unifiedorder", **wechat.order(**{name: value}))
        assert (answer["result_code"], answer["err_code"]) == ("FAIL", code), (name, value)
        assert answer["err_code_des"]
    assert not Trade.objects.exists()


def test_the_title_may_have_127_bytes_and_no_more(wechat: WeChatClient) -> None:
    wechat.create(body="充" * 42 + "x")
    assert wechat.call("unifiedorder", **wechat.order(body="充" * 42 + "xy"))["err_code"] == "INVALID_REQUEST"


def test_every_character_of_the_official_charset_is_allowed_in_a_number(wechat: WeChatClient) -> None:
    wechat.create(out_trade_no="aZ09_-|*")


def test_expiry_must_be_five_minutes_away_in_beijing(wechat: WeChatClient) -> None:
    wechat.create(time_expire=f"{beijing(minutes=5, seconds=2):%Y%m%d%H%M%S}")
    for moment in (beijing(minutes=4, seconds=58), beijing(hours=-8, minutes=30)):
        answer = wechat.call("unifiedorder", **wechat.order(time_expire=f"{moment:%Y%m%d%H%M%S}"))
        assert "time_expire" in answer["err_code_des"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sign": "0" * 64}, "签名错误"),
        ({"sign": ""}, "sign"),
        ({"mch_id": "1999999999"}, "mch_id"),
        ({"appid": None}, "appid"),
        ({"nonce_str": None}, "nonce_str"),
        ({"nonce_str": "x" * 33}, "nonce_str"),
        ({"sign_type": "RSA", "sign": "x"}, "sign_type"),
    ],
)
def test_an_unknown_caller_gets_an_unsigned_no(
    wechat: WeChatClient, changes: dict[str, str | None], words: str
) -> None:
    answer = wechat.send("unifiedorder", wechat.order(**changes))
    assert answer["return_code"] == "FAIL"
    assert "sign" not in answer
    assert words in answer["return_msg"]


def test_an_empty_or_foreign_key_signs_nothing(wechat: WeChatClient) -> None:
    for key in ("x" * 32, wechat.key.upper() + "x"):
        assert wechat.send("unifiedorder", wechat.order(), key=key)["return_msg"] == "签名错误"
    order = wechat.order(appid=wechat.app_id, mch_id=wechat.mch_id, nonce_str="n")
    empty = wechat_sign({name: value or "" for name, value in order.items()}, "", "MD5")
    assert wechat.send("unifiedorder", {**order, "sign_type": None, "sign": empty})["return_msg"] == "签名错误"


def test_a_foreign_app_is_refused(wechat: WeChatClient) -> None:
    Merchant.objects.create(gateway="wechat", name="Other", app_id="wx1", merchant_id="1", api_key="k")
    for app_id, code in (("wx1", "APPID_MCHID_NOT_MATCH"), ("wx2", "APPID_NOT_EXIST")):
        for path, values in (("unifiedorder", wechat.order()), ("orderquery", {"out_trade_no": "123456"})):
            assert wechat.send(path, {**values, "appid": app_id})["err_code"] == code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<xml><a>1</a>",
        b"<root><a>1</a></root>",
        b"<xml><a>1</a><a>2</a></xml>",
        b"<xml><a><b>1</b></a></xml>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><xml><mch_id>&a;</mch_id></xml>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><xml><mch_id>1</mch_id></xml>',
        "<xml><a>充</a></xml>".encode("gbk"),
        b"<xml><a>" + b"x" * 65536 + b"</a></xml>",
    ],
)
def test_hostile_bytes_are_refused(wechat: WeChatClient, body: bytes) -> None:
    response = wechat.raw("unifiedorder", body)
    assert response.status_code == 200
    assert xml_fields(response.content)["return_code"] == "FAIL"


def test_get_is_refused(wechat: WeChatClient) -> None:
    answer = xml_fields(wechat.http.get("/sandbox/wechat/pay/unifiedorder").content)
    assert answer == {"return_code": "FAIL", "return_msg": "请使用post方法"}


def test_a_paid_order_says_who_paid_what_and_takes_no_second_payment(wechat: WeChatClient, phone: object) -> None:
    order = wechat.create(attach="a&b<c>]]>d")
    paid = phone("pay", order["code_url"])
    assert paid.status_code == 200
    answer = wechat.call("orderquery", out_trade_no=order["out_trade_no"])
    assert (answer["trade_state"], answer["total_fee"], answer["cash_fee"]) == ("SUCCESS", "7300", "7300")
    assert answer["transaction_id"] == paid.json()["transaction_id"]
    assert answer["attach"] == "a&b<c>]]>d"
    assert answer["time_end"].startswith(f"{beijing():%Y%m%d}")
    assert wechat.call("orderquery", transaction_id=answer["transaction_id"])["trade_state"] == "SUCCESS"
    again = phone("pay", order["code_url"])
    assert (again.status_code, again.json()["state"]) == (409, "paid")
    assert wechat.call("unifiedorder", **wechat.order(out_trade_no=order["out_trade_no"]))["err_code"] == "ORDERPAID"


def test_an_unknown_number_does_not_exist(wechat: WeChatClient) -> None:
    assert wechat.state(new_number()) == "ORDERNOTEXIST"
    assert wechat.call("orderquery")["err_code"] == "LACK_PARAMS"
    assert wechat.call("closeorder", out_trade_no=new_number())["err_code"] == "ORDERNOTEXIST"


def test_an_order_is_closed_only_after_five_minutes(wechat: WeChatClient, phone: object) -> None:
    order = wechat.create()
    number = order["out_trade_no"]
    assert wechat.call("closeorder", out_trade_no=number)["err_code"] == "TRADE_STATE_ERROR"
    with time_machine.travel(timezone.now() + timedelta(minutes=5, seconds=1)):
        assert wechat.call("closeorder", out_trade_no=number)["result_code"] == "SUCCESS"
        assert wechat.state(number) == "CLOSED"
        assert wechat.call("closeorder", out_trade_no=number)["err_code"] == "ORDERCLOSED"
        assert wechat.call("unifiedorder", **wechat.order(out_trade_no=number))["err_code"] == "ORDERCLOSED"
        assert phone("pay", order["code_url"]).status_code == 409
    assert wechat.state(number) == "CLOSED"


def test_an_order_expires(wechat: WeChatClient, phone: object) -> None:
    order = wechat.create()
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        assert wechat.state(order["out_trade_no"]) == "CLOSED"
        assert phone("pay", order["code_url"]).json()["state"] == "closed"
    unlimited = wechat.create(time_expire=None)
    with time_machine.travel(timezone.now() + timedelta(hours=2, seconds=1)):
        assert wechat.state(unlimited["out_trade_no"]) == "CLOSED"


def test_one_merchant_cannot_see_anothers_orders(wechat: WeChatClient) -> None:
    order = wechat.create()
    Merchant.objects.create(gateway="wechat", name="Other", app_id="wx1", merchant_id="1", api_key="k" * 32)
    assert WeChatClient("wx1", "1", "k" * 32).state(order["out_trade_no"]) == "ORDERNOTEXIST"
