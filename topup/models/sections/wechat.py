"""The settings section of WeChat Pay."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from voicehelper.accounts.models import MiniProgramSettings
from voicehelper.secrets import EncryptedField

from .gateway import GatewaySettings, SettingsCard

_PLATFORM = ["platform_certs", "certificate_fetching"]
_V3 = ["api_v3_key", "public_key_id", "public_key", *_PLATFORM]

_CARD = SettingsCard(
    purpose=_("Lets users pay by scanning a QR code with WeChat; the money goes to your merchant account."),
    key="api_v2_key",
    certificate="client_cert",
    groups=(
        (None, ["enabled", "min_topup"]),
        (_("Merchant account"), ["app_id", "mch_id", "api_version"]),
        (_("API v2"), ["api_v2_key", "sign_type"]),
        (_("API v3"), ["api_v3_key", "public_key_id", "public_key"]),
        (_("Merchant’s certificate"), ["client_cert", "client_key"]),
        (_("Platform certificates (only without a public key, or while it is switched to)"), _PLATFORM),
        (_("Paying inside WeChat (optional)"), ["app_secret"]),
    ),
    only={"api_v2_key": "v2", "sign_type": "v2", **dict.fromkeys(_V3, "v3")},
    files={
        "client_cert": "apiclient_cert.pem",
        "client_key": "apiclient_key.pem",
        "public_key": "pub_key.pem",
        "platform_certs": "wechatpay_….pem",
    },
    multiline=("client_cert", "client_key", "public_key", "platform_certs"),
    placeholders={
        "app_id": _("Please enter the app id, like wx8888888888888888"),
        "mch_id": _("Please enter the WeChat Pay merchant number"),
        "api_v2_key": _("Please enter the WeChat Pay API v2 key"),
        "api_v3_key": _("Please enter the WeChat Pay APIv3 key"),
        "public_key_id": "PUB_KEY_ID_…",
        "public_key": "-----BEGIN PUBLIC KEY-----",
        "platform_certs": "-----BEGIN CERTIFICATE-----",
        "app_secret": _("Please enter the app secret"),
        "client_cert": "-----BEGIN CERTIFICATE-----",
        "client_key": "-----BEGIN PRIVATE KEY-----",
    },
    help={
        "app_id": _("The official account, mini program or app that is bound to the merchant number."),
        "mch_id": _("Usually ten digits."),
        "api_version": _(
            "v3 wants no certificate on the line and signs its notices about refunds; v2 is for accounts that have no"
            " APIv3 key yet."
        ),
        "api_v2_key": _("Exactly 32 letters and digits. Stored encrypted and never shown again."),
        "sign_type": _("HMAC-SHA256 unless your account can only do MD5. Orders keep the one they were placed with."),
        "api_v3_key": _("Exactly 32 letters and digits, another one than the API v2 key. It opens notices."),
        "public_key_id": _("Shown beside WeChat Pay’s public key."),
        "public_key": _("The content of pub_key.pem: WeChat Pay’s own, not yours. It verifies answers and notices."),
        "platform_certs": _(
            "The contents of wechatpay_….pem, one after the other, for accounts without a public key. They change every"
            " five years."
        ),
        "certificate_fetching": _("Ask WeChat Pay for them several times a day. The APIv3 key opens them."),
        "app_secret": _(
            "Of the official account above. With it the recharge page pays inside WeChat without a code; without it, it"
            " shows one there too."
        ),
        "client_cert": _("The content of apiclient_cert.pem. v2 wants it for refunds only, v3 for every call."),
        "client_key": _("The content of apiclient_key.pem."),
    },
    steps=(
        _("Merchant number: sign in at pay.weixin.qq.com; it is shown under Account centre → Merchant information."),
        _("API v2 key: Account centre → API security → Set the API v2 key (32 characters). Enter the same here."),
        _(
            "For API v3, in the same place: apply for the API certificate and paste apiclient_cert.pem and"
            " apiclient_key.pem; set the APIv3 key; and under “WeChat Pay public key” copy the id and download"
            " pub_key.pem."
        ),
        _("App id: Product centre → App id management; the app id must be bound to the merchant number."),
        _("Native payment must be enabled: Product centre → Native payment."),
        _(
            "On phones: enable H5 payment with the domain of this server; and for pages inside WeChat, enable JSAPI"
            " payment with the directory %(pages)s, and enter the domain as the official account’s web page"
            " authorization domain (mp.weixin.qq.com → Settings)."
        ),
        _(
            "For refunds by API v2: Account centre → API security → API certificate. Paste apiclient_cert.pem and"
            " apiclient_key.pem of the same download."
        ),
        _("Callback address: %(url)s — each order carries it; where WeChat Pay asks for one, enter this."),
    ),
)


class WeChatSettings(GatewaySettings):
    """The merchant account at WeChat Pay, and which version of its protocol it speaks."""

    class Version(models.TextChoices):
        V2 = "v2", "API v2"
        V3 = "v3", "API v3"

    class SignType(models.TextChoices):
        HMAC_SHA256 = "HMAC-SHA256", "HMAC-SHA256"
        MD5 = "MD5", "MD5"

    gateway = "wechat"
    card = _CARD
    config_names: ClassVar = {"api_key": "api_v2_key", "fetch_certs": "certificate_fetching"}
    account_values: ClassVar = ("mch_id",)
    deployed: ClassVar = ("WECHAT_PAY_BASE_URL", "WECHAT_API_BASE_URL")
    SENSITIVE: ClassVar = frozenset({"app_id", "mch_id", "api_version", "public_key_id", "certificate_fetching"})

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    mch_id = models.CharField(_("merchant number"), max_length=32, blank=True)
    api_version = models.CharField(
        _("API version"), max_length=8, choices=Version, default=Version.V2, db_default=Version.V2
    )
    api_v2_key = EncryptedField(_("API v2 key"))
    sign_type = models.CharField(
        _("signature algorithm"), max_length=16, choices=SignType, default=SignType.HMAC_SHA256
    )
    api_v3_key = EncryptedField(_("APIv3 key"), db_default="")
    public_key_id = models.CharField(_("public key’s id"), max_length=64, blank=True, default="", db_default="")
    public_key = EncryptedField(_("WeChat Pay’s public key"), db_default="")
    platform_certs = EncryptedField(_("platform certificates"), db_default="")
    certificate_fetching = models.BooleanField(_("fetch platform certificates"), default=False, db_default=False)
    client_cert = EncryptedField(_("merchant’s certificate"))
    client_key = EncryptedField(_("merchant’s private key"))
    # Asks WeChat who pays, in its own browser; no call to WeChat Pay wants it.
    app_secret = EncryptedField(_("app secret"), db_default="")

    class Meta(GatewaySettings.Meta):
        verbose_name = verbose_name_plural = _("WeChat Pay settings")

    @property
    def key_field(self) -> str:
        return "api_v3_key" if self.api_version == self.Version.V3 else "api_v2_key"

    def config_values(self) -> dict[str, Any]:
        return {
            "version": self.api_version,
            "app_id": self.app_id,
            "mch_id": self.mch_id,
            "base_url": settings.WECHAT_PAY_BASE_URL,
            "client_cert": self.client_cert.reveal(),
            "client_key": self.client_key.reveal(),
            # One that no key of ours opens is no reason not to be paid.
            "app_secret": self.app_secret.reveal() if self.app_secret.readable else "",
            "login_url": settings.WECHAT_API_BASE_URL,
            "other_app_ids": (self.app_id, MiniProgramSettings.load().app_id),
            **(self._v3_values() if self.api_version == self.Version.V3 else self._v2_values()),
        }

    def _v2_values(self) -> dict[str, Any]:
        return {"api_key": self.api_v2_key.reveal(), "sign_type": self.sign_type}

    def _v3_values(self) -> dict[str, Any]:
        return {
            "api_v3_key": self.api_v3_key.reveal(),
            "api_v2_key": self.api_v2_key.reveal(),
            "public_key_id": self.public_key_id,
            "public_key": self.public_key.reveal(),
            "platform_certs": self.platform_certs.reveal(),
            "fetch_certs": self.certificate_fetching,
        }
