"""Third Bank's settings section. Imported by the `third_bank` fixture only: the model exists as long as that does."""

from typing import Any

from django.db import models

from topup.models.sections import GatewaySettings, SettingsCard
from voicehelper.secrets import EncryptedField


class ThirdBankSettings(GatewaySettings):
    """The contract with Third Bank."""

    gateway = "thirdbank"
    account_values = ("contract",)
    card = SettingsCard(
        purpose="Lets users pay with Third Bank.",
        key="key",
        groups=((None, ["enabled", "min_topup"]), ("Contract", ["contract", "key", "address"])),
        help={"contract": "Ten digits, on the first page."},
        steps=("Ask your branch for a contract.", "Tell it this address: %(url)s"),
    )

    contract = models.CharField("contract", max_length=32, blank=True)
    key = EncryptedField("bank key")
    address = models.CharField("bank's address", max_length=200, blank=True)

    class Meta(GatewaySettings.Meta):
        app_label = "topup"
        verbose_name = verbose_name_plural = "Third Bank settings"

    def config_values(self) -> dict[str, Any]:
        return {"contract": self.contract, "key": self.key.reveal(), "address": self.address}
