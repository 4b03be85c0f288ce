"""The settings section of Alipay."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField

from .gateway import GatewaySettings, SettingsCard

_CERTIFICATES = ("app_cert", "cert", "root_cert")

_CARD = SettingsCard(
    purpose=_("Lets users pay by scanning a QR code with Alipay; the money goes to your Alipay account."),
    key="private_key",
    certificate="app_cert",
    groups=(
        (None, ["enabled", "min_topup", "sandbox"]),
        (_("Application"), ["app_id", "seller_id"]),
        (_("Application’s private key"), ["private_key"]),
        (_("Public key mode"), ["public_key"]),
        (_("Certificate mode (three files instead of the public key)"), [*_CERTIFICATES]),
    ),
    files={
        "private_key": "应用私钥….txt",
        "public_key": "alipayPublicKey_RSA2.txt",
        "app_cert": "appCertPublicKey_….crt",
        "cert": "alipayCertPublicKey_RSA2.crt",
        "root_cert": "alipayRootCert.crt",
    },
    multiline=("private_key", "public_key", *_CERTIFICATES),
    placeholders={
        "app_id": _("Please enter the Alipay app id"),
        "seller_id": _("Please enter the seller id (PID), like 2088…"),
        "private_key": _("Please enter the application private key"),
        "public_key": _("Please enter the Alipay public key"),
        **dict.fromkeys(_CERTIFICATES, "-----BEGIN CERTIFICATE-----"),
    },
    help={
        "sandbox": _("For trials with an app id of Alipay’s sandbox. Nothing real is paid."),
        "app_id": _("16 digits, shown beside the application at the open platform."),
        "seller_id": _("16 digits beginning with 2088: the account that receives the money."),
        "private_key": _("Made by Alipay’s key tool (RSA2); PKCS#1 or PKCS#8, with or without BEGIN lines."),
        "public_key": _("Alipay’s own public key, not your application’s: both are shown side by side."),
        "app_cert": _("The content of appCertPublicKey_….crt. With all three the application is in certificate mode."),
        "cert": _(
            "The content of alipayCertPublicKey_RSA2.crt: Alipay’s own. When Alipay changes it, the new one is fetched."
        ),
        "root_cert": _("The content of alipayRootCert.crt, whole: it holds several certificates."),
    },
    steps=(
        _("App id: sign in at open.alipay.com → Console → your web or mobile application."),
        _("Seller id (PID): Account centre → Account management; 16 digits beginning with 2088."),
        _(
            "Keys: Development settings → Interface signing (public key mode)."
            " Upload your application’s public key, then copy the Alipay public key shown in return."
        ),
        _(
            "Or certificate mode, in the same place: upload the certificate request of Alipay’s key tool, then download"
            " the three files and paste all of them. To go back to public key mode, clear all three."
        ),
        _("The product “face-to-face payment” must be signed, and the application published."),
        _("Callback address: %(url)s — each order carries it; where Alipay asks for one, enter this."),
    ),
)


class AlipaySettings(GatewaySettings):
    """The application at Alipay's open platform."""

    gateway = "alipay"
    card = _CARD
    account_values: ClassVar = ("app_id", "seller_id")
    deployed: ClassVar = ("ALIPAY_GATEWAY_URL",)
    config_names: ClassVar = {"alipay_cert": "cert"}
    SENSITIVE: ClassVar = frozenset({"app_id", "seller_id", "sandbox"})

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    private_key = EncryptedField(_("application private key"))
    public_key = EncryptedField(_("Alipay public key"))
    seller_id = models.CharField(_("seller id (PID)"), max_length=32, blank=True)
    app_cert = EncryptedField(_("application’s certificate"), db_default="")
    cert = EncryptedField(_("Alipay’s certificate"), db_default="")
    root_cert = EncryptedField(_("Alipay’s root certificates"), db_default="")
    sandbox = models.BooleanField(_("Alipay's sandbox"), default=False)

    class Meta(GatewaySettings.Meta):
        verbose_name = verbose_name_plural = _("Alipay settings")

    def config_values(self) -> dict[str, Any]:
        return {
            "app_id": self.app_id,
            "private_key": self.private_key.reveal(),
            "public_key": self.public_key.reveal(),
            "seller_id": self.seller_id,
            "gateway_url": settings.ALIPAY_GATEWAY_URL,
            "sandbox": self.sandbox,
            "app_cert": self.app_cert.reveal(),
            "alipay_cert": self.cert.reveal(),
            "root_cert": self.root_cert.reveal(),
        }
