"""Certificates of providers that were fetched from them: what they sign with."""

from django.db import models
from django.db.models.functions import Now


class ProviderCertificate(models.Model):
    """One that a gateway fetched and proved, for a merchant account. Public: nothing of it is secret."""

    gateway = models.CharField(max_length=16)
    merchant_id = models.CharField(max_length=32)
    serial = models.CharField(max_length=64)
    pem = models.TextField()
    expires = models.DateTimeField()
    fetched = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "merchant_id", "serial"], name="provider_certificate_once")
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.merchant_id} {self.serial}"

    @classmethod
    def good_ones(cls, gateway: str, merchant_id: str) -> str:
        """Those that have not expired, one PEM after the other. While a provider changes its certificate, both sign."""
        rows = cls.objects.filter(gateway=gateway, merchant_id=merchant_id, expires__gt=Now())
        return "\n".join(rows.order_by("pk").values_list("pem", flat=True))
