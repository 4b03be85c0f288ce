"""Refunds at both providers: what is asked, under which certificate, and what is made of the answers."""

import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests import vectors
from tests.certificates import issue, server_context
from tests.far_side import FarSide, http
from tests.topup.gateways import alipay_side, wechat_side
from tests.topup.gateways.wechat_side import CONFIG, KEY, ORDER, ORDER_NO, document, signed
from topup.gateways.alipay import Alipay
from topup.gateways.base import Gateway
from topup.gateways.errors import (
    BadSignature,
    Malformed,
    NotConfigured,
    NotSupported,
    Refused,
    Retryable,
    Unknown,
    WrongRecipient,
)
from topup.gateways.refunds import NewRefund, RefundHint, RefundState, RefundStatus
from topup.gateways.wechat.v2 import WeChatPayV2, string_to_sign
from topup.gateways.wechat.v2.notices import decrypted

REFUND_NO = f"R{ORDER_NO}01"
NEW = NewRefund(ORDER_NO, REFUND_NO, 500, 1990, "客户不再需要", "https://pay.example.com/api/wechat/refund-notify")
AUTHORITY = issue("Test authority")
CLIENT, OTHERS = issue("1900000109", by=AUTHORITY), issue("1900000999", by=AUTHORITY)
WITH_CERTIFICATE = replace(CONFIG, client_cert=CLIENT.pem, client_key=CLIENT.key)
OK = {"return_code": "SUCCESS", "return_msg": "OK", "appid": CONFIG.app_id, "mch_id": CONFIG.mch_id, "nonce_str": "n"}


# --- WeChat Pay ------------------------------------------------------------------------------------------------------
class Far:
    """A scripted WeChat Pay with our gateway in front of it."""

    def __init__(self, side: FarSide) -> None:
        self.side = side
        self.pay = WeChatPayV2(replace(WITH_CERTIFICATE, base_url=side.url))

    def says(self, *answers: Mapping[str, str]) -> None:
        left = list(answers)
        self.side.answer = lambda _seen: http(signed(OK | {"result_code": "SUCCESS"} | dict(left.pop(0))))

    def fails(self, code: str) -> None:
        self.says({"result_code": "FAIL", "err_code": code, "err_code_des": "because"})

    def sent(self) -> dict[str, str]:
        return dict(re.findall(r"<(\w+)><!\[CDATA\[(.*?)\]\]></\1>", self.side.seen[-1].body.decode()))


@pytest.fixture
def far() -> Iterator[Far]:
    with FarSide() as side:
        yield Far(side)


ACCEPTED = {"out_trade_no": ORDER_NO, "out_refund_no": REFUND_NO, "refund_id": "5000", "refund_fee": "500"}


def known(number: int, state: str = "SUCCESS", **changes: str) -> dict[str, str]:
    fields = {
        "out_refund_no": REFUND_NO,
        "refund_id": "5000",
        "refund_fee": "500",
        "refund_status": state,
        "refund_success_time": "2026-01-03 16:24:13" if state == "SUCCESS" else "",
    } | changes
    return {f"{name}_{number}": value for name, value in fields.items()}


def test_a_refund_asks_for_exactly_what_was_decided_and_acceptance_is_not_success(far: Far) -> None:
    far.says(ACCEPTED)
    status = far.pay.refund(NEW)
    assert status == RefundStatus(ORDER_NO, REFUND_NO, RefundState.PROCESSING, "accepted", 500, "5000")
    assert far.side.seen[-1].line.startswith("POST /secapi/pay/refund ")
    sent = far.sent()
    assert {name: sent[name] for name in ("out_refund_no", "total_fee", "refund_fee", "refund_desc", "notify_url")} == {
        "out_refund_no": REFUND_NO,
        "total_fee": "1990",
        "refund_fee": "500",
        "refund_desc": "客户不再需要",
        "notify_url": NEW.notify_url,
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NOTENOUGH", Refused),
        ("TRADE_OVERDUE", Refused),
        ("USER_ACCOUNT_ABNORMAL", Refused),
        ("ERROR", Refused),
        ("SYSTEMERROR", Retryable),
        ("BIZERR_NEED_RETRY", Retryable),
        ("FREQUENCY_LIMITED", Retryable),
        ("INVALID_REQ_TOO_MUCH", Retryable),
        ("A_CODE_OF_TOMORROW", Unknown),
    ],
)
def test_what_a_refusal_means(far: Far, code: str, kind: type[Exception]) -> None:
    far.fails(code)
    with pytest.raises(kind, match=code) as raised:
        far.pay.refund(NEW)
    assert raised.type is kind


@pytest.mark.parametrize("field", ["out_trade_no", "out_refund_no", "refund_fee"])
def test_an_answer_about_another_refund_is_no_answer(far: Far, field: str) -> None:
    far.says(ACCEPTED | {field: "1"})
    with pytest.raises(Unknown, match="another refund"):
        far.pay.refund(NEW)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("SUCCESS", RefundState.SUCCEEDED),
        ("PROCESSING", RefundState.PROCESSING),
        ("REFUNDCLOSE", RefundState.CLOSED),
        ("CHANGE", RefundState.ABNORMAL),
    ],
)
def test_what_became_of_a_refund(far: Far, word: str, state: RefundState) -> None:
    far.says({"out_trade_no": ORDER_NO, "refund_count": "1", **known(0, word)})
    status = far.pay.query_refund(ORDER_NO, REFUND_NO)
    assert (status.state, status.raw_state, status.amount_fen) == (state, word, 500)
    assert (status.succeeded_at == datetime(2026, 1, 3, 8, 24, 13, tzinfo=UTC)) == (word == "SUCCESS")


def test_a_refund_nobody_knows_is_absent_and_a_strange_state_unknown(far: Far) -> None:
    far.fails("REFUNDNOTEXIST")
    assert far.pay.query_refund(ORDER_NO, REFUND_NO).state is RefundState.ABSENT
    for fields in (known(0, "DONE"), known(0, refund_fee="5e2"), known(0, out_refund_no="another"), {}):
        far.says({"out_trade_no": ORDER_NO} | fields)
        with pytest.raises(Unknown):
            far.pay.query_refund(ORDER_NO, REFUND_NO)


def test_all_refunds_of_an_order_are_found_ten_at_a_time(far: Far) -> None:
    pages = [
        {"out_trade_no": ORDER_NO, "total_refund_count": "12"}
        | {k: v for n in page for k, v in known(n, out_refund_no=f"R{start + n}").items()}
        for start, page in ((0, range(10)), (10, range(2)))
    ]
    far.says(*pages)
    assert [status.refund_no for status in far.pay.refunds_of(ORDER_NO)] == [f"R{number}" for number in range(12)]
    assert (far.sent()["offset"], len(far.side.seen)) == ("10", 2)


# --- The client certificate ------------------------------------------------------------------------------------------
@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FarSide]:
    """A server that hears only clients with a certificate of its authority, as the real one does."""
    (tmp_path / "authority.pem").write_text(AUTHORITY.pem)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "authority.pem"))
    context = server_context(issue("127.0.0.1", by=AUTHORITY), clients_of=AUTHORITY)
    with FarSide(lambda _seen: http(signed(OK | {"result_code": "SUCCESS"} | ACCEPTED)), tls=context) as side:
        yield side


def test_other_calls_do_not_show_it(strict: FarSide) -> None:
    pay = WeChatPayV2(replace(WITH_CERTIFICATE, base_url=strict.url))
    pay.refund(NEW)
    with pytest.raises(Unknown):
        pay.query(ORDER_NO)
    assert len(strict.seen) == 1


@pytest.mark.parametrize(
    ("cert", "key", "field", "words"),
    [
        (CLIENT.key, CLIENT.key, "client_cert", "This is a private key"),
        (CLIENT.pem, CLIENT.pem, "client_key", "This is a certificate"),
        (CLIENT.pem, issue("other").key, "client_key", "does not belong"),
        ("hush", CLIENT.key, "client_cert", "not a certificate"),
        (CLIENT.pem, "hush", "client_key", "not a private key"),
        (OTHERS.pem, OTHERS.key, "client_cert", "merchant 1900000999's"),
    ],
    ids=range(6),
)
def test_files_that_are_mixed_up_are_told_before_they_are_saved(cert: str, key: str, field: str, words: str) -> None:
    values = CONFIG.__dict__ | {"client_cert": cert, "client_key": key}
    (problem,) = WeChatPayV2.problems(values)
    assert problem.field == field
    assert words in problem.message
    assert "hush" not in problem.message
    pay = WeChatPayV2.from_values(values)
    if cert != OTHERS.pem:
        assert words in pay.why_no_refunds
        with pytest.raises(NotConfigured):
            pay.refund(NEW)


@pytest.mark.parametrize(("cert", "key"), [(CLIENT.pem[:200], CLIENT.key), (CLIENT.pem, CLIENT.key[:80])], ids=range(2))
def test_a_damaged_file_keeps_refunds_back_and_nothing_else(cert: str, key: str) -> None:
    values = CONFIG.__dict__ | {"client_cert": cert, "client_key": key}
    assert WeChatPayV2.problems(values) == []
    assert "from BEGIN to END" in WeChatPayV2.from_values(values).why_no_refunds


def test_without_a_certificate_or_with_an_expired_one_only_refunds_are_refused(far: Far) -> None:
    far.says({"result_code": "FAIL", "err_code": "ORDERNOTEXIST"}, {"result_code": "FAIL", "err_code": "ORDERNOTEXIST"})
    old = issue("1900000109", by=AUTHORITY, days=-3)
    for changes, words in (
        ({}, "upload apiclient_cert.pem"),
        ({"client_cert": old.pem, "client_key": old.key}, "expired on"),
    ):
        pay = WeChatPayV2(replace(CONFIG, base_url=far.side.url, **changes))
        assert words in pay.why_no_refunds
        with pytest.raises(NotConfigured, match=words):
            pay.refund(NEW)
        pay.query(ORDER_NO)
    assert WeChatPayV2.problems(CONFIG.__dict__ | {"client_cert": old.pem, "client_key": old.key}) == []


# --- WeChat Pay's refund notice --------------------------------------------------------------------------------------
VECTORS = vectors.load("wechat_v2_refund_notify")
VECTOR: dict[str, Any] = VECTORS["vectors"][0]
GATEWAY = WeChatPayV2(CONFIG)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: v["name"])
def test_a_published_notice_is_opened(vector: dict[str, Any]) -> None:
    assert decrypted(vector["req_info"], vector["key"]) == vector["plaintext"].encode()
    hint = wechat_side.opened(vector["notify_xml"].encode()).refund
    assert hint == RefundHint(vector["decoded"]["out_trade_no"], vector["decoded"]["out_refund_no"])


@pytest.mark.parametrize("vector", VECTORS["negatives"], ids=lambda v: v["name"])
def test_a_notice_under_another_key_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        decrypted(vector["req_info"], vector["key"])


def outer(req_info: str, **changes: str) -> bytes:
    fields = {"return_code": "SUCCESS", "appid": CONFIG.app_id, "mch_id": CONFIG.mch_id, "nonce_str": "n"}
    return document(fields | {"req_info": req_info} | changes)


def test_A13_a_notice_with_its_blocks_rearranged_is_refused_or_claims_no_more_than_a_number() -> None:
    """ECB: blocks can be moved without the key. Whatever comes out is a number to ask about, never a result."""
    cipher = base64.b64decode(VECTOR["req_info"])
    blocks = [cipher[at : at + 16] for at in range(0, len(cipher), 16)]
    for first in range(0, len(blocks), 3):
        for second in range(0, len(blocks), 5):
            moved = list(blocks)
            moved[first], moved[second] = moved[second], moved[first]
            try:
                hint = wechat_side.opened(outer(base64.b64encode(b"".join(moved)).decode())).refund
            except (Malformed, BadSignature):
                continue
            assert hint is not None
            assert hint.refunded_fen == 0


@pytest.mark.parametrize("noise", ["", "x", "====", "AAAA", base64.b64encode(b"0" * 32).decode()])
def test_what_our_key_does_not_open_is_refused(noise: str) -> None:
    with pytest.raises(BadSignature):
        wechat_side.opened(outer(noise))


def test_a_refund_notice_for_another_merchant_is_refused() -> None:
    with pytest.raises(WrongRecipient):
        wechat_side.opened(outer(VECTOR["req_info"], mch_id="1900000110"))


def test_a_payment_notice_is_no_refund_notice() -> None:
    assert wechat_side.opened(wechat_side.notice()).refund is None
    assert alipay_side.opened(alipay_side.notice()).refund is None


# --- Alipay ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def alipay() -> Iterator[tuple[FarSide, Alipay]]:
    with FarSide() as side:
        yield side, Alipay(replace(alipay_side.CONFIG, gateway_url=f"{side.url}/gateway.do"))


def alipay_says(side: FarSide, method: str, **fields: str) -> None:
    node = json.dumps({"code": "10000", "msg": "Success"} | fields, ensure_ascii=False).replace("/", "\\/")
    body = f'{{"{method}_response":{node},"sign":"{alipay_side.sign(node)}"}}'.encode()
    side.answer = lambda _seen: http(body)


@pytest.mark.parametrize(("moved", "state"), [("Y", RefundState.SUCCEEDED), ("N", RefundState.PROCESSING)])
def test_alipay_says_by_fund_change_whether_money_moved(
    alipay: tuple[FarSide, Alipay], moved: str, state: RefundState
) -> None:
    side, pay = alipay
    alipay_says(side, "alipay_trade_refund", out_trade_no=ORDER_NO, fund_change=moved, refund_fee="5.00")
    assert pay.refund(NEW).state is state
    sent = dict(parse_qsl(side.seen[0].body.decode()))
    content = json.loads(sent["biz_content"])
    assert sent["method"] == "alipay.trade.refund"
    assert content == {
        "out_trade_no": ORDER_NO,
        "out_request_no": REFUND_NO,
        "refund_amount": "5.00",
        "refund_reason": "客户不再需要",
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ACQ.SELLER_BALANCE_NOT_ENOUGH", Refused),
        ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", Refused),
        ("ACQ.REASON_TRADE_REFUND_FEE_ERR", Refused),
        ("ACQ.TRADE_HAS_FINISHED", Refused),
        ("ACQ.SYSTEM_ERROR", Retryable),
        ("ACQ.OF_TOMORROW", Unknown),
    ],
)
def test_what_a_refusal_of_alipay_means(alipay: tuple[FarSide, Alipay], code: str, kind: type[Exception]) -> None:
    side, pay = alipay
    alipay_says(side, "alipay_trade_refund", code="40004", sub_code=code, sub_msg="because")
    with pytest.raises(kind, match=code):
        pay.refund(NEW)


REFUNDED = {"out_trade_no": ORDER_NO, "out_request_no": REFUND_NO, "trade_no": "2026", "refund_amount": "5.00"}


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        (REFUNDED | {"refund_status": "REFUND_SUCCESS"}, RefundState.SUCCEEDED),
        (REFUNDED, RefundState.SUCCEEDED),
        (REFUNDED | {"refund_status": "REFUND_PROCESSING"}, RefundState.PROCESSING),
        ({}, RefundState.ABSENT),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, RefundState.ABSENT),
    ],
)
def test_what_became_of_a_refund_at_alipay(
    alipay: tuple[FarSide, Alipay], fields: dict[str, str], state: RefundState
) -> None:
    side, pay = alipay
    alipay_says(side, "alipay_trade_fastpay_refund_query", **fields)
    status = pay.query_refund(ORDER_NO, REFUND_NO)
    assert status.state is state
    assert status.amount_fen == (500 if "refund_amount" in fields else 0)


@pytest.mark.parametrize("changes", [{"out_trade_no": "another1"}, {"out_request_no": "R2"}, {"refund_amount": "5e0"}])
def test_alipay_answering_about_another_refund_is_no_answer(
    alipay: tuple[FarSide, Alipay], changes: dict[str, str]
) -> None:
    side, pay = alipay
    alipay_says(side, "alipay_trade_fastpay_refund_query", **(REFUNDED | changes))
    with pytest.raises(Unknown):
        pay.query_refund(ORDER_NO, REFUND_NO)


def test_alipay_lists_no_refunds() -> None:
    with pytest.raises(NotSupported):
        alipay_side.GATEWAY.refunds_of(ORDER_NO)


def test_a_notice_of_alipay_about_a_refund_names_it_and_credits_nothing() -> None:
    notice = alipay_side.notice(
        {"refund_fee": "5.00", "gmt_refund": "2026-01-03 10:00:00.123", "out_biz_no": REFUND_NO}
    )
    assert alipay_side.paid(notice) is None
    assert alipay_side.opened(notice).refund == RefundHint(alipay_side.NOTICE["out_trade_no"], REFUND_NO, 500)
    with pytest.raises(BadSignature):
        alipay_side.opened(notice.replace(b"refund_fee=5.00", b"refund_fee=6.00"))


# --- More ways to pay ------------------------------------------------------------------------------------------------
RETURN = "https://pay.example.com/recharge/orders/1?x=1&y=2"


def test_jsapi_wants_an_openid_and_gives_the_five_arguments_of_the_app(far: Far) -> None:
    far.says({"prepay_id": "wx2017033010242291fcfe0db70013231072", "trade_type": "JSAPI"})
    offer = far.pay.create(replace(ORDER, trade_type="JSAPI", openid="oUpF8uMEb4qRXf22hE3X68TekukE"))
    assert (offer.pay_url, far.sent()["openid"]) == ("", "oUpF8uMEb4qRXf22hE3X68TekukE")
    assert "product_id" not in far.sent()
    arguments = far.pay.payment_arguments(offer.prepay_id)
    assert arguments.keys() == {"timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert arguments["package"] == "prepay_id=wx2017033010242291fcfe0db70013231072"
    checked = {"appId": CONFIG.app_id} | {k: v for k, v in arguments.items() if k != "paySign"}
    expected = hmac.new(KEY.encode(), string_to_sign(checked, KEY).encode(), "sha256").hexdigest().upper()
    assert arguments["paySign"] == expected
    with pytest.raises(Refused, match="openid"):
        far.pay.create(replace(ORDER, trade_type="JSAPI"))
    assert len(far.side.seen) == 1


def test_h5_names_the_site_and_comes_back_to_it(far: Far) -> None:
    far.says({"mweb_url": "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx1&package=2"})
    offer = far.pay.create(replace(ORDER, trade_type="MWEB", return_url=RETURN))
    assert offer.pay_url.endswith(
        "&package=2&redirect_url=https%3A%2F%2Fpay.example.com%2Frecharge%2Forders%2F1%3Fx%3D1%26y%3D2"
    )
    scene = json.loads(far.sent()["scene_info"])
    assert scene["h5_info"] == {"type": "Wap", "wap_url": "https://pay.example.com", "wap_name": ORDER.subject}
    assert far.sent()["spbill_create_ip"] == ORDER.client_ip


@pytest.mark.parametrize(
    ("trade_type", "method", "product"),
    [("WAP", "alipay.trade.wap.pay", "QUICK_WAP_WAY"), ("PAGE", "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY")],
)
def test_wap_and_page_are_addresses_signed_for_the_browser(trade_type: str, method: str, product: str) -> None:
    order = replace(alipay_side.ORDER, trade_type=trade_type, return_url=RETURN)
    url = alipay_side.GATEWAY.create(order).pay_url
    assert url.startswith("https://openapi.alipay.com/gateway.do?")
    form = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    text = "&".join(f"{name}={form[name]}" for name in sorted(form) if name != "sign")
    signature = base64.b64decode(form["sign"])
    alipay_side.APP.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    content = json.loads(form["biz_content"])
    assert (form["method"], content["product_code"], content["total_amount"]) == (method, product, "19.90")
    assert (form["return_url"], form["notify_url"]) == (RETURN, order.notify_url)
    assert content.get("quit_url") == (RETURN if trade_type == "WAP" else None)
    assert urlencode(form)


def test_a_gateway_without_payments_in_an_app_says_so() -> None:
    gateway: Gateway = alipay_side.GATEWAY
    with pytest.raises(NotSupported):
        gateway.payment_arguments("wx1")
