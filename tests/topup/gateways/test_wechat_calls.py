"""WeChat Pay v2: what is asked and what is made of the answers, over HTTP against a scripted gateway."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.far_side import FarSide, Seen, closed_port, http
from tests.topup.gateways.wechat_side import CONFIG, KEY, NOTICE, ORDER, ORDER_NO, RECEIPT, document, signed
from topup.gateways.errors import NumberTaken, Refused, Retryable, Unknown, Unsigned, WronglySigned
from topup.gateways.exchanges import Exchange
from topup.gateways.orders import Trade, TradeState
from topup.gateways.wechat.trades import DESCRIPTION_BYTES, short
from topup.gateways.wechat.v2 import WeChatPayV2
from voicehelper.net.http import Limits

# --- Calls -----------------------------------------------------------------------------------------------------------
OK = {"return_code": "SUCCESS", "return_msg": "OK", "appid": CONFIG.app_id, "mch_id": CONFIG.mch_id, "nonce_str": "n"}
CREATED = OK | {
    "result_code": "SUCCESS",
    "prepay_id": "wx20",
    "code_url": "weixin://wxpay/bizpayurl?pr=a&b",
    "trade_type": "NATIVE",
}
PAID = (
    {name: value for name, value in NOTICE.items() if value}
    | OK
    | {"trade_state": "SUCCESS", "trade_state_desc": "支付成功"}
)


def refusal(code: str, text: str = "because") -> dict[str, str]:
    return OK | {"result_code": "FAIL", "err_code": code, "err_code_des": text}


class Far:
    """A scripted gateway with ours in front of it."""

    def __init__(self, far_side: FarSide) -> None:
        self.side = far_side
        self.calls: list[Exchange] = []
        self.pay = WeChatPayV2(replace(CONFIG, base_url=far_side.url), record=self.calls.append)
        self.pay.limits = Limits(max_bytes=100_000)

    def says(self, answer: Any) -> None:
        self.side.answer = lambda _seen: answer

    def signs(self, fields: Mapping[str, str | None], **options: Any) -> None:
        self.says(http(signed(fields, **options)))

    def sent(self) -> dict[str, str]:
        return dict(re.findall(r"<(\w+)><!\[CDATA\[(.*?)\]\]></\1>", self.side.seen[-1].body.decode()))

    def all_calls(self) -> list[Callable[[], object]]:
        return [lambda: self.pay.create(ORDER), lambda: self.pay.query(ORDER_NO), lambda: self.pay.close(ORDER_NO)]


@pytest.fixture
def far() -> Iterator[Far]:
    with FarSide() as far_side:
        yield Far(far_side)


def test_create_asks_for_exactly_what_was_agreed(far: Far) -> None:
    far.signs(CREATED)
    assert far.pay.create(ORDER).pay_url == CREATED["code_url"]
    sent = far.sent()
    assert far.side.seen[0].line.split()[:2] == ["POST", "/pay/unifiedorder"]
    assert len(sent.pop("nonce_str")) == 32
    assert signed({**sent, "nonce_str": far.sent()["nonce_str"], "sign": None}).decode().count(sent.pop("sign")) == 1
    assert sent == {
        "appid": CONFIG.app_id,
        "mch_id": CONFIG.mch_id,
        "sign_type": "HMAC-SHA256",
        "out_trade_no": ORDER_NO,
        "product_id": ORDER_NO,
        "body": "AI服务充值",
        "fee_type": "CNY",
        "total_fee": "1990",
        "spbill_create_ip": "203.0.113.7",
        # Beijing's clock, five minutes after ours has ended.
        "time_expire": "20300102153905",
        "notify_url": "https://pay.example.com/api/wechat/notify",
        "trade_type": "NATIVE",
    }


@given(st.text(max_size=200))
def test_a_title_of_any_length_fits_into_127_bytes(subject: str) -> None:
    title = short(subject, DESCRIPTION_BYTES)
    assert len(title.encode()) <= 127
    assert document({"body": title})
    if subject.isprintable() and len(subject.encode()) <= 127:
        assert title == subject


def test_an_md5_merchant_signs_with_md5(far: Far) -> None:
    far.pay = WeChatPayV2(replace(CONFIG, base_url=far.side.url, sign_type="MD5"))
    far.signs(CREATED, md5=True)
    far.pay.create(ORDER)
    assert far.sent()["sign_type"] == "MD5"
    assert len(far.sent()["sign"]) == 32
    far.signs(CREATED)
    with pytest.raises(WronglySigned):
        far.pay.create(ORDER)


def test_an_answer_without_a_code_is_unknown(far: Far) -> None:
    far.signs(CREATED | {"code_url": ""})
    with pytest.raises(Unknown):
        far.pay.create(ORDER)


QUERIED = [
    (PAID, Trade(TradeState.PAID, "SUCCESS", replace(RECEIPT, live=False))),
    (PAID | {"trade_state": "REFUND"}, Trade(TradeState.REFUNDED, "REFUND", replace(RECEIPT, live=False))),
    (
        OK | {"result_code": "SUCCESS", "out_trade_no": ORDER_NO, "trade_state": "REFUND"},
        Trade(TradeState.REFUNDED, "REFUND"),
    ),
    (refusal("ORDERNOTEXIST"), Trade(TradeState.ABSENT, "ORDERNOTEXIST")),
    *(
        (OK | {"result_code": "SUCCESS", "out_trade_no": ORDER_NO, "trade_state": word}, Trade(state, word))
        for word, state in {
            "NOTPAY": TradeState.WAITING,
            "USERPAYING": TradeState.WAITING,
            "ACCEPT": TradeState.WAITING,
            "CLOSED": TradeState.CLOSED,
            "REVOKED": TradeState.CLOSED,
            "PAYERROR": TradeState.CLOSED,
        }.items()
    ),
]


@pytest.mark.parametrize(
    ("fields", "trade"), QUERIED, ids=lambda value: value.raw_state if isinstance(value, Trade) else ""
)
def test_query_tells_what_became_of_an_order(far: Far, fields: dict[str, str], trade: Trade) -> None:
    far.signs(fields)
    assert far.pay.query(ORDER_NO) == trade
    assert far.side.seen[0].line.split()[1] == "/pay/orderquery"
    assert far.sent()["out_trade_no"] == ORDER_NO
    assert far.calls[0].outcome == "ok"


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "20260102150405000000000000000000"},
        {"out_trade_no": None},
        {"trade_state": "SOMETHING_NEW"},
        {"trade_state": None},
        {"total_fee": "0"},
        {"total_fee": None},
        {"transaction_id": None},
        {"appid": "wx9999999999999999"},
        {"mch_id": "1900000110"},
        {"result_code": None},
        {"result_code": "success"},
    ],
)
def test_a_signed_answer_that_makes_no_sense_is_unknown(far: Far, changes: dict[str, str | None]) -> None:
    far.signs({**PAID, **changes})
    with pytest.raises(Unknown):
        far.pay.query(ORDER_NO)
    assert far.calls[0].outcome == "unknown"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        (OK | {"result_code": "SUCCESS"}, TradeState.CLOSED),
        (refusal("ORDERCLOSED"), TradeState.CLOSED),
        (refusal("ORDERPAID"), TradeState.PAID),
        (refusal("ORDERNOTEXIST"), TradeState.ABSENT),
    ],
)
def test_close_says_how_it_ended(far: Far, fields: dict[str, str], state: TradeState) -> None:
    far.signs(fields)
    assert far.pay.close(ORDER_NO) is state
    assert far.side.seen[0].line.split()[1] == "/pay/closeorder"
    assert WeChatPayV2.close_after_s == 300


@pytest.mark.parametrize(
    ("code", "error", "outcome"),
    [
        ("SYSTEMERROR", Retryable, "retryable"),
        ("ORDERPAID", NumberTaken, "refused"),
        ("OUT_TRADE_NO_USED", NumberTaken, "refused"),
        ("NOAUTH", Refused, "refused"),
        ("INVALID_REQUEST", Refused, "refused"),
        ("APPID_MCHID_NOT_MATCH", Refused, "refused"),
        ("A_CODE_OF_TOMORROW", Unknown, "unknown"),
        ("", Unknown, "unknown"),
    ],
)
def test_a_business_failure_is_classed_by_its_code(far: Far, code: str, error: type[Exception], outcome: str) -> None:
    far.signs(refusal(code, "说明"))
    with pytest.raises(error) as caught:
        far.pay.create(ORDER)
    assert type(caught.value) is error
    assert "说明" in str(caught.value)
    assert getattr(caught.value, "code", code) == code
    assert far.calls[0].outcome == outcome


def drip(_seen: Seen) -> Iterator[bytes | float]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    for _ in range(40):
        yield 0.1
        yield b"<"


QUICK = Limits(connect_s=0.5, read_s=0.5, total_s=1.0, max_bytes=100_000)
BROKEN: dict[str, Any] = {
    "silence": [4.0],
    "nothing": b"",
    "half body": http(signed(CREATED)[:200], length=len(signed(CREATED))),
    "half document": http(signed(CREATED)[:200]),
    "HTML": http(b"<html><body>502 Bad Gateway</body></html>"),
    "JSON": http(b"{}"),
    "empty body": http(b""),
    "signed with another key": http(signed(PAID | CREATED, key="x" * 32)),
    "signed with MD5": http(signed(PAID | CREATED, md5=True)),
    "unsigned": http(document(PAID | CREATED)),
    "return_code FAIL": http(document({"return_code": "FAIL", "return_msg": "签名错误"})),
    "signed return_code FAIL": http(signed(PAID | CREATED | {"return_code": "FAIL"})),
    "status 500": http(signed(PAID | CREATED), status="500 Oops"),
    "status 502": http(b"<html>", status="502 Bad Gateway"),
    "redirect": http(b"", status="302 Found", headers="Location: /pay/orderquery\r\n"),
    "huge": http(signed(PAID | CREATED | {"attach": "x" * 200_000})),
    "large": http(signed(PAID | CREATED | {"attach": "x" * 70_000})),
    "DOCTYPE": http(b"<!DOCTYPE xml>" + signed(PAID | CREATED)),
    "two of one": http(signed(PAID | CREATED).replace(b"</xml>", b"<total_fee>1</total_fee></xml>")),
    "NULs": http(b"\x00" * 50),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_E10_no_trustworthy_answer_is_unknown_and_never_a_verdict(far: Far, answer: Any) -> None:
    far.says(answer)
    far.pay.limits = QUICK
    for call in far.all_calls():
        started = time.monotonic()
        with pytest.raises(Unknown) as caught:
            call()
        assert not isinstance(caught.value, Retryable)
        assert time.monotonic() - started < 2.5
    assert [exchange.outcome for exchange in far.calls] == ["unknown"] * 3
    assert [exchange.operation for exchange in far.calls] == ["create", "query", "close"]
    assert all("\x00" not in exchange.response and str(caught.value) for exchange in far.calls)


def test_E10_an_answer_that_drips_ends_in_time(far: Far) -> None:
    far.side.answer = drip
    far.pay.limits = QUICK
    started = time.monotonic()
    with pytest.raises(Unknown):
        far.pay.query(ORDER_NO)
    assert time.monotonic() - started < 2.5


def test_a_request_nobody_can_have_seen_is_retryable() -> None:
    calls: list[Exchange] = []
    for address in (f"http://127.0.0.1:{closed_port()}", "http://no-such-host.invalid"):
        with pytest.raises(Retryable):
            WeChatPayV2(replace(CONFIG, base_url=address), record=calls.append).create(ORDER)
    assert [call.outcome for call in calls] == ["retryable", "retryable"]


def test_the_log_of_calls_holds_both_sides_and_no_secret(far: Far) -> None:
    far.signs(CREATED)
    far.pay.create(ORDER)
    (call,) = far.calls
    assert (call.operation, call.order_no, call.outcome) == ("create", ORDER_NO, "ok")
    assert "<total_fee><![CDATA[1990]]>" in call.request
    assert "weixin://wxpay/bizpayurl" in call.response
    assert 0 <= call.elapsed_ms < 1000
    for text in (call.request, call.response, repr(CONFIG), repr(far.pay)):
        assert KEY not in text
        assert not re.search("[0-9A-F]{32}", text)
    far.says(http(signed(CREATED).split(b"]]></sign>")[0]))
    with pytest.raises(Unknown):
        far.pay.create(ORDER)
    assert not re.search("[0-9A-F]{32}", far.calls[-1].response)


# --- Test connection -------------------------------------------------------------------------------------------------
def test_a_probe_of_a_working_account_succeeds(far: Far) -> None:
    far.signs(refusal("ORDERNOTEXIST"))
    probe = far.pay.probe()
    assert probe.ok
    assert far.side.url in probe.called
    assert re.fullmatch(r"PROBE\w{6,27}", far.sent()["out_trade_no"])


UNSIGNED = {"return_code": "FAIL"}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (document(UNSIGNED | {"return_msg": "签名错误"}), "API v2 key is not the one"),
        (signed(refusal("SIGNERROR")), "API v2 key is not the one"),
        (signed(refusal("ORDERNOTEXIST"), key="x" * 32), "answered in its place"),
        (document(UNSIGNED | {"return_msg": "appid和mch_id不匹配"}), "not bound to this merchant"),
        (signed(refusal("APPID_MCHID_NOT_MATCH")), "not bound to this merchant"),
        (document(UNSIGNED | {"return_msg": "appid不存在"}), "does not know this app id"),
        (document(UNSIGNED | {"return_msg": "商户号mch_id或sub_mch_id不存在"}), "does not know this merchant"),
        (signed(refusal("MCHID_NOT_EXIST")), "does not know this merchant"),
        (signed(refusal("NOAUTH")), "not enabled"),
        (b"<html>", "log of gateway calls"),
    ],
)
def test_a_failed_probe_names_the_mistake(far: Far, answer: bytes, hint: str) -> None:
    far.says(http(answer))
    probe = far.pay.probe()
    assert not probe.ok
    assert hint in probe.hint


def test_a_probe_that_reaches_nobody_says_so() -> None:
    probe = WeChatPayV2(replace(CONFIG, base_url=f"http://127.0.0.1:{closed_port()}")).probe()
    assert not probe.ok
    assert "network" in probe.hint


def test_an_unsigned_complaint_is_told_and_not_believed(far: Far) -> None:
    far.says(http(document(UNSIGNED | {"return_msg": "签名错误"})))
    with pytest.raises(Unsigned) as caught:
        far.pay.query(ORDER_NO)
    assert caught.value.said == "签名错误"
