"""Certificates of providers, kept when a gateway fetched them."""

from cryptography.x509 import load_pem_x509_certificate
from django.db.models.functions import Now

from ..models import ProviderCertificate


def keep_certificate(gateway: str, merchant_id: str, pem: str) -> None:
    """Once, however often it is fetched."""
    certificate = load_pem_x509_certificate(pem.encode())
    facts = {"pem": pem, "expires": certificate.not_valid_after_utc, "fetched": Now()}
    ProviderCertificate.objects.update_or_create(
        gateway=gateway, merchant_id=merchant_id, serial=f"{certificate.serial_number:X}", defaults=facts
    )
