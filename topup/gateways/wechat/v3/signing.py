"""The signatures of WeChat Pay API v3: RSA with SHA-256 over lines of text; and its AES-256-GCM, which hides what a
notice says from all but the merchant.

Source: pay.weixin.qq.com/doc/v3/merchant/4012365336 and the pages beside it.
"""

import base64
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ... import rsa

SCHEME = "WECHATPAY2-SHA256-RSA2048"
ALGORITHM = "AEAD_AES_256_GCM"
PUBLIC_KEY_ID = re.compile(r"PUB_KEY_ID_[0-9]+")
_TRIED = "WECHATPAY/SIGNTEST/"
# Seconds between the signature and its arrival.
_MOST_AGE_S = 300

# WeChat Pay's keys, by what `Wechatpay-Serial` calls them: see `named`.
Keys = Mapping[str, RSAPublicKey]


class SignatureWrong(ValueError):
    """Not signed by WeChat Pay, as far as our keys can tell; the text says why, for the log."""


class SignatureMissing(SignatureWrong):
    """The headers of a signature are not there."""


class SerialUnknown(SignatureWrong):
    """The signature names a key that we do not have."""

    def __init__(self, serial: str) -> None:
        super().__init__(f"It is signed with {serial[:64]!r}, which is not a key of WeChat Pay's that is configured.")
        self.serial = named(serial)[:64]
        self.is_certificate = not serial.upper().startswith("PUB")


def text_of(*parts: str | bytes) -> bytes:
    """Lines to be signed; each ends, the last too."""
    return b"".join((part.encode() if isinstance(part, str) else part) + b"\n" for part in parts)


@dataclass(frozen=True)
class Signer:
    """Who signs requests: his number, the serial number of his certificate, and its key."""

    number: str
    serial: str
    key: RSAPrivateKey

    def authorization(self, method: str, path: str, body: bytes, moment: str = "", nonce: str = "") -> str:
        """The header of a request. `path` is as it is sent, query included; `moment` (Unix seconds) is now."""
        moment, nonce = moment or str(int(time.time())), nonce or secrets.token_hex(16)
        signature = rsa.sign(self.key, text_of(method, path, moment, nonce, body))
        return (
            f'{SCHEME} mchid="{self.number}",nonce_str="{nonce}",timestamp="{moment}",serial_no="{self.serial}",'
            f'signature="{signature}"'
        )


def check(headers: Mapping[str, str], body: bytes, keys: Keys, at: datetime) -> None:
    """Raises SignatureWrong unless an answer or a notice is WeChat Pay's, fresh at that moment. The names of `headers`
    are in lower case; one that came twice is joined with a comma, which fits nowhere."""
    moment, nonce, signature, serial = (
        headers.get(f"wechatpay-{name}", "") for name in ("timestamp", "nonce", "signature", "serial")
    )
    if not (moment and nonce and signature and serial):
        raise SignatureMissing("Not all of the headers Wechatpay-Timestamp, -Nonce, -Signature and -Serial are there.")
    if (headers.get("wechatpay-signature-type") or SCHEME) != SCHEME or "\n" in nonce:
        raise SignatureWrong("Another algorithm than RSA with SHA-256, or a nonce of two lines.")
    if not re.fullmatch(r"[0-9]{1,11}", moment) or abs(at.timestamp() - int(moment)) >= _MOST_AGE_S:
        raise SignatureWrong(f"Signed at {moment[:16]!r}, which is not within five minutes of {int(at.timestamp())}.")
    key = keys.get(named(serial))
    if key is None:
        raise SerialUnknown(serial)
    if not rsa.is_signed(key, text_of(moment, nonce, body), signature):
        raise SignatureWrong(f"The signature is not that of the key {serial}.")


def is_tried(headers: Mapping[str, str]) -> bool:
    """Whether WeChat Pay tries out if its signature is checked at all. Such a message is refused like any other."""
    return headers.get("wechatpay-signature", "").startswith(_TRIED)


def named(serial: str) -> str:
    """A key's name to look it up by: a public key's id as it is, a certificate's serial number as `serial_of` it."""
    return serial_of(int(serial, 16)) if re.fullmatch(r"[0-9A-Fa-f]{1,64}", serial) else serial


def serial_of(number: int) -> str:
    """A certificate's serial number as openssl prints it: upper-case hex, whole bytes."""
    text = f"{number:X}"
    return text.zfill(len(text) + len(text) % 2)


def opened(key: str, sealed: Mapping[str, object]) -> bytes:
    """What a `resource` or an `encrypt_certificate` holds. Raises ValueError unless the APIv3 key opens it."""
    nonce, data, ciphertext = (sealed.get(name) or "" for name in ("nonce", "associated_data", "ciphertext"))
    if sealed.get("algorithm") != ALGORITHM:
        raise ValueError("another algorithm than AES-256-GCM")
    if not (isinstance(nonce, str) and isinstance(data, str) and isinstance(ciphertext, str)) or len(key) != 32:
        raise ValueError("a part of it is not text, or the key is none")
    try:
        raw = base64.b64decode(ciphertext, validate=True)
        return AESGCM(key.encode()).decrypt(nonce.encode(), raw, data.encode())
    except (InvalidTag, ValueError) as error:
        raise ValueError("the APIv3 key does not open it") from error
