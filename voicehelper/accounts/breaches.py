"""Whether a password was in data stolen from somewhere, asked in the way of Pwned Passwords
(https://haveibeenpwned.com/API/v3#PwnedPasswords), or of a mirror of it.

Five of the forty hex digits of its SHA-1 leave. The answer lists what some thousand passwords end with, filled up so
that its length tells nothing. Nobody waits long for it: without an answer nothing is known of any password.
"""

import hashlib
import logging
import time

from django.conf import settings

from voicehelper.net.http import HTTP, Limits, NoAnswer

log = logging.getLogger(__name__)

_LIMITS = Limits(connect_s=1.0, read_s=1.0, total_s=1.5, max_bytes=256 * 1024)
# For so long nobody is asked after a failure: each sign-up would wait in vain.
_REST_S = 60.0
_CLIENT = HTTP(trusted=True)
_resting_until = 0.0


def is_known(password: str) -> bool:
    """Whether it was ever stolen; False also when there is no answer."""
    global _resting_until
    if time.monotonic() < _resting_until:
        return False
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    try:
        return _count_in(_ask(digest[:5]), digest[5:]) > 0
    except (NoAnswer, ValueError) as error:
        _resting_until = time.monotonic() + _REST_S
        log.warning("Passwords are not compared with stolen ones for a minute: %s", error)
        return False


def _ask(prefix: str) -> str:
    """Raises NoAnswer, ValueError."""
    address = f"{settings.PWNED_PASSWORDS_URL.rstrip('/')}/range/{prefix}"
    headers = {"User-Agent": "VoiceHelper", "Add-Padding": "true", "Accept": "text/plain"}
    answer = _CLIENT.send("GET", address, headers=headers, limits=_LIMITS)
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    return answer.body.decode("ascii")


def _count_in(answer: str, suffix: str) -> int:
    """How often the password was seen; what fills the answer up was seen 0 times. Raises ValueError."""
    seen = dict(line.split(":") for line in answer.split())
    return int(seen.get(suffix, "0"))
