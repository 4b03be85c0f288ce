"""The merchant account at WeChat Pay, and what can be wrong with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from voicehelper.clock import BEIJING
from voicehelper.net.certificates import (
    CertificateRefused,
    CertificateUnreadable,
    ClientCertificate,
    check_key,
    read_certificate,
)

from ...configuration import Problem, first_problems, is_unset, is_web_address
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
    key (PEM). Requests are made in the name of `app_id`; notices may also be for `other_app_ids`."""

    app_id: str
    mch_id: str
    api_key: str = field(repr=False)
    sign_type: str = HMAC_SHA256
    base_url: str = ""
    client_cert: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    other_app_ids: tuple[str, ...] = ()

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        length = {"length": len(self.api_key)}
        return first_problems(
            (is_unset(self.app_id), "app_id", _("Enter the app id that is bound to the merchant number.")),
            (
                not re.fullmatch(r"w[wx][0-9A-Za-z]{16}", self.app_id),
                "app_id",
                _("An app id is wx and 16 letters and digits, without spaces."),
            ),
            (is_unset(self.mch_id), "mch_id", _("Enter the merchant number.")),
            (
                not re.fullmatch(r"[0-9]{8,32}", self.mch_id),
                "mch_id",
                _("A merchant number has digits only, usually ten."),
            ),
            (is_unset(self.api_key), "api_key", _("Enter the API v2 key.")),
            (
                not re.fullmatch(r"[0-9A-Za-z]{32}", self.api_key),
                "api_key",
                _("The API v2 key has exactly 32 letters and digits; this has %(length)d characters.") % length,
            ),
            (
                len(set(self.api_key)) < 5,
                "api_key",
                _("This API v2 key is too easily guessed. Set a random one at WeChat Pay."),
            ),
            (self.sign_type not in SIGN_TYPES, "sign_type", _("Choose HMAC-SHA256 or MD5.")),
            (
                self.base_url != "" and not is_web_address(self.base_url),
                "base_url",
                _("The gateway's address must start with https:// or http://."),
            ),
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
        expires = self.certificate().expires_at
        if expires < datetime.now(BEIJING):
            text = _("The client certificate expired on %(day)s. Download a new one at WeChat Pay and upload it.")
            return str(text) % {"day": f"{expires.astimezone(BEIJING):%Y-%m-%d}"}
        return ""
