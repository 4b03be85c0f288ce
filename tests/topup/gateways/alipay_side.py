"""Alipay's side in the tests: an invented merchant, and the signatures, written a second time."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests import vectors
from topup.gateways.alipay import Alipay, AlipayConfig
from topup.gateways.notices import IncomingNotice, OpenedNotice
from topup.gateways.orders import NewOrder, Receipt

CONFIG = AlipayConfig(
    app_id="2021000000000001",
    private_key=vectors.key("app_private_pkcs8.b64"),
    public_key=vectors.key("alipay_public_spki.b64"),
    seller_id="2088102146225135",
)
GATEWAY = Alipay(CONFIG)
ORDER_NO = "20260102150405abcdef0123456789AB"
ORDER = NewOrder(
    order_no=ORDER_NO,
    amount_fen=1990,
    subject="语音助手 AI额度充值 + 100次",
    expires_at=datetime(2030, 1, 2, 7, 34, 5, tzinfo=UTC),
    notify_url="https://pay.example.com/api/alipay/notify",
)
RECEIPT = Receipt(
    gateway="alipay",
    order_no=ORDER_NO,
    transaction_id="2026010222001473030800000001",
    amount_fen=1990,
    currency="CNY",
    app_id=CONFIG.app_id,
    merchant_id=CONFIG.seller_id,
    live=True,
    paid_at=datetime(2026, 1, 2, 7, 5, 12, tzinfo=UTC),
)
NOTICES = vectors.load("alipay_notify")
NOTICE: dict[str, str] = NOTICES["vectors"][0]["form"]


def private(name: str) -> RSAPrivateKey:
    key = load_pem_private_key(vectors.key(f"{name}_private_pkcs1.pem").encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


ALIPAY, APP, ATTACKER = private("alipay"), private("app"), private("attacker")


def sign(text: str, key: RSAPrivateKey = ALIPAY, digest: hashes.HashAlgorithm = hashes.SHA256()) -> str:
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), digest)).decode()


def opened(body: bytes, *, sign_type: str = "", by: Alipay = GATEWAY) -> OpenedNotice:
    """What a notice says; `sign_type` is what was recorded with the order it claims."""
    return by.open(IncomingNotice(body), lambda _order_no: sign_type)


def paid(body: bytes, *, sign_type: str = "", by: Alipay = GATEWAY) -> Receipt | None:
    return opened(body, sign_type=sign_type, by=by).receipt


def notice(changes: Mapping[str, str | None] | None = None, **options: Any) -> bytes:
    """The published notice with changes, signed again; a change to None leaves the parameter out."""
    form = {name: value for name, value in {**NOTICE, **(changes or {})}.items() if value is not None}
    text = "&".join(f"{name}={form[name]}" for name in sorted(form) if name not in ("sign", "sign_type"))
    return urlencode({**form, "sign": sign(text, **options)}).encode()
