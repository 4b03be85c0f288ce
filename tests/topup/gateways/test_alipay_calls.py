"""Alipay: what is asked and what is made of the answers, over HTTP against a scripted gateway."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests import vectors
from tests.far_side import FarSide, closed_port, http
from tests.topup.gateways.alipay_side import (
    ALIPAY,
    APP,
    ATTACKER,
    CONFIG,
    ORDER,
    ORDER_NO,
    RECEIPT,
    sign,
)
from topup.gateways.alipay import Alipay
from topup.gateways.errors import NumberTaken, Refused, Retryable, Unknown, Unsigned, WronglySigned
from topup.gateways.exchanges import Exchange
from topup.gateways.orders import Trade, TradeState
from voicehelper.net.http import Limits

# --- Calls -----------------------------------------------------------------------------------------------------------
CODE = "https://qr.alipay.com/bax04455bp1jlvn7mx0h60ea"
OK = {"code": "10000", "msg": "Success", "out_trade_no": ORDER_NO}
PAID = OK | {
    "trade_no": RECEIPT.transaction_id,
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "19.90",
    "send_pay_date": "2026-01-02 15:05:12",
    "qr_code": CODE,
}


def refusal(sub_code: str, *, code: str = "40004", text: str = "because") -> dict[str, str]:
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": text}


class Far:
    """A scripted gateway with ours in front of it."""

    def __init__(self, far_side: FarSide) -> None:
        self.side = far_side
        self.calls: list[Exchange] = []
        self.pay = Alipay(replace(CONFIG, gateway_url=f"{far_side.url}/gateway.do"), record=self.calls.append)
        self.pay.limits = Limits(max_bytes=100_000)

    def says(self, answer: Any) -> None:
        self.side.answer = lambda _seen: answer

    def answers(self, *fields: Mapping[str, Any], **options: Any) -> None:
        """One answer after the other, under the node that belongs to the method asked for."""
        waiting = list(fields)
        self.side.answer = lambda _seen: http(
            answer(waiting.pop(0) if len(waiting) > 1 else waiting[0], self.sent()["method"], **options)
        )

    def sent(self) -> dict[str, str]:
        seen = self.side.seen[-1]
        pairs = parse_qsl(seen.line.split()[1].partition("?")[2]) + parse_qsl(seen.body.decode(), strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def content(self) -> dict[str, str]:
        content: dict[str, str] = json.loads(self.sent()["biz_content"])
        return content

    def all_calls(self) -> list[Callable[[], object]]:
        return [lambda: self.pay.create(ORDER), lambda: self.pay.query(ORDER_NO), lambda: self.pay.close(ORDER_NO)]


def answer(
    fields: Mapping[str, Any], method: str, *, key: RSAPrivateKey = ALIPAY, node: str = "", sha1: bool = False
) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
    signature = sign(text, key, hashes.SHA1() if sha1 else hashes.SHA256())
    return f'{{"{node or method.replace(".", "_") + "_response"}":{text},"sign":"{signature}"}}'.encode()


@pytest.fixture
def far() -> Iterator[Far]:
    with FarSide() as far_side:
        yield Far(far_side)


def test_create_asks_for_exactly_what_was_agreed(far: Far) -> None:
    far.answers(OK | {"qr_code": CODE})
    assert far.pay.create(ORDER).pay_url == CODE
    sent = far.sent()
    assert far.side.seen[0].line == "POST /gateway.do?charset=utf-8 HTTP/1.1"
    assert far.side.seen[0].headers["content-type"] == "application/x-www-form-urlencoded; charset=utf-8"
    text = "&".join(f"{name}={sent[name]}" for name in sorted(sent) if name != "sign")
    APP.public_key().verify(base64.b64decode(sent.pop("sign")), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    moment = datetime.strptime(sent.pop("timestamp"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=5)
    assert json.loads(sent.pop("biz_content")) == {
        "out_trade_no": ORDER_NO,
        "total_amount": "19.90",
        "subject": "语音助手 AI额度充值 + 100次",
        "seller_id": CONFIG.seller_id,
        "time_expire": "2030-01-02 15:34:05",
        "qr_code_timeout_express": "120m",
    }
    assert sent == {
        "app_id": CONFIG.app_id,
        "method": "alipay.trade.precreate",
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "version": "1.0",
        "notify_url": ORDER.notify_url,
    }


def test_a_title_loses_what_alipay_does_not_allow(far: Far) -> None:
    far.answers(OK | {"qr_code": CODE})
    far.pay.create(replace(ORDER, subject="a/b=c&d\n" + "充" * 300))
    assert far.content()["subject"] == "a b c d " + "充" * 248


@pytest.mark.parametrize("changes", [{"qr_code": ""}, {"out_trade_no": "another_order"}, {"out_trade_no": None}])
def test_a_signed_answer_to_create_that_makes_no_sense_is_unknown(far: Far, changes: dict[str, str | None]) -> None:
    far.answers({**PAID, **changes})
    with pytest.raises(Unknown):
        far.pay.create(ORDER)
    assert far.calls[0].outcome == "unknown"


@pytest.mark.parametrize("vector", vectors.load("alipay_sync_responses")["vectors"], ids=lambda v: v["name"])
def test_a_published_answer_is_judged_rightly(far: Far, vector: dict[str, Any]) -> None:
    far.says(http(vector["raw"].encode()))
    number = json.loads(vector["raw"])[vector["response_node"]]["out_trade_no"]
    asked = "create" if "precreate" in vector["response_node"] else "query"
    ask = (
        (lambda: far.pay.create(replace(ORDER, order_no=number)))
        if asked == "create"
        else lambda: far.pay.query(number)
    )
    if vector["expected_valid"]:
        assert ask() is not None
    else:
        with pytest.raises(WronglySigned):
            ask()


@pytest.mark.parametrize(
    ("fields", "trade"),
    [
        (PAID, Trade(TradeState.PAID, "TRADE_SUCCESS", replace(RECEIPT, live=False))),
        (
            PAID | {"trade_status": "TRADE_FINISHED"},
            Trade(TradeState.PAID, "TRADE_FINISHED", replace(RECEIPT, live=False)),
        ),
        (
            PAID | {"fund_bill_list": [{"amount": "19.90"}]},
            Trade(TradeState.PAID, "TRADE_SUCCESS", replace(RECEIPT, live=False)),
        ),
        (OK | {"trade_status": "WAIT_BUYER_PAY"}, Trade(TradeState.WAITING, "WAIT_BUYER_PAY")),
        (OK | {"trade_status": "TRADE_CLOSED"}, Trade(TradeState.CLOSED, "TRADE_CLOSED")),
        (refusal("ACQ.TRADE_NOT_EXIST"), Trade(TradeState.ABSENT, "ACQ.TRADE_NOT_EXIST")),
        (
            PAID | {"trans_currency": "USD"},
            Trade(TradeState.PAID, "TRADE_SUCCESS", replace(RECEIPT, live=False, currency="USD")),
        ),
    ],
)
def test_query_tells_what_became_of_an_order(far: Far, fields: dict[str, Any], trade: Trade) -> None:
    far.answers(fields)
    assert far.pay.query(ORDER_NO) == trade
    assert far.content() == {"out_trade_no": ORDER_NO}
    assert far.calls[0].outcome == "ok"


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "another_order"},
        {"trade_status": "SOMETHING_NEW"},
        {"trade_status": None},
        {"total_amount": "0.00"},
        {"total_amount": "19.905"},
        {"total_amount": "1e2"},
        {"trade_no": None},
        {"code": "10003"},
        {"code": None},
        {"code": 10000.5},
    ],
)
def test_a_signed_answer_that_makes_no_sense_is_unknown(far: Far, changes: dict[str, Any]) -> None:
    far.answers({**PAID, **changes})
    with pytest.raises(Unknown):
        far.pay.query(ORDER_NO)
    assert far.calls[0].outcome == "unknown"


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ([OK], TradeState.CLOSED),
        ([refusal("ACQ.TRADE_NOT_EXIST")], TradeState.ABSENT),
        ([refusal("ACQ.TRADE_STATUS_ERROR"), PAID], TradeState.PAID),
        ([refusal("ACQ.TRADE_STATUS_ERROR"), OK | {"trade_status": "TRADE_CLOSED"}], TradeState.CLOSED),
    ],
)
def test_close_says_how_it_ended_and_never_cancels(far: Far, answers: list[dict[str, str]], state: TradeState) -> None:
    """Cancel would pay back a paid order."""
    far.answers(*answers)
    assert far.pay.close(ORDER_NO) is state
    methods = [dict(parse_qsl(seen.body.decode()))["method"] for seen in far.side.seen]
    assert methods == ["alipay.trade.close", "alipay.trade.query"][: len(answers)]


@pytest.mark.parametrize(
    ("fields", "error", "outcome"),
    [
        (refusal("ACQ.SYSTEM_ERROR"), Retryable, "retryable"),
        (refusal("isp.unknow-error", code="20000"), Retryable, "retryable"),
        (refusal("isv.app-call-limited", code="40005"), Retryable, "retryable"),
        (refusal("ACQ.TRADE_HAS_SUCCESS"), NumberTaken, "refused"),
        (refusal("ACQ.CONTEXT_INCONSISTENT"), NumberTaken, "refused"),
        (refusal("ACQ.INVALID_PARAMETER"), Refused, "refused"),
        (refusal("isv.invalid-signature", code="40002"), Refused, "refused"),
        (refusal("isv.insufficient-isv-permissions", code="40006"), Refused, "refused"),
        (refusal("ACQ.A_CODE_OF_TOMORROW"), Unknown, "unknown"),
        (refusal("", code="40003"), Unknown, "unknown"),
        (refusal("", code="99999"), Unknown, "unknown"),
    ],
)
def test_a_failure_is_classed_by_its_codes(
    far: Far, fields: dict[str, str], error: type[Exception], outcome: str
) -> None:
    far.answers(fields)
    with pytest.raises(error) as caught:
        far.pay.create(ORDER)
    assert type(caught.value) is error
    assert "because" in str(caught.value)
    assert far.calls[0].outcome == outcome


BROKEN: dict[str, Any] = {
    "silence": [4.0],
    "nothing": b"",
    "half body": http(answer(PAID, "x")[:100], length=900),
    "half document": http(answer(PAID, "alipay.trade.query")[:100]),
    "HTML": http(b"<html><body>502 Bad Gateway</body></html>"),
    "empty body": http(b""),
    "another node": http(answer(PAID, "alipay.trade.pay")),
    "status 500": http(answer(PAID, "alipay.trade.query"), status="500 Oops"),
    "redirect": http(b"", status="302 Found", headers="Location: /\r\n"),
    "huge": http(answer(PAID | {"body": "x" * 200_000}, "alipay.trade.query")),
    "unsigned": http(b'{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id"}}'),
    "NULs": http(b"\x00" * 50),
}
FORGED: dict[str, dict[str, Any]] = {
    "signed by us": {"key": APP},
    "signed by an attacker": {"key": ATTACKER},
    "SHA-1": {"sha1": True},
}


def assert_unknown(far: Far) -> None:
    for call in far.all_calls():
        with pytest.raises(Unknown) as caught:
            call()
        assert not isinstance(caught.value, Retryable)
    assert [(exchange.operation, exchange.outcome) for exchange in far.calls] == [
        ("create", "unknown"),
        ("query", "unknown"),
        ("close", "unknown"),
    ]
    assert all("\x00" not in exchange.response for exchange in far.calls)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_E10_no_trustworthy_answer_is_unknown_and_never_a_verdict(far: Far, broken: Any) -> None:
    far.says(broken)
    far.pay.limits = Limits(connect_s=0.5, read_s=0.5, total_s=1.0, max_bytes=100_000)
    assert_unknown(far)


@pytest.mark.parametrize("options", FORGED.values(), ids=FORGED.keys())
def test_E10_a_wrongly_signed_answer_is_unknown(far: Far, options: dict[str, Any]) -> None:
    far.answers(PAID, **options)
    assert_unknown(far)


def test_a_signed_error_response_is_believed(far: Far) -> None:
    far.answers(refusal("isv.invalid-method", code="40002"), node="error_response")
    with pytest.raises(Refused):
        far.pay.query(ORDER_NO)


def test_a_request_nobody_can_have_seen_is_retryable() -> None:
    calls: list[Exchange] = []
    with pytest.raises(Retryable):
        Alipay(replace(CONFIG, gateway_url=f"http://127.0.0.1:{closed_port()}/gateway.do"), record=calls.append).create(
            ORDER
        )
    assert calls[0].outcome == "retryable"


def test_the_log_of_calls_holds_both_sides_and_no_secret(far: Far) -> None:
    far.answers(PAID)
    far.pay.query(ORDER_NO)
    (call,) = far.calls
    assert (call.operation, call.order_no, call.outcome) == ("query", ORDER_NO, "ok")
    assert "method=alipay.trade.query" in call.request
    assert '"trade_status":"TRADE_SUCCESS"' in call.response
    far.says(http(answer(PAID, "alipay.trade.query")[:-40]))
    with pytest.raises(Unknown):
        far.pay.query(ORDER_NO)
    for text in (call.request, call.response, far.calls[1].response, repr(CONFIG), repr(far.pay)):
        assert CONFIG.private_key[:40] not in text
        assert not re.search(r"[0-9A-Za-z+/]{100}", text)


# --- Test connection -------------------------------------------------------------------------------------------------
class Probed(Far):
    """The same gateway, asked by a probe: it knows no order, and sells a code to this seller only."""

    def __init__(self, far_side: FarSide, seller_id: str = CONFIG.seller_id) -> None:
        super().__init__(far_side)
        self.asked: list[dict[str, str]] = []
        self.side.answer = lambda _seen: http(answer(self._said(seller_id), self.sent()["method"]))

    def _said(self, seller_id: str) -> Mapping[str, str]:
        self.asked.append({"method": self.sent()["method"], **self.content()})
        if self.asked[-1]["method"] != "alipay.trade.precreate":
            return refusal("ACQ.TRADE_NOT_EXIST")
        if self.asked[-1]["seller_id"] != seller_id:
            return refusal("ACQ.INVALID_PARAMETER", text="seller_id")
        return OK | {"out_trade_no": self.asked[-1]["out_trade_no"], "qr_code": CODE}


def test_a_probe_proves_the_keys_and_the_seller_and_leaves_nothing_behind() -> None:
    with FarSide() as side:
        far = Probed(side)
        probe = far.pay.probe()
        assert (probe.ok, CONFIG.seller_id in probe.message, side.url in probe.called) == (True, True, True)
        assert [each["method"].split(".")[-1] for each in far.asked] == ["query", "precreate", "close"]
        assert all(re.fullmatch(r"PROBE\w{6,27}", each["out_trade_no"]) for each in far.asked)
        assert far.asked[1]["total_amount"] == "0.01"
        assert far.asked[1]["out_trade_no"] == far.asked[2]["out_trade_no"]
        probe = Probed(side, "2088000000000009").pay.probe()
        assert (probe.ok, probe.told) == (False, True)
        assert "refuses the seller id" in probe.hint


@pytest.mark.parametrize(
    ("fields", "options", "hint"),
    [
        (refusal("isv.invalid-signature", code="40002"), {}, "does not belong to this private key"),
        (refusal("isv.invalid-app-id", code="40002"), {}, "does not know this app id"),
        (refusal("isv.invalid-timestamp", code="40002"), {}, "clock"),
        (refusal("isv.insufficient-isv-permissions", code="40006"), {}, "may not use"),
        (refusal("ACQ.ACCESS_FORBIDDEN"), {}, "may not use"),
        (refusal("ACQ.TRADE_NOT_EXIST"), {"key": ATTACKER}, "not Alipay's"),
        (refusal("ACQ.A_CODE_OF_TOMORROW"), {}, "log of gateway calls"),
    ],
)
def test_a_failed_probe_names_the_mistake(far: Far, fields: dict[str, str], options: dict[str, Any], hint: str) -> None:
    far.answers(fields, **options)
    probe = far.pay.probe()
    assert not probe.ok
    assert hint in probe.hint


def test_an_unsigned_complaint_is_told_and_not_believed(far: Far) -> None:
    far.says(
        http(b'{"alipay_trade_query_response":{"code":"40002","msg":"Invalid","sub_code":"isv.invalid-signature"}}')
    )
    with pytest.raises(Unsigned) as caught:
        far.pay.query(ORDER_NO)
    assert caught.value.said == "isv.invalid-signature: Invalid"
    assert "does not belong to this private key" in far.pay.probe().hint


def test_a_probe_that_reaches_nobody_says_so() -> None:
    probe = Alipay(replace(CONFIG, gateway_url=f"http://127.0.0.1:{closed_port()}/gateway.do")).probe()
    assert not probe.ok
    assert "network" in probe.hint


# --- What answers look like that nobody documented -------------------------------------------------------------------
@pytest.mark.parametrize(("amount", "fen"), [("73", 7300), ("73.0", 7300), ("73.00", 7300), ("0.5", 50)])
def test_P51_an_amount_in_an_answer_is_compared_as_a_number(far: Far, amount: str, fen: int) -> None:
    far.answers(PAID | {"total_amount": amount})
    found = far.pay.query(ORDER_NO).receipt
    assert found is not None
    assert found.amount_fen == fen


class InGBK(Far):
    """The same gateway, on a day when its answers are in GBK. 誠 ends with a backslash there."""

    def say(self, declared: str, **fields: str) -> None:
        node = json.dumps(fields, ensure_ascii=False).encode("gbk")
        signature = base64.b64encode(ALIPAY.sign(node, padding.PKCS1v15(), hashes.SHA256())).decode()
        method = "alipay_trade_query_response" if fields["code"] == "40004" else "alipay_trade_precreate_response"
        body = b'{"%s":%s,"sign":"%s"}' % (method.encode(), node, signature.encode())
        kind = f"Content-Type: text/html{declared}\r\n".encode()
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        self.side.answer = lambda _seen: b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + kind + length + body


@pytest.fixture(params=["; charset=GBK", "; charset=utf-8", "; charset=nonsense", ""])
def declared(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_P52_a_busy_gateway_that_says_so_in_gbk_is_tried_again(declared: str) -> None:
    with FarSide() as side:
        far = InGBK(side)
        far.say(declared, code="20000", msg="Service Unavailable", sub_code="isp.unknow-error", sub_msg="系统繁忙，誠")
        with pytest.raises(Retryable, match="系统繁忙"):
            far.pay.create(ORDER)


def test_P53_an_order_that_does_not_exist_in_gbk_is_absent(declared: str) -> None:
    with FarSide() as side:
        far = InGBK(side)
        far.say(declared, code="40004", msg="Business Failed", sub_code="ACQ.TRADE_NOT_EXIST", sub_msg="交易不存在，誠")
        assert far.pay.query(ORDER_NO) == Trade(TradeState.ABSENT, "ACQ.TRADE_NOT_EXIST")
        far.say(declared, code="40004", msg="Business Failed", sub_code="ACQ.TRADE_NOT_EXIST", sub_msg="交易")
        changed = side.answer(side.seen[0]).replace("交易".encode("gbk"), "付款".encode("gbk"))  # type: ignore[union-attr]
        side.answer = lambda _seen: changed
        with pytest.raises(WronglySigned):
            far.pay.query(ORDER_NO)
