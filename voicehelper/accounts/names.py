"""Which names somebody new may have: none that others take for an operator's, the system's, or another user's.

Who has such a name already keeps it.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from .models import User
from .name_shape import NameShape

# As a whole, with digits and signs around it, or as one of several words.
RESERVED = (
    *("admin", "administrator", "sysadmin", "root", "superuser", "system", "operator", "moderator", "staff"),
    *("support", "helpdesk", "customerservice", "official", "security", "billing", "finance"),
    *("postmaster", "webmaster", "hostmaster", "noreply", "abuse"),
)
# Anywhere in a name: Chinese has no blanks between words.
RESERVED_PARTS = (
    *("voicehelper", "系统", "系統", "管理员", "管理員", "超管", "客服", "官方"),
    *("站长", "站長", "版主", "工作人员"),
)
# Scripts that are written together. Any other stands alone.
_TOGETHER = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "IDEOGRAPHIC"}
_SIGNS, _NO_LETTERS = re.compile(r"[@.+\-_]+"), re.compile(r"[@.+\-_\d]+")


def check(name: str, user: User | None = None) -> None:
    """Raises ValidationError unless `user` (None: somebody new) may be called this. Operators may be called what
    operators are called."""
    if unicodedata.normalize("NFKC", name) != name:
        raise ValidationError(_("Write the name in ordinary letters, neither full-width nor styled."), code="form")
    if not _is_of_one_kind(name):
        text = _("Letters of different scripts that look alike must not be mixed in a name.")
        raise ValidationError(text, code="scripts")
    is_staff = user is not None and (user.is_staff or user.is_superuser)
    if not is_staff and _is_reserved(name):
        raise ValidationError(_("This name could be taken for one of ours. Please choose another."), code="reserved")
    if _is_taken(name, user):
        text = _("This name looks like one that somebody has already. Please choose another.")
        raise ValidationError(text, code="alike")


def check_and_hold(name: str) -> None:
    """`check`, and until the transaction ends nobody else gets a name that looks like this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('name ' || accounts_name_shape(%s), 0))", [name])
    check(name)


def _is_of_one_kind(name: str) -> bool:
    scripts = {_script(letter) for letter in name if letter.isalpha() or (letter.isalnum() and not letter.isascii())}
    return len(scripts) <= 1 or scripts <= _TOGETHER


def _script(letter: str) -> str:
    """CYRILLIC of CYRILLIC SMALL LETTER A. Python knows no scripts but in names, which do for those that are mixed."""
    return re.split("[ -]", unicodedata.name(letter, "UNKNOWN"))[0]


def _is_reserved(name: str) -> bool:
    words, parts = _reserved_shapes()
    bare, *forms = _shapes([_SIGNS.sub("", name), name, _NO_LETTERS.sub("", name), *_NO_LETTERS.split(name)])
    return bool(words.intersection([bare, *forms])) or any(part in bare for part in parts)


@lru_cache(maxsize=1)
def _reserved_shapes() -> tuple[frozenset[str], tuple[str, ...]]:
    return frozenset(_shapes(RESERVED)), tuple(_shapes(RESERVED_PARTS))


def _is_taken(name: str, user: User | None) -> bool:
    """By anybody; an operator's name also with other signs and digits in it."""
    others = User.objects.exclude(pk=(user and user.pk) or 0).alias(shape=NameShape("username"))
    mine = {shape for shape in _shapes(_bare(name)) if shape}
    staff = others.filter(Q(is_staff=True) | Q(is_superuser=True)).values_list("username", flat=True)
    theirs = _shapes(form for each in staff for form in _bare(each))
    return not mine.isdisjoint(theirs) or others.filter(shape=_shapes([name])[0]).exists()


def _bare(name: str) -> list[str]:
    return [_SIGNS.sub("", name), _NO_LETTERS.sub("", name)]


def _shapes(names: Iterable[str]) -> list[str]:
    with connection.cursor() as cursor:
        found = "SELECT accounts_name_shape(name) FROM unnest(%s::text[]) WITH ORDINALITY AS n (name, at) ORDER BY at"
        cursor.execute(found, [list(names)])
        return [row[0] for row in cursor.fetchall()]
