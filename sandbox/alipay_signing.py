"""RSA2 as Alipay uses it: SHA-256 with RSA, PKCS#1 v1.5, base64; keys in bare base64."""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey


def signed_text(params: Mapping[str, str], *, without: set[str]) -> bytes:
    """`k=v&…` of all non-empty parameters in ASCII order, raw."""
    return "&".join(f"{k}={v}" for k, v in sorted(params.items()) if v != "" and k not in without).encode()


def sign(data: bytes, private_key: str) -> str:
    """RSA2: SHA-256 with RSA, PKCS#1 v1.5, base64. The key is bare base64 of PKCS#8."""
    return base64.b64encode(_key(private_key).sign(data, PKCS1v15(), hashes.SHA256())).decode()


# Loading a private key proves its primes: a hundred times the work of a signature.
@lru_cache(maxsize=8)
def _key(private_key: str) -> RSAPrivateKey:
    key = serialization.load_der_private_key(base64.b64decode(private_key), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def verify(data: bytes, signature: str, public_key: str) -> bool:
    """Whether an RSA2 signature is right. The key is bare base64 of SPKI."""
    key = serialization.load_der_public_key(base64.b64decode(public_key))
    if not isinstance(key, RSAPublicKey):
        raise TypeError("not an RSA key")
    try:
        key.verify(base64.b64decode(signature, validate=True), data, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
