"""The application at Alipay's open platform, and what can be wrong with it."""

import re
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.utils.translation import gettext_lazy as _

from .. import rsa
from ..configuration import Problem, first_problems, is_unset, is_web_address
from .certificate_files import CertificateFiles


@dataclass(frozen=True)
class AlipayConfig:
    """The application at the open platform. `public_key` is Alipay's, not the application's; three certificates (PEM)
    take its place in certificate mode. `gateway_url` empty is the real gateway, or Alipay's sandbox when `sandbox` is
    set."""

    app_id: str
    private_key: str = field(repr=False)
    public_key: str = field(repr=False)
    seller_id: str
    gateway_url: str = ""
    sandbox: bool = False
    app_cert: str = field(default="", repr=False)
    alipay_cert: str = field(default="", repr=False)
    root_cert: str = field(default="", repr=False)

    @property
    def files(self) -> CertificateFiles | None:
        """None: public key mode."""
        files = CertificateFiles(self.app_cert, self.alipay_cert, self.root_cert)
        return files if files.app or files.alipay or files.roots else None

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
        private, found = None, []
        try:
            private = rsa.private_key(self.private_key)
        except rsa.KeyRefused as error:
            found.append(Problem("private_key", str(error)))
        return found + (self.files.problems(private, self.app_id) if self.files else self._public_problems(private))

    def _public_problems(self, private: RSAPrivateKey | None) -> list[Problem]:
        try:
            public = rsa.public_key(self.public_key)
        except rsa.KeyRefused as error:
            return [Problem("public_key", str(error))]
        if private and rsa.same_pair(private, public):
            message = _(
                "This is your application's own public key. Copy Alipay's, shown beside it at the open platform."
            )
            return [Problem("public_key", str(message))]
        return []
