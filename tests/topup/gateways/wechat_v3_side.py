"""WeChat Pay v3's side in the tests: the vectors' merchant, and signatures written a second time."""

import base64
import json
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests import vectors
from tests.far_side import http
from topup.gateways.orders import NewOrder
from topup.gateways.wechat.v3 import WeChatPayV3, WeChatV3Config

KEYS = vectors.HERE / "wechat_v3" / "wechat_keys"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000091912026010200000000000001"
API_V3_KEY = "Tv3Key0123456789abcdefghijKLMNOP"
ORDER_NO = "20260102150405abcdef0123456789AB"


def pem(name: str) -> str:
    return (KEYS / name).read_text()


CONFIG = WeChatV3Config(
    app_id="wx8888888888888888",
    mch_id="1900009191",
    api_v3_key=API_V3_KEY,
    client_cert=pem("merchant.cert.pem"),
    client_key=pem("merchant.key.pem"),
    public_key_id=PUBLIC_KEY_ID,
    public_key=pem("wechatpay_public.pub.pem"),
    platform_certs=pem("platform_new.cert.pem") + pem("platform_old.cert.pem"),
)
GATEWAY = WeChatPayV3(CONFIG)
ORDER = NewOrder(
    order_no=ORDER_NO,
    amount_fen=1990,
    subject="AI服务充值",
    expires_at=datetime(2030, 1, 2, 7, 34, 5, tzinfo=UTC),
    notify_url="https://pay.example.com/api/wechat/notify",
    client_ip="203.0.113.7",
)


def load(name: str) -> dict[str, Any]:
    return vectors.load(f"wechat_v3/wechat_v3_{name}")


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache
def _private(name: str) -> Any:
    return serialization.load_pem_private_key((KEYS / name).read_bytes(), None)


def signed(body: bytes, *, key: str = "wechatpay_public.key.pem", serial: str = PUBLIC_KEY_ID) -> dict[str, str]:
    """The headers with which WeChat Pay signs a body now."""
    moment, nonce = str(int(time.time())), "0123456789abcdef0123456789abcdef"
    signature = _private(key).sign(f"{moment}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), hashes.SHA256())
    return {
        "Wechatpay-Timestamp": moment,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }


def answer(content: object, status: int = 200, *, sign: bool = True, **how: str) -> bytes:
    """An answer as it goes over the line; `content` is bytes, None or to be JSON."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    headers = {"Connection": "close", "Request-ID": "08F2E999C90610A4-0", **(signed(body, **how) if sign else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return http(body, status=f"{status} Said", headers=lines)


def sealed(plain: bytes, data: str, key: str = API_V3_KEY) -> dict[str, str]:
    """A resource, or an encrypt_certificate."""
    ciphertext = AESGCM(key.encode()).encrypt(b"0123456789ab", plain, data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": data,
        "nonce": "0123456789ab",
    }


def certificate_entry(name: str) -> dict[str, Any]:
    """One certificate in an answer of /v3/certificates."""
    text = (KEYS / name).read_bytes()
    serial = f"{x509.load_pem_x509_certificate(text).serial_number:040X}"
    return {"serial_no": serial, "encrypt_certificate": sealed(text, "certificate")}
