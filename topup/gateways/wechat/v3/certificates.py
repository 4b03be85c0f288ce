"""Certificates: the merchant's own, which says who he is; and WeChat Pay's (platform certificates), pasted or fetched.

What is fetched is believed because only WeChat Pay and we have the APIv3 key that opens it; its authority's certificate
is not published.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused, name_of, read_certificate

from .signing import opened, serial_of

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class MerchantCertificate:
    """What apiclient_cert.pem says. It names the merchant by number; WeChat Pay's own are Tenpay.com sign's."""

    serial: str
    merchant_id: str
    expires_at: datetime
    key: RSAPublicKey


@lru_cache(maxsize=8)
def merchant_certificate(text: str) -> MerchantCertificate:
    """Raises CertificateRefused."""
    found = read_certificate(text)
    key = found.public_key()
    if not isinstance(key, RSAPublicKey):
        raise CertificateRefused(_("This certificate has no RSA key. Paste the whole file apiclient_cert.pem."))
    return MerchantCertificate(serial_of(found.serial_number), name_of(found), found.not_valid_after_utc, key)


@lru_cache(maxsize=8)
def platform_certificates(text: str) -> Sequence[x509.Certificate]:
    """Every certificate in the text. Raises CertificateRefused."""
    found = [match[0] for match in _PEM.finditer(text)]
    if text.strip() and not found:
        raise CertificateRefused(_("This is no certificate. Paste the whole files wechatpay_….pem, from BEGIN to END."))
    try:
        certificates = [x509.load_pem_x509_certificate(each.encode()) for each in found]
    except ValueError as error:
        raise CertificateRefused(
            _("One of these is not a certificate. Paste the whole files wechatpay_….pem, from BEGIN to END.")
        ) from error
    if not all(isinstance(each.public_key(), RSAPublicKey) for each in certificates):
        raise CertificateRefused(_("One of these certificates has no RSA key: it is not WeChat Pay's."))
    return certificates


def keys_in(text: str, at: datetime) -> dict[str, RSAPublicKey]:
    """Serial → key of the platform certificates that are good at that moment. Raises CertificateRefused."""
    return {
        serial_of(each.serial_number): key
        for each in platform_certificates(text)
        if each.not_valid_before_utc <= at < each.not_valid_after_utc
        and isinstance(key := each.public_key(), RSAPublicKey)
    }


def unsealed(data: object, api_v3_key: str) -> list[str]:
    """The certificates (PEM) in an answer of /v3/certificates. Raises ValueError when one is not what it says."""
    found = []
    for each in data if isinstance(data, list) else []:
        sealed = each.get("encrypt_certificate") if isinstance(each, dict) else None
        if not isinstance(sealed, dict):
            raise ValueError("an entry holds no certificate")  # noqa: TRY004
        certificate = x509.load_pem_x509_certificate(opened(api_v3_key, sealed))
        if serial_of(certificate.serial_number) != str(each.get("serial_no")).upper():
            raise ValueError("a certificate has another serial number than its entry says")
        if certificate.not_valid_after_utc > datetime.now(UTC):
            found.append(certificate.public_bytes(Encoding.PEM).decode())
    return found
