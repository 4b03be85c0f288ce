"""RSA keys as people paste them, and signatures with SHA-256 only."""

import base64
import re
from itertools import count

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric import rsa as keys

from tests import vectors
from topup.gateways import rsa

APP_PKCS1 = vectors.key("app_private_pkcs1.pem")
APP_PKCS8 = vectors.key("app_private_pkcs8.b64")
APP_PUBLIC = vectors.key("app_public_spki.pem")
ALIPAY_PRIVATE = vectors.key("alipay_private_pkcs1.pem")
ALIPAY_PUBLIC = vectors.key("alipay_public_spki.pem")
NO_PASSWORD = serialization.NoEncryption()
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo


def bare(pem: str) -> str:
    return "".join(re.sub("-----.*?-----", "", pem).split())


PRIVATE_FORMS = {
    "PKCS#1 PEM": APP_PKCS1,
    "PKCS#1 bare": bare(APP_PKCS1),
    "PKCS#8 bare": APP_PKCS8,
    "PKCS#8 PEM": f"-----BEGIN PRIVATE KEY-----\n{APP_PKCS8}\n-----END PRIVATE KEY-----",
    "CRLF": APP_PKCS1.replace("\n", "\r\n"),
    "one line": APP_PKCS1.replace("\n", " "),
    "written line ends": APP_PKCS1.replace("\n", "\\n"),
    "spaces and text around": f"\ufeff here it is:\n  {APP_PKCS1}  \n",
    "bare with line breaks": "\r\n".join(re.findall(".{1,64}", APP_PKCS8)),
    "wrong label": APP_PKCS1.replace("RSA PRIVATE", "PRIVATE"),
}
PUBLIC_FORMS = {
    "SPKI PEM": ALIPAY_PUBLIC,
    "SPKI bare": vectors.key("alipay_public_spki.b64"),
    "CRLF": ALIPAY_PUBLIC.replace("\n", "\r\n"),
    "one line": ALIPAY_PUBLIC.replace("\n", ""),
}


@pytest.mark.parametrize("text", PRIVATE_FORMS.values(), ids=PRIVATE_FORMS.keys())
def test_a_private_key_is_read_in_every_form(text: str) -> None:
    assert rsa.same_pair(rsa.private_key(text), rsa.public_key(APP_PUBLIC))


@pytest.mark.parametrize("text", PUBLIC_FORMS.values(), ids=PUBLIC_FORMS.keys())
def test_a_public_key_is_read_in_every_form(text: str) -> None:
    assert rsa.same_pair(rsa.private_key(ALIPAY_PRIVATE), rsa.public_key(text))


def test_keys_of_two_pairs_do_not_belong_together() -> None:
    assert not rsa.same_pair(rsa.private_key(APP_PKCS1), rsa.public_key(ALIPAY_PUBLIC))


SHORT = keys.generate_private_key(65537, 1024)
CURVE = ec.generate_private_key(ec.SECP256R1())
LOCKED = keys.generate_private_key(65537, 2048).private_bytes(
    PEM, PKCS8, serialization.BestAvailableEncryption(b"password")
)
SHORT_PUBLIC = SHORT.public_key().public_bytes(PEM, SPKI).decode()
CURVE_PUBLIC = CURVE.public_key().public_bytes(PEM, SPKI).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Enter the key"),
        (" \n", "Enter the key"),
        ("请输入应用私钥", "neither PEM nor base64"),
        ("your-private-key", "neither PEM nor base64"),
        ("xxxx", "not an RSA private key"),
        (APP_PKCS8[:-40], "not an RSA private key|neither"),
        (APP_PKCS1[:-40], "neither"),
        (APP_PUBLIC, "This is a public key"),
        (SHORT.private_bytes(PEM, PKCS8, NO_PASSWORD).decode(), "1024 bits"),
        (CURVE.private_bytes(PEM, PKCS8, NO_PASSWORD).decode(), "not an RSA private key"),
        (LOCKED.decode(), "password"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate"),
    ],
    ids=count(),
)
def test_what_is_no_private_key_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(rsa.KeyRefused, match=message):
        rsa.private_key(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Enter the key"),
        ("xxxx", "not an RSA public key"),
        (APP_PKCS1, "This is a private key"),
        (APP_PKCS8, "This is a private key"),
        (SHORT_PUBLIC, "1024 bits"),
        (CURVE_PUBLIC, "not an RSA public key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate"),
    ],
    ids=count(),
)
def test_what_is_no_public_key_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(rsa.KeyRefused, match=message) as caught:
        rsa.public_key(text)
    assert len(text) < 20 or bare(text)[:20] not in str(caught.value)


def test_only_strict_base64_of_a_sha256_signature_counts() -> None:
    private, public = rsa.private_key(ALIPAY_PRIVATE), rsa.public_key(ALIPAY_PUBLIC)
    signature = rsa.sign(private, "消息".encode())
    assert rsa.is_signed(public, "消息".encode(), signature)
    assert not rsa.is_signed(public, "消息.".encode(), signature)
    assert not rsa.is_signed(rsa.public_key(APP_PUBLIC), "消息".encode(), signature)
    downgraded = base64.b64encode(private.sign("消息".encode(), padding.PKCS1v15(), hashes.SHA1())).decode()
    probabilistic = private.sign("消息".encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    for forged in (
        *("", "x", "=", signature[:-4], signature + "AAAA", signature.rstrip("="), signature + "\n", " " + signature),
        *(signature.replace("+", " ") + " ", signature.replace("/", "_") + "_", "签" * 344),
        *(downgraded, base64.b64encode(probabilistic).decode(), base64.b64encode(bytes(256)).decode()),
    ):
        assert not rsa.is_signed(public, "消息".encode(), forged)
