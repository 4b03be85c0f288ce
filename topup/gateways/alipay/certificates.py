"""Certificates of Alipay's certificate mode: reading them, their numbers, and who vouches for whom.

Source: opendocs.alipay.com, "公钥证书方式", and AntCertificationUtil of the official SDKs.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused, name_of

Chain = tuple[x509.Certificate, ...]

APP_NAME = re.compile(r"(2088[0-9]{12})-([0-9]{16})")
ALIPAY_NAME = re.compile(r".+-(2088[0-9]{12})")
SERIAL = re.compile(r"[0-9a-f]{32}")

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([0-9A-Za-z+/=\s]*?)-----END CERTIFICATE-----")
_RSA = "1.2.840.113549.1.1."


@lru_cache(maxsize=16)
def chain_in(text: str) -> Chain:
    """The certificates of a file, its owner's first. Raises CertificateRefused."""
    found = _blocks(text)
    try:
        chain = tuple(x509.load_pem_x509_certificate(each) for each in found)
        if chain and isinstance(chain[0].public_key(), RSAPublicKey):
            return chain
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise CertificateRefused(_why_none(text))


@lru_cache(maxsize=8)
def roots_in(text: str) -> Chain:
    """What can be read of a bundle of roots: Alipay's holds one that our library refuses. Raises CertificateRefused
    when none of them is RSA's."""
    found = []
    for each in _blocks(text):
        try:
            found.append(x509.load_pem_x509_certificate(each))
        except (ValueError, UnsupportedAlgorithm):
            continue
    if not any(map(_is_rsa, found)):
        raise CertificateRefused(_why_none(text))
    return tuple(found)


def serial_of(certificate: x509.Certificate) -> str:
    """Alipay's number of a certificate (cert_sn): of its issuer, not of its owner."""
    text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_serial_of(roots: Sequence[x509.Certificate]) -> str:
    """The number of a bundle: those of all that are signed with RSA, in their order."""
    return "_".join(serial_of(each) for each in roots if _is_rsa(each))


def key_of(certificate: x509.Certificate) -> RSAPublicKey:
    """Raises CertificateRefused unless it is RSA's."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise CertificateRefused(_("This certificate has no RSA key: it is not Alipay's."))
    return key


def keys_in(certificates: Sequence[x509.Certificate]) -> dict[str, RSAPublicKey]:
    """Number → key."""
    return {serial_of(each): key_of(each) for each in certificates}


def is_vouched_for(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> bool:
    """Whether signatures lead from the first certificate over others of the chain to a root."""
    below, others = chain[0], list(chain[1:])
    while not any(_issued(root, below) for root in roots):
        issuer = next((each for each in others if is_authority(each) and _issued(each, below)), None)
        if issuer is None:
            return False
        others.remove(issuer)
        below = issuer
    return True


def is_good(certificate: x509.Certificate, at: datetime) -> bool:
    """Whether a moment lies within its dates."""
    return certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may vouch for others. Every merchant has a certificate of Alipay's that may not."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def file_of(certificate: x509.Certificate) -> str:
    """Which of the three files it comes from, as Alipay names it; empty when it is not told by its name."""
    name = name_of(certificate)
    if APP_NAME.fullmatch(name):
        return "appCertPublicKey_….crt"
    if ALIPAY_NAME.fullmatch(name):
        return "alipayCertPublicKey_RSA2.crt"
    return "alipayRootCert.crt" if is_authority(certificate) else ""


def pem_of(certificate: x509.Certificate) -> str:
    """To be kept."""
    return certificate.public_bytes(Encoding.PEM).decode()


def _issued(issuer: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return isinstance(issuer.public_key(), RSAPublicKey)


def _is_rsa(certificate: x509.Certificate) -> bool:
    return certificate.signature_algorithm_oid.dotted_string.startswith(_RSA)


def _blocks(text: str) -> list[bytes]:
    """Each certificate's PEM, also of one that lost its line breaks."""
    found = _PEM.findall(text.replace("\\n", "\n"))
    bodies = ("".join(each.split()) for each in found)
    return [f"-----BEGIN CERTIFICATE-----\n{each}\n-----END CERTIFICATE-----\n".encode() for each in bodies]


def _why_none(text: str) -> object:
    if "PRIVATE KEY-----" in text:
        return _("This is a private key. A certificate belongs here; keep private keys to yourself.")
    if "PUBLIC KEY-----" in text:
        return _("This is a public key. A certificate belongs here.")
    return _("This is not a certificate. Paste the whole file, from the first BEGIN to the last END.")
