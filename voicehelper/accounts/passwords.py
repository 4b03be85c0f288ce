"""Passwords that are guessed first, whatever characters they are of; beside Django's list of 20,000 common ones."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.translation import gettext as _

from . import breaches

# Ourselves, and the platform people sign in with. docs/security.md lists where the others come from.
_OURS = ("VoiceHelper", "WeChat", "Weixin", "微信")
# Letters and what is written for them; i and l share their signs.
_SIGNS = str.maketrans("0134578@$!|i", "oleastbasl" + "ll")
_LEAST, _LEAST_OF_OTHERS = 4, 2
_PATTERNS = (
    r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",  # a day, from either end
    r"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])(19|20)\d\d",
    r"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(19|20)\d\d",
    r"(\+?86)?1[3-9]\d{9}",  # a mobile number
    r"(.{1,4})\1+",  # abcabcabc
)
_named_by: list[Callable[[], Iterable[object]]] = []


def register_words(names: Callable[[], Iterable[object]]) -> None:
    """Let no password contain these names either: of whom an app works with."""
    _named_by.append(names)


def words() -> Iterator[str]:
    """What no password may contain, as `_plain` writes it."""
    host = (urlsplit(settings.SERVER_ADDRESS).hostname or "").split(".")[:-1]
    site = [] if not host or host[-1].isdecimal() else [max(host, key=len)]
    others = [text for names in _named_by for name in names() for text in _in_every_language(name)]
    for name in (*_OURS, *site, *settings.PASSWORD_WORDS, *others):
        word = _plain(name)
        if len(word) >= (_LEAST if word.isascii() else _LEAST_OF_OTHERS):
            yield word


def _in_every_language(name: object) -> Iterator[str]:
    for language, _label in settings.LANGUAGES:
        with translation.override(language):
            yield str(name)


def _plain(text: str) -> str:
    """Without what varies when a word is hidden in a password: case, width, signs for letters, signs between them."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_SIGNS)
    return "".join(letter for letter in folded if letter.isalnum())


class NoNamesOfOurs:
    """Refuses what contains one of `words`."""

    def validate(self, password: str, user: object = None) -> None:
        plain = _plain(password)
        if any(word in plain for word in words()):
            text = _("Leave out the names of this site and of the platforms it works with: they are guessed first.")
            raise ValidationError(text, code="password_names_us")

    def get_help_text(self) -> str:
        return _("Your password can’t contain the name of this site or of a platform it works with.")


class NoPattern:
    """Refuses days, mobile numbers, and what goes on by itself: 87654321, abcdefgh, abcabcabc."""

    def validate(self, password: str, user: object = None) -> None:
        steps = {ord(after) - ord(before) for before, after in pairwise(password)}
        runs = len(steps) == 1 and steps <= {-1, 0, 1}
        if runs or any(re.fullmatch(pattern, password, re.DOTALL) for pattern in _PATTERNS):
            text = _("Dates, telephone numbers, sequences and repetitions are guessed first.")
            raise ValidationError(text, code="password_pattern")

    def get_help_text(self) -> str:
        return _("Your password can’t be a date, a telephone number, a sequence or a repetition.")


class NotBreached:
    """Refuses what was stolen elsewhere, where PWNED_PASSWORDS_URL says whom to ask. No answer refuses nothing."""

    def validate(self, password: str, user: object = None) -> None:
        if settings.PWNED_PASSWORDS_URL and breaches.is_known(password):
            text = _("This password was in data stolen from another site, and will be tried here: choose another.")
            raise ValidationError(text, code="password_breached")

    def get_help_text(self) -> str:
        return _("Your password can’t be one that was stolen elsewhere.")
