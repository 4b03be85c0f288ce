"""What can be wrong with a merchant account at WeChat Pay, whichever version of the protocol it speaks."""

import re
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from voicehelper.clock import BEIJING

from ..configuration import is_unset, is_web_address

ADDRESS = "https://api.mch.weixin.qq.com"
REAL_HOSTS = {"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "apihk.mch.weixin.qq.com"}
_KEY = re.compile(r"[0-9A-Za-z]{32}")

Check = tuple[bool, str, object]


def identity_checks(app_id: str, mch_id: str, base_url: str) -> tuple[Check, ...]:
    """For configuration.first_problems: who the account is, and where its gateway."""
    return (
        (is_unset(app_id), "app_id", _("Enter the app id that is bound to the merchant number.")),
        (
            not re.fullmatch(r"w[wx][0-9A-Za-z]{16}", app_id),
            "app_id",
            _("An app id is wx and 16 letters and digits, without spaces."),
        ),
        (is_unset(mch_id), "mch_id", _("Enter the merchant number.")),
        (
            not re.fullmatch(r"[0-9]{8,32}", mch_id),
            "mch_id",
            _("A merchant number has digits only, usually ten."),
        ),
        (
            base_url != "" and not is_web_address(base_url),
            "base_url",
            _("The gateway's address must start with https:// or http://."),
        ),
    )


def is_key(text: str) -> bool:
    """Whether it has the shape of an API key, v2's or v3's."""
    return bool(_KEY.fullmatch(text))


def is_guessable(key: str) -> bool:
    return len(set(key)) < 5


def others_certificate(owner: str, mch_id: str) -> str:
    """What to say of a client certificate by whose it is; empty for the merchant's own."""
    if owner == mch_id or is_unset(mch_id):
        return ""
    said = _("This certificate is merchant %(other)s's. Use apiclient_cert.pem of merchant %(own)s.")
    return str(said) % {"other": owner[:32], "own": mch_id}


def expired(expires_at: datetime) -> str:
    """What to do about a client certificate that is over; empty while it is good."""
    if expires_at >= datetime.now(BEIJING):
        return ""
    text = _("The client certificate expired on %(day)s. Download a new one at WeChat Pay and upload it.")
    return str(text) % {"day": f"{expires_at.astimezone(BEIJING):%Y-%m-%d}"}
