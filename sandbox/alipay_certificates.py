"""Certificate mode from Alipay's side: who has which certificate, what requests must say of them, and what Alipay signs
with, which it may change, or an impostor may send.

The authority is made up; its roots are as odd as Alipay's: four certificates, one of which few libraries can read.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from .base import Call, Fields, Refusal
from .models import AlipayCertificate, Merchant

_HERE = Path(__file__).parent / "authority"
ROOTS = (_HERE / "alipayRootCert.crt").read_text()
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


def serial_of(pem: str) -> str:
    """cert_sn of the first certificate in a text."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = ",".join(each.rfc4514_string() for each in reversed(certificate.issuer.rdns))
    return hashlib.md5(f"{names}{certificate.serial_number}".encode(), usedforsecurity=False).hexdigest()


# The roots whose signatures are RSA's are the second and the fourth.
ROOT_SERIAL = "_".join(serial_of(_PEM.findall(ROOTS)[number]) for number in (1, 3))


def open_papers(merchant: Merchant) -> Merchant:
    """The application's certificate, and Alipay's first for this merchant, once."""
    if not merchant.app_certificate:
        name = f"{merchant.merchant_id}-{merchant.app_id}"
        merchant.app_certificate = _issue("class1", name, _key(merchant.app_private_key))
        Merchant.objects.filter(pk=merchant.pk, app_certificate="").update(app_certificate=merchant.app_certificate)
        merchant.refresh_from_db(fields=["app_certificate"])
    if not merchant.certificates.exists():
        _add(merchant, merchant.alipay_private_key)
    return merchant


def current(merchant: Merchant) -> AlipayCertificate:
    """What Alipay signs with now."""
    genuine = open_papers(merchant).certificates.filter(genuine=True)
    return genuine.latest("pk")


def rotate(merchant: Merchant) -> AlipayCertificate:
    """From now on Alipay signs with another certificate."""
    open_papers(merchant)
    return _add(merchant, _new_key())


def _forged(merchant: Merchant) -> AlipayCertificate:
    """An impostor's: issued under the right names by somebody else."""
    known = open_papers(merchant).certificates.filter(genuine=False).first()
    return known or _add(merchant, _new_key(), genuine=False)


def signer(call: Call) -> tuple[str, str]:
    """The private key for an answer, and the number of its certificate (empty: public key mode)."""
    merchant = call.merchant
    if not merchant.by_certificate:
        return merchant.alipay_private_key, ""
    asked = merchant.certificates.filter(serial=call.params.get("alipay_cert_sn", "")).first()
    found = asked or (_forged(merchant) if "forged_certificate" in call.faults else current(merchant))
    return found.private_key, found.serial


def notice_key(merchant: Merchant) -> str:
    """The private key for a notice, which names no certificate."""
    return current(merchant).private_key if merchant.by_certificate else merchant.alipay_private_key


def wrong_with(merchant: Merchant, params: Mapping[str, str]) -> tuple[str, str]:
    """sub_code and text for a request that says the wrong numbers for the application's mode; empty: it may pass."""
    app, root = params.get("app_cert_sn", ""), params.get("alipay_root_cert_sn", "")
    if not merchant.by_certificate:
        return ("isv.app-cert-not-exist", "应用公钥证书不存在") if app or root else ("", "")
    for name, value in (("app", app), ("alipay-root", root)):
        if not value:
            return f"isv.missing-{name}-cert-sn", f"缺少{name}证书序列号参数"
    if app != serial_of(open_papers(merchant).app_certificate):
        return "isv.app-cert-not-exist", "应用公钥证书不存在"
    if root != ROOT_SERIAL:
        return "isv.invalid-alipay-root-cert-sn", "支付宝根证书序列号不正确"
    return "", ""


def download(call: Call) -> Fields:
    """alipay.open.app.alipaycert.download: a certificate of Alipay's by its number."""
    found = call.merchant.certificates.filter(serial=call.params.get("alipay_cert_sn", "-")).first()
    if found is None:
        raise Refusal("CERT_NOT_EXIST", "证书不存在")
    return {"alipay_cert_content": base64.b64encode(found.pem.encode()).decode()}


OPERATIONS: Mapping[str, Callable[[Call], Fields]] = {"certificate": download}


def _add(merchant: Merchant, private_key: str, *, genuine: bool = True) -> AlipayCertificate:
    name = f"支付宝(中国)网络技术有限公司-{merchant.merchant_id}"
    issuer_key = None if genuine else _key(_new_key())
    leaf = _issue("class2", name, _key(private_key), by=issuer_key)
    issuer = _authority("class2")[0]
    if issuer_key is not None:
        issuer = x509.load_pem_x509_certificate(_certify(issuer.subject, issuer_key, by=issuer_key, ca=True).encode())
    pem = leaf + issuer.public_bytes(Encoding.PEM).decode()
    serial = serial_of(leaf)
    return merchant.certificates.create(serial=serial, pem=pem, private_key=private_key, genuine=genuine)


@lru_cache(maxsize=2)
def _authority(name: str) -> tuple[x509.Certificate, Any]:
    certificate = x509.load_pem_x509_certificate((_HERE / f"{name}.pem").read_bytes())
    return certificate, load_pem_private_key((_HERE / f"{name}.key.pem").read_bytes(), None)


def _issue(authority: str, name: str, key: RSAPrivateKey, *, by: RSAPrivateKey | None = None) -> str:
    issuer, issuer_key = _authority(authority)
    subject = x509.Name(
        x509.NameAttribute(oid, text)
        for oid, text in (
            (NameOID.COUNTRY_NAME, "CN"),
            (NameOID.ORGANIZATION_NAME, "VoiceHelper sandbox"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Alipay"),
            (NameOID.COMMON_NAME, name),
        )
    )
    return _certify(subject, key, by=by or issuer_key, issuer=issuer.subject)


def _certify(
    subject: x509.Name, key: RSAPrivateKey, *, by: Any, issuer: x509.Name | None = None, ca: bool = False
) -> str:
    authority = _authority("class2")[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(by, SHA256()).public_bytes(Encoding.PEM).decode()


@lru_cache(maxsize=8)
def _key(bare: str) -> RSAPrivateKey:
    key = load_der_private_key(base64.b64decode(bare), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def _new_key() -> str:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()
