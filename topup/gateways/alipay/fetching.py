"""Fetching a certificate of Alipay's that an answer names and nobody here knows: so Alipay changes what it signs with.

The number in an answer is not signed. What is fetched counts only when the roots vouch for it, and then the answer must
fit it like any other.
"""

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from voicehelper.net.certificates import CertificateRefused, name_of
from voicehelper.net.http import HTTPAnswer

from .. import rsa
from ..errors import GatewayError, Unknown, WronglySigned
from .certificate_files import CertificateFiles
from .certificates import SERIAL, chain_in, is_good, is_vouched_for, key_of, pem_of, roots_in, serial_of

if TYPE_CHECKING:
    from .wire import AlipayWire

_SDK_NAME = "AlipayOpenAppAlipaycertDownload"


def fetch(wire: "AlipayWire", files: CertificateFiles, serial: str) -> RSAPublicKey:
    """The key of the certificate with this number, which is kept and used from now on. Raises Unknown, whatever went
    wrong: it says nothing about what was asked first."""
    if not SERIAL.fullmatch(serial):
        raise WronglySigned("Alipay's answer names a certificate by what is no number of one.")
    if not wire.may_fetch_certificate(serial):
        raise Unknown(_failed(serial, "it was asked for a moment ago. Ask again in a minute."))
    request, node = wire.request(_SDK_NAME, {"alipay_cert_sn": serial})
    try:
        found = wire.exchange("certificate", serial, request, lambda said: _proved(wire, files, serial, said, node))
    except GatewayError as error:
        raise Unknown(_failed(serial, str(error))) from error
    wire.keep_certificate(pem_of(found))
    wire.use_certificates(pem_of(found))
    return wire.keys[serial]


def _failed(serial: str, why: str) -> str:
    return f"Alipay signed with the certificate {serial}, which is not known, and {why}"


def _proved(wire: "AlipayWire", files: CertificateFiles, serial: str, said: HTTPAnswer, node: str) -> x509.Certificate:
    answer, signed = wire.read(said, node)
    if answer.values.get("code") != "10000":
        raise Unknown(f"Alipay does not hand it out: {answer.values.get('sub_code') or answer.values.get('code')}.")
    try:
        text = base64.b64decode(answer.values.get("alipay_cert_content", ""), validate=True).decode()
        chain = chain_in(text)
    except (ValueError, CertificateRefused) as error:
        raise Unknown("what Alipay handed out is no certificate.") from error
    if reason := _objection(chain, files, serial):
        raise WronglySigned(reason)
    own = wire.keys | {serial: key_of(chain[0]), "": next(iter(wire.keys.values()))}
    signer = own.get(answer.serial)
    if signer is None or not rsa.is_signed(signer, signed, answer.signature):
        raise WronglySigned("the answer that brought it is not signed by Alipay.")
    return chain[0]


def _objection(chain: tuple[x509.Certificate, ...], files: CertificateFiles, serial: str) -> str:
    """Why a certificate that was handed out is not believed; empty when it is."""
    now, certificate = datetime.now(UTC), chain[0]
    if serial_of(certificate) != serial:
        return "what came is another certificate."
    if not is_vouched_for(chain, roots_in(files.roots)):
        return "none of our root certificates vouches for it."
    if not all(is_good(each, now) for each in chain):
        return "it is not good at this time."
    if name_of(certificate) != name_of(chain_in(files.alipay)[0]):
        return f"it is made out to {name_of(certificate)[:60]!r}, not to whom ours is."
    return ""
