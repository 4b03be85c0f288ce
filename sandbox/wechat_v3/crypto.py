"""How v3 signs and hides, written from the provider's documents and without the product's code."""

import base64
import re
import secrets
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.models import Merchant

SCHEME = "WECHATPAY2-SHA256-RSA2048"
ITEMS = {"mchid", "nonce_str", "timestamp", "serial_no", "signature"}


def items_of(authorization: str) -> dict[str, str]:
    """What an Authorization header says. Raises ValueError unless it has exactly the five items, quoted."""
    scheme, _space, rest = authorization.partition(" ")
    if scheme != SCHEME:
        raise ValueError("HTTP头Authorization认证类型不正确")
    found = re.findall(r'([a-z_]+)="([^"]*)"', rest)
    said = ",".join(f'{name}="{value}"' for name, value in found)
    if said != rest or {name for name, _value in found} != ITEMS or len(found) != len(ITEMS):
        raise ValueError("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
    return dict(found)


def serial_of(certificate: str) -> str:
    """Upper-case hex, 40 digits."""
    return f"{_certificate(certificate).serial_number:040X}"


@lru_cache(maxsize=32)
def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


# Loading a key proves its primes: a hundred times the work of a signature.
@lru_cache(maxsize=32)
def _private(pem: str) -> Any:
    return load_pem_private_key(pem.encode(), None)


def sign(private_key: str, *lines: bytes) -> str:
    """The base64 signature over lines, each of them ended."""
    text = b"".join(line + b"\n" for line in lines)
    return base64.b64encode(_private(private_key).sign(text, PKCS1v15(), SHA256())).decode()


def is_signed(certificate: str, signature: str, *lines: bytes) -> bool:
    """Whether the certificate's key signed the lines."""
    key: Any = _certificate(certificate).public_key()
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, b"".join(line + b"\n" for line in lines), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def headers(merchant: Merchant, body: bytes, *, by_public_key: bool, faults: Mapping[str, object]) -> dict[str, str]:
    """The headers that sign an answer or a notice; none when a fault takes them away."""
    if "no_signature" in faults:
        return {}
    serial = merchant.public_key_id if by_public_key else serial_of(merchant.platform_certificate)
    key = merchant.public_key_private if by_public_key else merchant.platform_key
    if "wrong_signature" in faults:
        # Whoever has the merchant's own key must not pass for WeChat Pay.
        key = merchant.client_key
    moment, nonce = str(int(time.time())), secrets.token_hex(16)
    signature = sign(key, moment.encode(), nonce.encode(), body)
    if "signtest" in faults:
        signature = f"WECHATPAY/SIGNTEST/{signature[19:]}"
    return {
        "Request-ID": secrets.token_hex(12).upper(),
        "Wechatpay-Timestamp": moment,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signature,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature-Type": SCHEME,
    }


def seal(key: str, plain: bytes, associated_data: str) -> dict[str, str]:
    """A resource, or a certificate: AES-256-GCM under the APIv3 key."""
    nonce = secrets.token_hex(6)
    ciphertext = AESGCM(key.encode()).encrypt(nonce.encode(), plain, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    }
