"""What Alipay says of the commonest mistakes of a configuration, and how each is mended."""

from django.utils.translation import gettext_lazy as _

KNOWN_MISTAKES = (
    (
        "does not fit the Alipay public key",
        _(
            "The Alipay public key is not Alipay's. Did you paste your application's public key? The open platform"
            " shows Alipay's beside it."
        ),
    ),
    (
        "does not fit the certificate|is not known, and",
        _(
            "Something between this server and Alipay answers in its place; or the certificate pasted as Alipay's is"
            " older than the one it signs with, and the new one cannot be proved with these root certificates."
        ),
    ),
    (
        "isv.invalid-signature",
        _("The public key uploaded to the open platform does not belong to this private key."),
    ),
    (
        "isv.missing-app-cert-sn",
        _("The application is in certificate mode at the open platform: paste the three certificates as well."),
    ),
    (
        "isv.app-cert-not-exist",
        _(
            "Alipay does not know this application's certificate. Download it once more; or, if the application is in"
            " public key mode there, clear the three certificates."
        ),
    ),
    (
        "isv.invalid-alipay-root-cert-sn",
        _("The root certificates are not Alipay's, or some are missing. Paste the whole file alipayRootCert.crt."),
    ),
    (
        "未配置对应签名算法",
        _("The open platform holds no RSA2 key or certificate of this application yet. Upload one there first."),
    ),
    (
        "unsupported-expired-app-key-sign",
        _("The application's key was replaced at the open platform. Enter the new private key."),
    ),
    (
        "isv.(invalid|missing)-app-id",
        _("Alipay does not know this app id. Copy it once more, and check whether it is a sandbox's."),
    ),
    ("isv.invalid-timestamp", _("This server's clock is wrong. Synchronise it (NTP).")),
    (
        "(?i)seller|PARTNER_ERROR",
        _("Alipay refuses the seller id: it is not the account this application may receive money for."),
    ),
    (
        "(?i)permission|ACCESS_FORBIDDEN",
        _("The application may not use face-to-face payment. Sign the product and publish the application."),
    ),
)
