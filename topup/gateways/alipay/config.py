"""The application at Alipay's open platform, and what can be wrong with it."""

import re
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from .. import rsa
from ..configuration import Problem, first_problems, is_unset, is_web_address

KNOWN_MISTAKES = (
    (
        "does not fit the Alipay public key",
        _(
            "The Alipay public key is not Alipay's. Did you paste your application's public key? The open platform"
            " shows Alipay's beside it."
        ),
    ),
    (
        "isv.invalid-signature",
        _("The public key uploaded to the open platform does not belong to this private key."),
    ),
    (
        "isv.(invalid|missing)-app-id",
        _("Alipay does not know this app id. Copy it once more, and check whether it is a sandbox's."),
    ),
    ("isv.invalid-timestamp", _("This server's clock is wrong. Synchronise it (NTP).")),
    (
        "(?i)permission|ACCESS_FORBIDDEN",
        _("The application may not use face-to-face payment. Sign the product and publish the application."),
    ),
)


@dataclass(frozen=True)
class AlipayConfig:
    """The application at the open platform. `public_key` is Alipay's, not the application's. `gateway_url` empty is the
    real gateway, or Alipay's sandbox when `sandbox` is set."""

    app_id: str
    private_key: str = field(repr=False)
    public_key: str = field(repr=False)
    seller_id: str
    gateway_url: str = ""
    sandbox: bool = False

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        problems = first_problems(
            (is_unset(self.app_id), "app_id", _("Enter the application's id.")),
            (
                not re.fullmatch(r"(?!2088)[0-9]{16}", self.app_id),
                "app_id",
                _("An app id has 16 digits and does not begin with 2088 (that is a seller id)."),
            ),
            (
                is_unset(self.seller_id),
                "seller_id",
                _("Enter the seller id (PID): without it, a payment to somebody else looks like ours."),
            ),
            (
                not re.fullmatch(r"2088[0-9]{12}", self.seller_id),
                "seller_id",
                _("A seller id has 16 digits and begins with 2088."),
            ),
            (
                self.gateway_url != "" and not is_web_address(self.gateway_url),
                "gateway_url",
                _("The gateway's address must start with https:// or http://."),
            ),
        )
        return problems + self._key_problems()

    def refund_problems(self) -> list[Problem]:
        """None: refunds want nothing more."""
        return []

    def _key_problems(self) -> list[Problem]:
        private, public, problems = None, None, []
        try:
            private = rsa.private_key(self.private_key)
        except rsa.KeyRefused as error:
            problems.append(Problem("private_key", str(error)))
        try:
            public = rsa.public_key(self.public_key)
        except rsa.KeyRefused as error:
            problems.append(Problem("public_key", str(error)))
        if private and public and rsa.same_pair(private, public):
            message = _(
                "This is your application's own public key. Copy Alipay's, shown beside it at the open platform."
            )
            problems.append(Problem("public_key", str(message)))
        return problems
