"""RSA keys in every shape people paste them, and signatures with SHA-256 only.

Accepted: PKCS#1 and PKCS#8 private keys, SPKI and PKCS#1 public keys; as PEM, as PEM that lost its line breaks, or as
bare base64; any line ends. The hash is ours to choose: a verifier that takes it from the signature also accepts SHA-1.
"""

import base64
import binascii
import re
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from django.utils.translation import gettext_lazy as _

MIN_BITS = 2048

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


class KeyRefused(ValueError):
    """The text is not the key that belongs here; the message, in the reader's language, says what it is instead."""


# Loading a private key proves its primes, which takes 60 ms; gateways are built for every call.
@lru_cache(maxsize=8)
def private_key(text: str) -> RSAPrivateKey:
    """The private key in `text`. Raises KeyRefused."""
    der = _der(text)
    key = _load_private(der)
    if key is None and _load_public(der) is not None:
        raise KeyRefused(_("This is a public key. Your own private key belongs here."))
    if not isinstance(key, RSAPrivateKey):
        raise KeyRefused(_("This is not an RSA private key in PKCS#1 or PKCS#8 form. Copy the whole key once more."))
    _check_size(key)
    return key


@lru_cache(maxsize=8)
def public_key(text: str) -> RSAPublicKey:
    """The public key in `text`. Raises KeyRefused."""
    der = _der(text)
    key = _load_public(der)
    if key is None and _load_private(der) is not None:
        raise KeyRefused(
            _("This is a private key. The payment platform's public key belongs here; keep private keys to yourself.")
        )
    if not isinstance(key, RSAPublicKey):
        raise KeyRefused(_("This is not an RSA public key. Copy the whole key once more."))
    _check_size(key)
    return key


def same_pair(private: RSAPrivateKey, public: RSAPublicKey) -> bool:
    """Whether the two keys belong together."""
    return private.public_key().public_numbers() == public.public_numbers()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """The base64 signature (PKCS#1 v1.5, SHA-256). The same message always gives the same signature."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` is strict base64 of a SHA-256 signature of `message`."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _der(text: str) -> bytes:
    """The key's bytes out of PEM or bare base64."""
    if not text.strip():
        raise KeyRefused(_("Enter the key."))
    text = text.replace("\\n", "\n").replace("\ufeff", "")
    found = _PEM.search(text)
    if found and "CERTIFICATE" in found[1]:
        raise KeyRefused(_("This is a certificate. The key itself belongs here."))
    if found and ("ENCRYPTED" in found[1] or "ENCRYPTED" in found[2]):
        raise KeyRefused(_("This key is protected by a password. Remove the password first."))
    try:
        return base64.b64decode("".join((found[2] if found else text).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyRefused(_("This is not a key: neither PEM nor base64. Copy the whole key once more.")) from error


def _load_private(der: bytes) -> object | None:
    try:
        return load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _load_public(der: bytes) -> object | None:
    try:
        return load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _check_size(key: RSAPrivateKey | RSAPublicKey) -> None:
    if key.key_size < MIN_BITS:
        raise KeyRefused(
            _("This key has %(bits)d bits; at least %(least)d are needed.") % {"bits": key.key_size, "least": MIN_BITS}
        )
