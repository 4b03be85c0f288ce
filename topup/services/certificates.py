"""Certificates of providers, kept when a gateway fetched them."""

from cryptography.x509 import load_pem_x509_certificate
from django.db.models.functions import Now

from voicehelper.api import ratelimit

from ..models import ProviderCertificate

# Anybody can put a number into an answer: how often the same one is asked about, and how many there may be, for
# each merchant and in all processes together.
_EACH, _ALL = "1 per minute", "5 per minute"


def keep_certificate(gateway: str, merchant_id: str, pem: str) -> None:
    """Once, however often it is fetched."""
    certificate = load_pem_x509_certificate(pem.encode())
    facts = {"pem": pem, "expires": certificate.not_valid_after_utc, "fetched": Now()}
    ProviderCertificate.objects.update_or_create(
        gateway=gateway, merchant_id=merchant_id, serial=f"{certificate.serial_number:X}", defaults=facts
    )


def may_fetch_certificate(gateway: str, merchant_id: str, serial: str) -> bool:
    """Whether a certificate that somebody named is asked for now in a merchant's name; counts as asked for."""
    whose = (gateway, merchant_id)
    brakes = ((_EACH, "certificate", *whose, serial), (_ALL, "certificates", *whose))
    return not any(ratelimit.hit(*brake) for brake in brakes)
