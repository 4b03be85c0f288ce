"""Client certificates: pasted as PEM, checked, and handed to TLS without the key touching the disk in clear."""

import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from django.utils.translation import gettext_lazy as _


class CertificateRefused(ValueError):
    """The text is not what belongs here; the message, in the reader's language, says what it is instead."""


class CertificateUnreadable(CertificateRefused):
    """It has the lines of the right thing around it, and cannot be read: damaged, or cut off."""


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate and its key, both PEM, as a far side wants them that knows its callers by TLS."""

    certificate: str
    key: str = field(repr=False)

    @property
    def expires_at(self) -> datetime:
        """Until when the far side accepts it (aware). Raises CertificateRefused."""
        return read_certificate(self.certificate).not_valid_after_utc

    def check(self) -> None:
        """Raises CertificateRefused unless both can be read and belong together."""
        shown = read_certificate(self.certificate).public_key()
        own = _read_key(self.key).public_key()
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if shown.public_bytes(*spki) != own.public_bytes(*spki):
            raise CertificateRefused(
                _("The certificate does not belong to this key. Paste the two files of one download.")
            )

    def tls(self) -> ssl.SSLContext:
        """A client's TLS context that shows the certificate; it trusts nobody yet. Raises CertificateRefused."""
        return _context(self)


def read_certificate(text: str) -> x509.Certificate:
    """The first certificate in a PEM text. Raises CertificateRefused."""
    if "PRIVATE KEY-----" in text:
        raise CertificateRefused(_("This is a private key. The certificate (apiclient_cert.pem) belongs here."))
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        kind = CertificateUnreadable if "BEGIN CERTIFICATE-----" in text else CertificateRefused
        raise kind(
            _("This is not a certificate. Paste the whole file apiclient_cert.pem, from BEGIN to END.")
        ) from error


def name_of(certificate: x509.Certificate) -> str:
    """Whose it is: the subject's common name; empty when it has none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


@lru_cache(maxsize=8)
def _read_key(text: str) -> PrivateKeyTypes:
    """Reading one takes 40 ms: its primes are tested."""
    if "BEGIN CERTIFICATE-----" in text:
        raise CertificateRefused(_("This is a certificate. Its private key (apiclient_key.pem) belongs here."))
    try:
        return load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise CertificateRefused(_("The key is protected by a password. Paste it without one.")) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        kind = CertificateUnreadable if "PRIVATE KEY-----" in text else CertificateRefused
        raise kind(
            _("This is not a private key. Paste the whole file apiclient_key.pem, from BEGIN to END.")
        ) from error


def check_key(text: str) -> None:
    """Raises CertificateRefused unless it is a private key."""
    _read_key(text)


@lru_cache(maxsize=8)
def _context(client: ClientCertificate) -> ssl.SSLContext:
    """OpenSSL reads these from a file only: one that is gone at once, its key under a password made for the purpose."""
    client.check()
    password = secrets.token_bytes(32)
    key = _read_key(client.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.NamedTemporaryFile() as file:
        file.write(client.certificate.encode() + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name, password=password)
    return context
