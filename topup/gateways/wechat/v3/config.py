"""The merchant account at WeChat Pay that speaks API v3, and what can be told to be wrong with it without asking."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused, name_of

from ... import rsa
from ...configuration import Problem, first_problems, is_unset
from ..account import expired, identity_checks, is_guessable, is_key, others_certificate
from .certificates import MerchantCertificate, merchant_certificate, platform_certificates
from .signing import PUBLIC_KEY_ID

_PLATFORM = "Tenpay.com sign"


@dataclass(frozen=True)
class WeChatV3Config:
    """The merchant account. `client_cert` and `client_key` (PEM) are the merchant's, and sign every request. Answers
    and notices are verified with `public_key`, named by `public_key_id`, or with platform certificates: pasted ones in
    `platform_certs`, and those that `fetch_certs` lets us ask for. `api_v2_key` is only compared, and
    `app_secret` only tried out, at `login_url`."""

    app_id: str
    mch_id: str
    api_v3_key: str = field(repr=False)
    client_cert: str = field(repr=False)
    client_key: str = field(repr=False)
    public_key_id: str = ""
    public_key: str = field(default="", repr=False)
    platform_certs: str = field(default="", repr=False)
    fetch_certs: bool = False
    base_url: str = ""
    other_app_ids: tuple[str, ...] = ()
    api_v2_key: str = field(default="", repr=False)
    app_secret: str = field(default="", repr=False)
    login_url: str = ""

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        length = {"length": len(self.api_v3_key)}
        found = first_problems(
            *identity_checks(self.app_id, self.mch_id, self.base_url),
            (is_unset(self.api_v3_key), "api_v3_key", _("Enter the APIv3 key.")),
            (
                not is_key(self.api_v3_key),
                "api_v3_key",
                _("The APIv3 key has exactly 32 letters and digits; this has %(length)d characters.") % length,
            ),
            (
                is_guessable(self.api_v3_key),
                "api_v3_key",
                _("This APIv3 key is too easily guessed. Set a random one at WeChat Pay."),
            ),
            (
                self.api_v3_key == self.api_v2_key,
                "api_v3_key",
                _("This is the API v2 key. The APIv3 key is another one, set beside it at WeChat Pay."),
            ),
        )
        return found + self._certificate_problems() + self._key_problems()

    def refund_problems(self) -> list[Problem]:
        """None: refunds want nothing more."""
        return []

    def why_no_refunds(self) -> str:
        """Refused since the merchant's certificate expired, as every other call; empty while it is good."""
        return expired(self.own.expires_at)

    @property
    def own(self) -> MerchantCertificate:
        """Raises CertificateRefused."""
        return merchant_certificate(self.client_cert)

    def _certificate_problems(self) -> list[Problem]:
        """About what the merchant shows of himself: whose it is, and that the key fits."""
        own, problem = _tried("client_cert", lambda: self.own)
        if problem:
            return [problem, *self._own_key_problem(None)]
        if own.merchant_id == _PLATFORM:
            text = _("This is WeChat Pay's platform certificate. The merchant's own (apiclient_cert.pem) belongs here.")
            return [Problem("client_cert", str(text))]
        if said := others_certificate(own.merchant_id, self.mch_id):
            return [Problem("client_cert", said)]
        return self._own_key_problem(own)

    def _own_key_problem(self, own: MerchantCertificate | None) -> list[Problem]:
        key, problem = _tried("client_key", lambda: rsa.private_key(self.client_key))
        if problem:
            return [problem]
        if own and not rsa.same_pair(key, own.key):
            text = _("The certificate does not belong to this key. Paste the two files of one download.")
            return [Problem("client_key", str(text))]
        return []

    def _key_problems(self) -> list[Problem]:
        """About WeChat Pay's keys: at least one, and each what its field wants."""
        found = self._public_key_problems() if self.public_key or self.public_key_id else []
        certificates, problem = _tried("platform_certs", lambda: platform_certificates(self.platform_certs))
        if problem:
            return [*found, problem]
        if any(name_of(each) == self.mch_id for each in certificates):
            text = _("This is the merchant's own certificate. WeChat Pay's platform certificates belong here.")
            found.append(Problem("platform_certs", str(text)))
        if not (self.public_key or self.public_key_id or certificates or self.fetch_certs):
            text = _("Enter WeChat Pay's public key, or let platform certificates be fetched if you have none.")
            found.append(Problem("public_key", str(text)))
        return found

    def _public_key_problems(self) -> list[Problem]:
        id_known = PUBLIC_KEY_ID.fullmatch(self.public_key_id)
        found = first_problems(
            (
                not self.public_key_id,
                "public_key_id",
                _("Enter the public key's id, shown beside it at WeChat Pay; it begins with PUB_KEY_ID_."),
            ),
            (not id_known, "public_key_id", _("A public key's id is PUB_KEY_ID_ and digits, without spaces.")),
        )
        key, problem = _tried("public_key", lambda: rsa.public_key(self.public_key))
        if problem:
            return [*found, problem]
        own, _problem = _tried("client_key", lambda: rsa.private_key(self.client_key))
        if own and rsa.same_pair(own, key):
            text = _("This is the merchant's own public key. WeChat Pay's (pub_key.pem) belongs here.")
            found.append(Problem("public_key", str(text)))
        return found


def other_merchant_in(public_key_id: str, mch_id: str) -> str:
    """The merchant number that a public key's id seems to hold, when it is another; empty otherwise. Not documented:
    for a hint, not for a refusal."""
    found = re.match(r"PUB_KEY_ID_01([0-9]{8,12}?)20[0-9]{6}", public_key_id)
    return found[1] if found and found[1] != mch_id else ""


def _tried(name: str, read: Callable[[], Any]) -> tuple[Any, Problem | None]:
    """What a field holds, or what is wrong with it."""
    try:
        return read(), None
    except (CertificateRefused, rsa.KeyRefused) as error:
        return None, Problem(name, str(error))
