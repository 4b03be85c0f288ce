"""The settings section of WeChat Pay."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from voicehelper.accounts.models import MiniProgramSettings
from voicehelper.secrets import EncryptedField

from .gateway import GatewaySettings, SettingsCard

_CARD = SettingsCard(
    purpose=_("Lets users pay by scanning a QR code with WeChat; the money goes to your merchant account."),
    key="api_v2_key",
    certificate="client_cert",
    groups=(
        (None, ["enabled", "min_topup"]),
        (_("Merchant account"), ["app_id", "mch_id", "api_v2_key", "sign_type"]),
        (_("Paying inside WeChat (optional)"), ["app_secret"]),
        (_("Certificate (for refunds only)"), ["client_cert", "client_key"]),
    ),
    multiline=("client_cert", "client_key"),
    placeholders={
        "app_id": _("Please enter the app id, like wx8888888888888888"),
        "mch_id": _("Please enter the WeChat Pay merchant number"),
        "api_v2_key": _("Please enter the WeChat Pay API v2 key"),
        "app_secret": _("Please enter the app secret"),
        "client_cert": "-----BEGIN CERTIFICATE-----",
        "client_key": "-----BEGIN PRIVATE KEY-----",
    },
    help={
        "app_id": _("The official account, mini program or app that is bound to the merchant number."),
        "mch_id": _("Usually ten digits."),
        "api_v2_key": _("Exactly 32 letters and digits. Stored encrypted and never shown again."),
        "sign_type": _("HMAC-SHA256 unless your account can only do MD5. Orders keep the one they were placed with."),
        "app_secret": _(
            "Of the official account above. With it the recharge page pays inside WeChat without a code; without it, it"
            " shows one there too."
        ),
        "client_cert": _("The content of apiclient_cert.pem."),
        "client_key": _("The content of apiclient_key.pem."),
    },
    steps=(
        _("Merchant number: sign in at pay.weixin.qq.com; it is shown under Account centre → Merchant information."),
        _("API v2 key: Account centre → API security → Set the API v2 key (32 characters). Enter the same here."),
        _("App id: Product centre → App id management; the app id must be bound to the merchant number."),
        _("Native payment must be enabled: Product centre → Native payment."),
        _(
            "On phones: enable H5 payment with the domain of this server; and for pages inside WeChat, enable JSAPI"
            " payment with the directory %(pages)s, and enter the domain as the official account’s web page"
            " authorization domain (mp.weixin.qq.com → Settings)."
        ),
        _(
            "For refunds: Account centre → API security → API certificate. Paste apiclient_cert.pem and"
            " apiclient_key.pem of the same download."
        ),
        _("Callback address: %(url)s — each order carries it; where WeChat Pay asks for one, enter this."),
    ),
)


class WeChatSettings(GatewaySettings):
    """The merchant account at WeChat Pay (API v2)."""

    class SignType(models.TextChoices):
        HMAC_SHA256 = "HMAC-SHA256", "HMAC-SHA256"
        MD5 = "MD5", "MD5"

    gateway = "wechat"
    card = _CARD
    config_names: ClassVar = {"api_key": "api_v2_key"}
    account_values: ClassVar = ("mch_id",)
    SENSITIVE: ClassVar = frozenset({"app_id", "mch_id"})

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    mch_id = models.CharField(_("merchant number"), max_length=32, blank=True)
    api_v2_key = EncryptedField(_("API v2 key"))
    sign_type = models.CharField(
        _("signature algorithm"), max_length=16, choices=SignType, default=SignType.HMAC_SHA256
    )
    client_cert = EncryptedField(_("client certificate"), help_text=_("For refunds only: apiclient_cert.pem."))
    client_key = EncryptedField(_("client certificate's key"), help_text=_("For refunds only: apiclient_key.pem."))
    # Asks WeChat who pays, in its own browser; no call to WeChat Pay wants it.
    app_secret = EncryptedField(_("app secret"), db_default="")

    class Meta(GatewaySettings.Meta):
        verbose_name = verbose_name_plural = _("WeChat Pay settings")

    def config_values(self) -> dict[str, Any]:
        return {
            "app_id": self.app_id,
            "mch_id": self.mch_id,
            "api_key": self.api_v2_key.reveal(),
            "sign_type": self.sign_type,
            "base_url": settings.WECHAT_PAY_BASE_URL,
            "client_cert": self.client_cert.reveal(),
            "client_key": self.client_key.reveal(),
            "other_app_ids": (self.app_id, MiniProgramSettings.load().app_id),
        }
