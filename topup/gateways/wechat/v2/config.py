"""The merchant account at WeChat Pay, and what can be wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import (
    CertificateRefused,
    CertificateUnreadable,
    ClientCertificate,
    check_key,
    name_of,
    read_certificate,
)

from ...configuration import Problem, first_problems, is_unset
from ..account import expired, identity_checks, is_guessable, is_key, others_certificate
from .signing import HMAC_SHA256, SIGN_TYPES

KNOWN_MISTAKES = (
    (
        "签名|SIGNERROR",
        _("The API v2 key is not the one set at WeChat Pay (account centre, API security). Enter it once more."),
    ),
    (
        "not signed with our API key",
        _("Somebody between this server and WeChat Pay answered in its place, or the API v2 key was just changed."),
    ),
    (
        "APPID_MCHID_NOT_MATCH|appid.*mch_id",
        _("The app id is not bound to this merchant number. Bind it at WeChat Pay (product centre, app ids)."),
    ),
    ("(?i)appid", _("WeChat Pay does not know this app id. Copy it once more.")),
    ("(?i)mch_?id|商户号", _("WeChat Pay does not know this merchant number. Copy it once more.")),
    ("NOAUTH", _("Native payment is not enabled for this merchant. Apply for it at WeChat Pay (product centre).")),
)


@dataclass(frozen=True)
class WeChatConfig:
    """The merchant account. `base_url` empty is the real gateway. Only refunds want the client certificate and its
    key (PEM). Requests are made in the name of `app_id`; notices may also be for `other_app_ids`.
    `app_secret` is only tried out, at `login_url`."""

    app_id: str
    mch_id: str
    api_key: str = field(repr=False)
    sign_type: str = HMAC_SHA256
    base_url: str = ""
    client_cert: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    other_app_ids: tuple[str, ...] = ()
    app_secret: str = field(default="", repr=False)
    login_url: str = ""

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        length = {"length": len(self.api_key)}
        return first_problems(
            *identity_checks(self.app_id, self.mch_id, self.base_url),
            (is_unset(self.api_key), "api_key", _("Enter the API v2 key.")),
            (
                not is_key(self.api_key),
                "api_key",
                _("The API v2 key has exactly 32 letters and digits; this has %(length)d characters.") % length,
            ),
            (
                is_guessable(self.api_key),
                "api_key",
                _("This API v2 key is too easily guessed. Set a random one at WeChat Pay."),
            ),
            (self.sign_type not in SIGN_TYPES, "sign_type", _("Choose HMAC-SHA256 or MD5.")),
        )

    def refund_problems(self) -> list[Problem]:
        """What is mixed up about the client certificate. One that is damaged is told by `why_no_refunds` only: it is
        no reason to keep the rest from being saved."""
        checks: dict[str, Callable[[], object]] = {
            "client_cert": lambda: self.client_cert and read_certificate(self.client_cert),
            "client_key": lambda: check_key(self.client_key) if self.client_key else None,
        }
        found: list[Problem] = []
        for name, check in checks.items():
            try:
                check()
            except CertificateUnreadable:
                return found
            except CertificateRefused as error:
                found.append(Problem(name, str(error)))
        if not found and self.client_cert:
            owner = name_of(read_certificate(self.client_cert))
            if said := others_certificate(owner, self.mch_id):
                return [Problem("client_cert", said)]
        if not found and self.client_cert and self.client_key:
            try:
                self.certificate().check()
            except CertificateRefused as error:
                found.append(Problem("client_key", str(error)))
        return found

    def certificate(self) -> ClientCertificate:
        """The client certificate, not checked."""
        return ClientCertificate(self.client_cert, self.client_key)

    def why_no_refunds(self) -> str:
        """What is wrong with the certificate now, time included; empty when it can be used."""
        if not self.client_cert or not self.client_key:
            return str(_("Refunds want the client certificate: upload apiclient_cert.pem and apiclient_key.pem."))
        try:
            self.certificate().check()
        except CertificateRefused as error:
            return str(error)
        return expired(self.certificate().expires_at)
