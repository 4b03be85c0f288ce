"""WeChat Pay v3 against published vectors: signatures, notices, certificates, refusals and bills."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import time_machine

from tests.far_side import FarSide, Seen, http
from tests.topup.gateways.wechat_v3_side import (
    CONFIG,
    GATEWAY,
    KEYS,
    ORDER,
    ORDER_NO,
    answer,
    at,
    certificate_entry,
    load,
    pem,
    signed,
)
from topup.gateways import rsa
from topup.gateways.bills import BillDamaged, BillNotReady, BillRefused
from topup.gateways.errors import (
    BadSignature,
    Implausible,
    Malformed,
    NoticeRefused,
    NumberTaken,
    Refused,
    Retryable,
    SignatureTried,
    Unknown,
    Unsigned,
    WronglySigned,
    WrongRecipient,
)
from topup.gateways.notices import IncomingNotice
from topup.gateways.orders import TradeState
from topup.gateways.refunds import NewRefund, RefundState
from topup.gateways.wechat.v3 import WeChatPayV3, fetching
from topup.gateways.wechat.v3.certificates import keys_in
from topup.gateways.wechat.v3.signing import SignatureWrong, Signer, check, named, opened, text_of

Vector = dict[str, Any]


def each(name: str) -> Any:
    return pytest.mark.parametrize("vector", load(name)["vectors"], ids=lambda vector: vector["name"])


def keys_of(vector: Vector) -> dict[str, Any]:
    found = {}
    for serial, path in vector["keys"].items():
        text = pem(path.removeprefix("wechat_keys/"))
        is_certificate = "CERTIFICATE" in text
        found |= keys_in(text, at(vector["now"])) if is_certificate else {named(serial): rsa.public_key(text)}
    return found


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# --- Signatures ------------------------------------------------------------------------------------------------------
@each("request_sign")
def test_a_published_signature_of_a_request_is_ours(vector: Vector) -> None:
    key = rsa.private_key(pem(vector["private_key"].removeprefix("wechat_keys/")))
    signer = Signer(vector["mchid"], vector["serial_no"], key)
    parts = vector["method"], vector["path_and_query"]
    body = vector["body"].encode()
    assert text_of(*parts, vector["timestamp"], vector["nonce"], body).decode() == vector["string_to_sign"]
    assert signer.authorization(*parts, body, vector["timestamp"], vector["nonce"]) == vector["authorization"]
    assert CONFIG.own.serial == vector["serial_no"]


@each("paysign")
def test_the_published_signature_for_the_app_is_ours(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _length: vector["nonce"])
    gateway = WeChatPayV3(replace(CONFIG, app_id=vector["app_id"]))
    with time_machine.travel(int(vector["timestamp"]), tick=False):
        assert gateway.payment_arguments(vector["prepay_id"]) == vector["arguments"]


@each("verify")
def test_A1_a_published_answer_is_believed_only_when_it_is_rightly_signed(vector: Vector) -> None:
    arguments = lower(vector["headers"]), vector["body"].encode(), keys_of(vector), at(vector["now"])
    if vector["expected_valid"]:
        check(*arguments)
        for name in ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial"):
            twice = {**arguments[0], name: f"{arguments[0][name]}, {arguments[0][name]}"}
            with pytest.raises(SignatureWrong):
                check(twice, *arguments[1:])
    else:
        with pytest.raises(SignatureWrong):
            check(*arguments)


@each("resource")
def test_only_the_right_key_opens_what_is_untouched(vector: Vector) -> None:
    if vector["expected_valid"]:
        assert opened(vector["apiv3_key"], vector["resource"]).decode() == vector["plaintext"]
    else:
        with pytest.raises(ValueError, match=r"does not open|algorithm|no key|is none"):
            opened(vector["apiv3_key"], vector["resource"])


# --- Notices ---------------------------------------------------------------------------------------------------------
_REFUSED: dict[str, type[NoticeRefused]] = {
    "wrong recipient": WrongRecipient,
    "implausible": Implausible,
    "malformed": Malformed,
    "bad signature": BadSignature,
}


@each("notices")
def test_a_published_notice_is_judged_rightly(vector: Vector) -> None:
    gateway = WeChatPayV3(replace(CONFIG, api_v3_key=vector["apiv3_key"], app_id=vector["app_id"]))
    notice = IncomingNotice(vector["body"].encode(), lower(vector["headers"]), received=at(vector["now"]))
    claims: list[str] = []

    def claimed(order_no: str) -> str:
        claims.append(order_no)
        return ""

    if kind := _REFUSED.get(vector["expected"]):
        with pytest.raises(kind) as caught:
            gateway.open(notice, claimed)
        assert caught.type is (SignatureTried if vector["name"] == "signtest" else kind)
        return
    said = gateway.open(notice, claimed)
    assert (said.signed, said.order_no, claims) == (True, ORDER_NO, [ORDER_NO])
    assert gateway.is_named_by(notice)
    assert not WeChatPayV3(replace(CONFIG, api_v3_key=f"x{vector['apiv3_key'][1:]}")).is_named_by(notice)
    assert gateway.notice_fields(notice.body)["event_type"]
    if vector["expected"] == "paid":
        assert said.receipt
        assert (said.receipt.amount_fen, said.receipt.transaction_id) == (1990, "4200000000202601020000000001")
        assert (said.receipt.paid_at is None) == (vector["name"] == "success_time_broken")
    elif vector["expected"] == "refund hint":
        assert said.refund
        assert said.refund.refund_no == "R20260102160000abcdef0123456789AB"
    else:
        assert (said.receipt, said.refund) == (None, None)


def test_xml_of_v2_is_told_and_no_crash() -> None:
    notice = IncomingNotice(b"<xml><req_info>x</req_info></xml>")
    assert not GATEWAY.is_named_by(notice)
    with pytest.raises(Malformed, match="API v2"):
        GATEWAY.open(notice)


# --- Over HTTP -------------------------------------------------------------------------------------------------------
@pytest.fixture
def side() -> Iterator[FarSide]:
    with FarSide() as far_side:
        yield far_side


def before(side: FarSide, **changes: Any) -> WeChatPayV3:
    return WeChatPayV3(replace(CONFIG, base_url=side.url, **changes))


@each("certificates")
def test_fetched_certificates_are_believed_only_when_the_key_opens_them(vector: Vector, side: FarSide) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**vector["headers"], "Connection": "close"}.items())
    body = vector["body"].encode()
    side.answer = lambda _seen: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), headers.encode()) + body
    )
    only_fetched = {"public_key": "", "public_key_id": "", "platform_certs": "", "fetch_certs": True}
    gateway, kept = before(side, **only_fetched), list[str]()
    gateway.keep_certificate = kept.append
    with time_machine.travel(load("certificates")["now"]):
        if vector["expected_valid"]:
            assert gateway.refresh_certificates() == len(kept) == len(vector["serials"])
            assert sorted(gateway.keys) == sorted(vector["serials"])
        else:
            with pytest.raises(Unknown):
                gateway.refresh_certificates()
            assert (kept, gateway.keys) == ([], {})
    assert side.seen[0].line.startswith("GET /v3/certificates ")
    assert "wechatpay-serial" not in lower(side.seen[0].headers)


def test_a_certificate_under_another_serial_number_is_refused(side: FarSide) -> None:
    entry = certificate_entry("platform_new.cert.pem")
    for serial, good in ((entry["serial_no"], True), ("7A", False)):
        body = {"data": [entry | {"serial_no": serial}]}
        side.answer = lambda _seen, body=body: answer(body)
        gateway = before(side, platform_certs="", fetch_certs=True)
        if good:
            assert gateway.refresh_certificates() == 1
        else:
            with pytest.raises(Unknown, match="another serial number"):
                gateway.refresh_certificates()


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("operation", ["query", "create", "close", "refund", "refund query"])
def test_a_refusal_of_the_certificates_is_none_of_what_they_were_fetched_for(
    operation: str, signed: bool, side: FarSide
) -> None:
    """403 is WeChat Pay's last word on the certificates; of a refund, say, it would end it for good."""
    refusal = answer({"code": "NO_AUTH", "message": "平台证书已过期失效"}, 403, sign=signed)
    success = answer({"code_url": "x", "status": "SUCCESS"}, serial="7A")
    side.answer = lambda seen: refusal if "/v3/certificates" in seen.line else success
    with pytest.raises(Unknown, match="certificates were refused: NO_AUTH") as caught:
        _ASK[operation](before(side, fetch_certs=True))
    assert caught.type is Unknown
    assert "/v3/certificates" in side.seen[1].line


REFUND = NewRefund(ORDER_NO, "R1", 990, 1990, "不想要了", "https://pay.example.com/api/wechat/refund-notify")
DAY = at(1767337513).date()
_ASK: dict[str, Callable[[WeChatPayV3], Any]] = {
    "any": lambda gateway: gateway.query(ORDER_NO).state,
    "query": lambda gateway: gateway.query(ORDER_NO).state,
    "create": lambda gateway: gateway.create(ORDER),
    "close": lambda gateway: gateway.close(ORDER_NO),
    "refund": lambda gateway: gateway.refund(REFUND),
    "refund abnormal": lambda gateway: gateway.refund(REFUND),
    "refund query": lambda gateway: gateway.query_refund(ORDER_NO, "R1").state,
    "certificates": lambda gateway: fetching.fetch(gateway) or TradeState.ABSENT,
    "bill": lambda gateway: list(gateway.bill(DAY)),
    "bill download": lambda gateway: list(gateway.bill(DAY)),
}
_MEANT: dict[str, Any] = {
    "refused": Refused,
    "taken": NumberTaken,
    "retryable": Retryable,
    "unknown": Unknown,
    "unsigned": Unsigned,
    "bill not ready": BillNotReady,
    "bill refused": BillRefused,
    "absent": TradeState.ABSENT,
    "empty bill": [],
}


def says(side: FarSide, vector: Vector, *, sign: bool) -> None:
    raw = vector["raw_body"].encode() if "raw_body" in vector else vector["body"]

    def reply(seen: Seen) -> bytes:
        if vector["operation"] == "bill download" and "/v3/bill/tradebill" in seen.line:
            link = {"download_url": f"{side.url}/v3/billdownload/file?token=x", "hash_type": "SHA1", "hash_value": "0"}
            return answer(link)
        return answer(raw, vector["status"], sign=sign)

    side.answer = reply


def outcome(vector: Vector, gateway: WeChatPayV3) -> Any:
    try:
        return _ASK[vector["operation"]](gateway)
    except Exception as error:
        return type(error)


@each("errors")
def test_a_published_refusal_means_what_it_should_signed_or_not(vector: Vector, side: FarSide) -> None:
    gateway, meant = before(side), _MEANT[vector["expected"]]
    says(side, vector, sign=vector["signed"])
    found = outcome(vector, gateway)
    assert found in (meant, RefundState.ABSENT if meant is TradeState.ABSENT else meant)
    if not vector["signed"]:
        return
    says(side, vector, sign=False)
    # Whether refusals are signed is not certain: unsigned ones end no refund.
    final_refund = meant is Refused and vector["operation"].startswith("refund")
    assert outcome(vector, gateway) == (Unsigned if final_refund else found)
    side.answer = lambda _seen: answer(vector["body"], vector["status"], key="attacker.key.pem")
    assert outcome(vector, gateway) is (WronglySigned if vector["status"] != 202 else Retryable)


def test_a_success_is_believed_only_signed_by_wechat_pay(side: FarSide) -> None:
    created = {"code_url": "weixin://wxpay/bizpayurl?pr=x"}
    side.answer = lambda _seen: answer(created)
    assert before(side).create(ORDER).pay_url == created["code_url"]
    probe = {**signed(b"{}"), "Connection": "close", "Wechatpay-Signature": "WECHATPAY/SIGNTEST/AAAA"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in probe.items())
    for reply, kind, text in (
        (answer(created, sign=False), Unknown, "without a signature"),
        (answer(created, key="attacker.key.pem"), WronglySigned, "not that of the key"),
        (answer(created, serial="PUB_KEY_ID_09"), WronglySigned, "not a key of WeChat Pay's"),
        (http(b"{}", headers=lines), WronglySigned, "tries whether"),
    ):
        side.answer = lambda _seen, reply=reply: reply
        with pytest.raises(kind, match=text):
            before(side).create(ORDER)


# --- Bills -----------------------------------------------------------------------------------------------------------
@each("tradebill")
def test_a_published_bill_is_used_only_when_its_hash_agrees(vector: Vector, side: FarSide) -> None:
    facts = load("tradebill")
    said = vector["answer"]["body"].replace("https://api.mch.weixin.qq.com", side.url)
    file = (KEYS.parent / vector["file"]).read_bytes()
    side.answer = lambda seen: answer(said.encode()) if "tradebill" in seen.line else answer(file, sign=False)
    if not vector["expected_valid"]:
        with pytest.raises(BillDamaged), before(side).bill(DAY) as bill:
            list(bill)
        if vector["name"].startswith("download_url"):
            assert len(side.seen) == 1, "Our signature went elsewhere."
        return
    with before(side).bill(DAY) as bill:
        rows = list(bill)
    got = [(row.kind, row.order_no, row.transaction_id, row.amount_fen, row.state, row.refund_no) for row in rows]
    names = ("kind", "order_no", "transaction_id", "amount_fen", "state", "refund_no")
    assert got == [tuple(row[name] for name in names) for row in facts["expected_rows"]]
    assert [row.at.isoformat() for row in rows] == [row["at"] for row in facts["expected_rows"]]
    assert "/v3/bill/tradebill?bill_date=2026-01-02&" in side.seen[0].line
    assert side.seen[1].headers["authorization"]
