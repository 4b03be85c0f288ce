"""Alipay's certificate mode, against published vectors: numbers, requests, answers, fetched certificates, notices."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests import vectors
from tests.far_side import FarSide, Seen, http
from tests.topup.gateways.alipay_side import ORDER, ORDER_NO
from topup.gateways import rsa
from topup.gateways.alipay import Alipay, AlipayConfig, string_to_sign
from topup.gateways.alipay.certificate_files import LIVE_ROOTS
from topup.gateways.alipay.certificates import chain_in, root_serial_of, roots_in, serial_of
from topup.gateways.errors import BadSignature, GatewayError, Refused, Unknown, WronglySigned
from topup.gateways.notices import IncomingNotice
from topup.gateways.orders import TradeState

MESSAGES, NUMBERS = vectors.load("alipay_cert_messages"), vectors.load("alipay_cert_sn")
ANSWERS = {each["name"]: each for each in MESSAGES["answers"]}
DOWNLOADS = {each["name"]: each for each in MESSAGES["downloads"]}
NOTICES = {each["name"]: each["form"].encode() for each in MESSAGES["notices"]}
NOW = datetime(2026, 1, 2, 7, 5, 13, tzinfo=UTC)


def pem(name: str) -> str:
    return (vectors.HERE / "alipay_cert" / name).read_text()


CONFIG = AlipayConfig(
    app_id="2021000000000001",
    private_key=pem("app.key.pem"),
    public_key="",
    seller_id="2088000000000001",
    app_cert=pem("appCertPublicKey_2021000000000001.crt"),
    alipay_cert=pem("alipayCertPublicKey_RSA2.crt"),
    root_cert=pem("alipayRootCert.crt"),
)


@pytest.fixture(autouse=True)
def _then() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


# --- Numbers and requests --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("vector", NUMBERS["vectors"], ids=lambda vector: vector["name"])
def test_a_published_certificate_has_its_published_number(vector: dict[str, Any]) -> None:
    text = pem(vector["file"].removeprefix("alipay_cert/"))
    is_bundle = vector["kind"] == "alipay_root_cert_sn"
    assert (root_serial_of(roots_in(text)) if is_bundle else serial_of(chain_in(text)[0])) == vector["expected"]
    assert NUMBERS["real_root_bundle"]["alipay_root_cert_sn"] == LIVE_ROOTS


def test_the_published_request_is_ours_and_every_request_says_both_numbers() -> None:
    published = MESSAGES["request"]
    text = string_to_sign(published["params"], without={"sign"})
    assert text == published["string_to_sign"]
    assert rsa.sign(rsa.private_key(CONFIG.private_key), text.encode()) == published["sign"]
    said = {name: published["params"][name] for name in ("app_cert_sn", "alipay_root_cert_sn")}
    for trade_type in ("WAP", "PAGE"):
        url = Alipay(CONFIG).create(replace(ORDER, trade_type=trade_type)).pay_url
        sent = dict(parse_qsl(urlsplit(url).query))
        assert sent.items() >= said.items()
        signed = string_to_sign(sent, without={"sign"})
        assert rsa.is_signed(rsa.public_key(_public(CONFIG.private_key)), signed.encode(), sent["sign"])


def _public(private: str) -> str:
    key = rsa.private_key(private).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


# --- Answers ---------------------------------------------------------------------------------------------------------
class Far:
    """A gateway that answers a query and a download with published bytes, and ours in front of it."""

    def __init__(self, side: FarSide) -> None:
        self.side, self.kept, self.asked = side, list[str](), list[str]()
        self.pay = self.opened()

    def opened(self, **changes: Any) -> Alipay:
        pay = Alipay(replace(CONFIG, gateway_url=f"{self.side.url}/gateway.do", **changes))
        pay.keep_certificate = self.kept.append
        return pay

    def says(self, answer: str, download: str = "") -> None:
        def say(seen: Seen) -> bytes:
            sent = dict(parse_qsl(seen.body.decode()))
            assert {"app_cert_sn", "alipay_root_cert_sn"} <= sent.keys()
            if sent["method"] == "alipay.open.app.alipaycert.download":
                self.asked.append(json.loads(sent["biz_content"])["alipay_cert_sn"])
                return http(DOWNLOADS[download]["body"].encode() if download else b"{}")
            return http(ANSWERS[answer]["body"].encode())

        self.side.answer = say


@pytest.fixture
def far() -> Iterator[Far]:
    with FarSide() as side:
        yield Far(side)


@pytest.mark.parametrize(
    ("answer", "download", "fits"),
    [
        ("query_known_certificate", "", True),
        ("query_without_cert_sn", "", True),
        ("query_new_certificate", "download_next", True),
        ("query_new_certificate", "download_other_sn", False),
        ("query_new_certificate", "download_expired", False),
        ("query_new_certificate", "", False),
        ("query_new_sn_old_key", "download_next", False),
        ("query_known_sn_other_key", "", False),
        ("query_forged_sn", "download_forged", False),
        ("body_changed", "", False),
    ],
)
def test_A1_a_published_answer_is_believed_only_when_it_fits_a_certificate_that_is_vouched_for(
    far: Far, answer: str, download: str, fits: bool
) -> None:
    far.says(answer, download)
    if fits:
        assert far.pay.query(ORDER_NO).state is TradeState.PAID
        assert far.pay.query(ORDER_NO).state is TradeState.PAID
    else:
        with pytest.raises(Unknown) as caught:
            far.pay.query(ORDER_NO)
        assert not isinstance(caught.value, Refused)
    # Kept once, and asked for once, or never.
    assert len(far.kept) == (download == "download_next")
    assert far.asked == ([MESSAGES["sn"]["alipay_next"]] if "new" in answer else far.asked)


@pytest.mark.parametrize("download", DOWNLOADS)
def test_A1_a_published_download_is_kept_only_when_it_is_proved(far: Far, download: str) -> None:
    serial = DOWNLOADS[download]["asked_for"]
    number = ANSWERS["query_new_certificate"]["body"].replace(MESSAGES["sn"]["alipay_next"], serial)
    far.side.answer = lambda seen: http(
        (DOWNLOADS[download]["body"] if b"alipaycert.download" in seen.body else number).encode()
    )
    try:
        far.pay.query(ORDER_NO)
    except GatewayError as error:
        assert isinstance(error, Unknown)  # noqa: PT017  # both are right
    assert bool(far.kept) is DOWNLOADS[download]["expected_accepted"]


def test_A1_a_merchants_certificate_vouches_for_nobody() -> None:
    """Every merchant has one that leads to the same roots, and with its key could issue another "Alipay's"."""
    own, genuine = chain_in(CONFIG.app_cert)[0], chain_in(CONFIG.alipay_cert)[0]
    forged = (
        x509.CertificateBuilder(own.subject, genuine.subject, rsa.private_key(pem("attacker.key.pem")).public_key(), 7)
        .not_valid_before(genuine.not_valid_before_utc)
        .not_valid_after(genuine.not_valid_after_utc)
        .sign(rsa.private_key(CONFIG.private_key), SHA256())
    )
    text = forged.public_bytes(Encoding.PEM).decode() + CONFIG.app_cert + pem("class1.pem")
    assert [problem.field for problem in replace(CONFIG, alipay_cert=text).problems()] == ["root_cert"]


@pytest.mark.parametrize("serial", ["../../etc/passwd", "A" * 32, "a" * 31, "a" * 33 + "\\n"])
def test_a_number_that_is_none_is_not_asked_for(far: Far, serial: str) -> None:
    body = ANSWERS["query_new_certificate"]["body"].replace(MESSAGES["sn"]["alipay_next"], serial)
    far.side.answer = lambda _seen: http(body.encode())
    with pytest.raises(WronglySigned):
        far.pay.query(ORDER_NO)
    assert len(far.side.seen) == 1


def test_a_certificate_is_not_asked_for_again_at_once(far: Far) -> None:
    far.says("query_forged_sn", "download_forged")
    may = [True, False]
    far.pay.may_fetch_certificate = lambda serial: may.pop(0)
    for _ in range(2):
        with pytest.raises(Unknown):
            far.pay.query(ORDER_NO)
    assert len(far.asked) == 1


# --- Notices ---------------------------------------------------------------------------------------------------------
def test_a_published_notice_fits_the_certificate_pasted_or_one_fetched_since(far: Far) -> None:
    def opened(name: str, pay: Alipay) -> bool:
        try:
            return pay.open(IncomingNotice(NOTICES[name])).receipt is not None
        except BadSignature:
            return False

    far.says("query_new_certificate", "download_next")
    known = {name: opened(name, far.pay) for name in NOTICES}
    assert known == {"paid": True, "paid_new_certificate": False, "attacker": False}
    far.pay.query(ORDER_NO)
    later = far.opened()
    later.use_certificates("\n".join(far.kept))
    for pay in (far.pay, later):
        assert {name: opened(name, pay) for name in NOTICES} == known | {"paid_new_certificate": True}
    by_key = replace(CONFIG, app_cert="", alipay_cert="", root_cert="", public_key=_public(pem("alipay.key.pem")))
    assert opened("paid", Alipay(by_key))
    other = replace(CONFIG, alipay_cert=pem("alipayCertPublicKey_RSA2_next.crt"), public_key=by_key.public_key)
    assert not opened("paid", Alipay(other))


# --- What is pasted --------------------------------------------------------------------------------------------------
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "as downloaded": ({}, {}),
    "without line breaks": ({"app_cert": CONFIG.app_cert.replace("\n", " ")}, {}),
    "one of three": ({"alipay_cert": "", "root_cert": ""}, {"alipay_cert": "all three", "root_cert": "all three"}),
    "app's for Alipay's": ({"alipay_cert": CONFIG.app_cert}, {"alipay_cert": "This is appCertPublicKey_….crt"}),
    "Alipay's for the app's": ({"app_cert": CONFIG.alipay_cert}, {"app_cert": "This is alipayCertPublicKey_RSA2.crt"}),
    "the roots for Alipay's": ({"alipay_cert": pem("class2.pem")}, {"alipay_cert": "This is alipayRootCert.crt"}),
    "Alipay's for the roots": ({"root_cert": CONFIG.alipay_cert}, {"root_cert": "alipayRootCert.crt belongs here"}),
    "a private key": ({"app_cert": CONFIG.private_key}, {"app_cert": "private key"}),
    "a public key": ({"cert": _public(CONFIG.private_key)}, {"alipay_cert": "public key"}),
    "nonsense": ({"root_cert": "请粘贴"}, {"root_cert": "not a certificate"}),
    "cut off": ({"cert": CONFIG.alipay_cert[:700]}, {"alipay_cert": "not a certificate"}),
    "another private key": ({"private_key": pem("attacker.key.pem")}, {"app_cert": "does not belong to the private"}),
    "another application": ({"app_id": "2021000000000002"}, {"app_cert": "application 2021000000000001's"}),
    "forged": ({"cert": pem("alipayCertPublicKey_RSA2_forged.crt")}, {"root_cert": "None of the root"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_mixed_up_is_said_before_anything_is_sent(case: str) -> None:
    changes, expected = CASES[case]
    named = {("alipay_cert" if name == "cert" else name): text for name, text in changes.items()}
    found = {problem.field: problem.message for problem in replace(CONFIG, **named).problems()}
    assert found.keys() == expected.keys()
    for field, words in expected.items():
        assert words in found[field]


def test_what_is_only_odd_is_remarked() -> None:
    pay = Alipay(replace(CONFIG, seller_id="2088000000000002"))
    assert ["2088000000000001" in remark for remark in pay.remarks] == [True, False]
    assert "known to hand out" in pay.remarks[1]
    assert Alipay(replace(CONFIG, gateway_url="http://127.0.0.1:9")).remarks == ()
    assert pay.refunds_until == datetime(2044, 1, 1, tzinfo=UTC)


# --- Mistakes --------------------------------------------------------------------------------------------------------
MISTAKES: dict[str, str] = {
    "isv.missing-app-cert-sn": "paste the three certificates",
    "isv.app-cert-not-exist": "clear the three",
    "isv.invalid-alipay-root-cert-sn": "whole file alipayRootCert.crt",
    "isv.invalid-signature": "does not belong to this private key",
    "isv.unsupported-expired-app-key-sign": "new private key",
    "应用未配置对应签名算法的公钥或者证书": "Upload one there",
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_failed_probe_names_the_mistake(far: Far, said: str) -> None:
    node = {"code": "40002", "msg": "Invalid", "sub_code": said, "sub_msg": said}
    far.side.answer = lambda _seen: http(json.dumps({"alipay_trade_query_response": node}).encode())
    probe = far.pay.probe()
    assert (probe.ok, probe.told, MISTAKES[said] in probe.hint) == (False, True, True)


def test_a_probe_of_answers_that_fit_no_certificate_says_so(far: Far) -> None:
    far.says("query_known_sn_other_key")
    probe = far.pay.probe()
    assert (probe.ok, probe.told, "answers in its place" in probe.hint) == (False, True, True)
