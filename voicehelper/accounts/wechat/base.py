"""What both sign-ins share: WeChat's host, its error codes, how long it is waited for.

https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html, and "网页授权" there. Answers
are JSON whatever their content type says.
"""

import time
from typing import Any

from django.utils.translation import gettext_lazy as _

from voicehelper.net.http import TRUSTED, HTTPAnswer, Limits, NoAnswer

BASE_URL = "https://api.weixin.qq.com"
# A person waits.
LIMITS = Limits(connect_s=2.0, read_s=4.0, total_s=5.0, max_bytes=64 * 1024)
# -1 means "busy, try again"; so long we wait before we do.
PAUSES_S = (0.2, 0.6)

_BUSY = -1
_OPENID_CHARS = 128


class LoginFailed(Exception):
    """Nobody was signed in. `str()` is for an operator, and `hint` says how to mend it; `errcode` is WeChat's, or 0."""

    def __init__(self, errcode: int, text: Any, hint: Any = "") -> None:
        super().__init__(text)
        self.errcode = errcode
        self._text = text
        self._hint = hint

    def __str__(self) -> str:
        return str(self._text)

    @property
    def hint(self) -> str:
        return str(self._hint)


class CodeRefused(LoginFailed):
    """The code is wrong, old, used, or another app's."""


class PersonBlocked(LoginFailed):
    """WeChat holds the person for a risk."""


class TooOften(LoginFailed):
    """The person, or this app, asks more often than WeChat allows."""


class AppRefused(LoginFailed):
    """Our configuration: the app id, the secret, or the address this server calls from."""


class WeChatAway(LoginFailed):
    """WeChat is busy, unreachable, or answers nonsense. `late`: no answer came in time, and the code may be used up."""

    def __init__(self, errcode: int, text: Any, hint: Any = "", *, late: bool = False) -> None:
        super().__init__(errcode, text, hint)
        self.late = late


_WRONG_ID = _("WeChat does not know this app id.")
_WRONG_SECRET = _("The app secret does not belong to this app id.")
_COPY_ID = _("Copy it from mp.weixin.qq.com → Development → Development settings; it begins with wx.")
_NEW_SECRET = _("Make a new one there, if you do not have it: WeChat shows it only once.")
_REFUSALS: dict[int, tuple[type[LoginFailed], Any, Any]] = {
    40029: (CodeRefused, _("The code is wrong, too old, or another app’s."), ""),
    40163: (CodeRefused, _("The code was used before."), ""),
    41008: (CodeRefused, _("The code is missing."), ""),
    40226: (PersonBlocked, _("WeChat blocks this person as a risk."), ""),
    45011: (TooOften, _("This person signs in too often."), ""),
    45009: (TooOften, _("The app’s calls of today are used up."), ""),
    40013: (AppRefused, _WRONG_ID, _COPY_ID),
    41002: (AppRefused, _("The app id is missing."), _COPY_ID),
    40125: (AppRefused, _WRONG_SECRET, _NEW_SECRET),
    40001: (AppRefused, _WRONG_SECRET, _NEW_SECRET),
    41004: (AppRefused, _("The app secret is missing."), _NEW_SECRET),
    40164: (
        AppRefused,
        _("This server’s address is not in the app’s list of allowed addresses."),
        _("Add it at mp.weixin.qq.com → Development → Development settings → IP allow list."),
    ),
}


def ask(method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
    """What WeChat says; busy answers are asked for again briefly. Raises LoginFailed."""
    for pause_s in (*PAUSES_S, None):
        said = _ask_once(method, url, body)
        # Absent means success, like 0.
        errcode = said.get("errcode", 0)
        if errcode == 0:
            return said
        if errcode == _BUSY and pause_s is not None:
            time.sleep(pause_s)
            continue
        break
    raise _failure(errcode)


def openid_in(said: dict[str, Any]) -> str:
    """Raises WeChatAway when there is none."""
    openid = said.get("openid")
    if not isinstance(openid, str) or not 0 < len(openid) <= _OPENID_CHARS or not openid.isprintable():
        raise WeChatAway(0, _("WeChat’s answer names nobody."))
    return openid


def text_in(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _ask_once(method: str, url: str, body: bytes | None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        answer = TRUSTED.send(method, url, body=body, headers=headers, limits=LIMITS)
    except NoAnswer as error:
        # voicehelper.net.http says it in one of a few sentences, all of them in the catalogue.
        reason = _(error.reason)
        hint = _("This need not be the keys: check this server's network, DNS and firewall, then try again.")
        raise WeChatAway(0, reason, hint, late=error.sent) from None
    return _json(answer)


def _json(answer: HTTPAnswer) -> dict[str, Any]:
    said = answer.json_object()
    if answer.status != 200 or said is None:
        hint = _("Something in between may have answered: check this server's network and WECHAT_API_BASE_URL.")
        raise WeChatAway(0, f"HTTP {answer.status}", hint)
    return said


def _failure(errcode: object) -> LoginFailed:
    """WeChat's `errmsg` is left out of it, which repeats what it was sent."""
    code = errcode if type(errcode) is int else 0
    if code in _REFUSALS:
        kind, text, hint = _REFUSALS[code]
        return kind(code, text, hint)
    if code == _BUSY:
        return WeChatAway(code, _("WeChat is busy."))
    return WeChatAway(code, f"errcode {code}")
