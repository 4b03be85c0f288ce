"""The three files of certificate mode as they are pasted: what they are for, and what is mixed up about them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused, name_of

from .. import rsa
from ..configuration import Problem
from .certificates import (
    ALIPAY_NAME,
    APP_NAME,
    chain_in,
    file_of,
    is_vouched_for,
    key_of,
    root_serial_of,
    roots_in,
    serial_of,
)

# Of the roots that Alipay hands out for its real gateway.
LIVE_ROOTS = "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6"
_FILES = {
    "app_cert": "appCertPublicKey_….crt",
    "alipay_cert": "alipayCertPublicKey_RSA2.crt",
    "root_cert": "alipayRootCert.crt",
}


@dataclass(frozen=True)
class CertificateFiles:
    """The application's certificate, Alipay's with its issuers, the roots. All PEM."""

    app: str
    alipay: str
    roots: str

    @property
    def serials(self) -> dict[str, str]:
        """What every request says of them. Raises CertificateRefused."""
        roots = root_serial_of(roots_in(self.roots))
        return {"app_cert_sn": serial_of(chain_in(self.app)[0]), "alipay_root_cert_sn": roots}

    def expires_at(self, later: Sequence[x509.Certificate]) -> datetime:
        """When the first thing of these is over that nothing replaces; `later` ones of Alipay's were fetched since."""
        alipays = (chain_in(self.alipay)[0], *later)
        return min(chain_in(self.app)[0].not_valid_after_utc, max(each.not_valid_after_utc for each in alipays))

    def problems(self, private: RSAPrivateKey | None, app_id: str) -> list[Problem]:
        """What is missing, mixed up, or does not belong together. Sends nothing."""
        found = [problem for name in _FILES if (problem := self._problem_of(name))]
        if found:
            return found
        return list(self._disagreements(private, app_id))

    def remarks(self, seller_id: str, *, live: bool) -> Iterator[str]:
        """What looks odd, although it may work: these are habits of Alipay's, no rules."""
        app, alipay = APP_NAME.fullmatch(_owner(self.app)), ALIPAY_NAME.fullmatch(_owner(self.alipay))
        for named in filter(None, (app, alipay)):
            if named[1] != seller_id:
                text = _("a certificate names the account %(other)s, and the seller id is %(own)s")
                yield str(text) % {"other": named[1], "own": seller_id}
                break
        if live and root_serial_of(roots_in(self.roots)) != LIVE_ROOTS:
            yield str(_("the root certificates are not those that Alipay is known to hand out"))

    def _problem_of(self, name: str) -> Problem | None:
        text = {"app_cert": self.app, "alipay_cert": self.alipay, "root_cert": self.roots}[name]
        wanted = _FILES[name]
        if not text.strip():
            message = _("Certificate mode wants all three: paste %(file)s, or clear the other two.") % {"file": wanted}
            return Problem(name, str(message))
        read: Callable[[str], Any] = roots_in if name == "root_cert" else chain_in
        try:
            first = read(text)[0]
        except CertificateRefused as error:
            return Problem(name, str(error))
        if (is_from := file_of(first)) and is_from != wanted:
            message = _("This is %(file)s. %(wanted)s belongs here.") % {"file": is_from, "wanted": wanted}
            return Problem(name, str(message))
        return None

    def _disagreements(self, private: RSAPrivateKey | None, app_id: str) -> Iterator[Problem]:
        if private and not rsa.same_pair(private, key_of(chain_in(self.app)[0])):
            text = _("This certificate does not belong to the private key above. Paste the one made from its request.")
            yield Problem("app_cert", str(text))
        named = APP_NAME.fullmatch(_owner(self.app))
        if named and named[2] != app_id:
            text = _("This certificate is application %(other)s's. Download that of %(own)s.")
            yield Problem("app_cert", str(text) % {"other": named[2], "own": app_id})
        if not is_vouched_for(chain_in(self.alipay), roots_in(self.roots)):
            text = _("None of the root certificates vouches for Alipay's. Download both files once more.")
            yield Problem("root_cert", str(text))


def _owner(text: str) -> str:
    return name_of(chain_in(text)[0])
