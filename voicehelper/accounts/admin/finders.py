"""What the one search box finds of accounts: users, and keys by their digest."""

import re

from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import finding
from voicehelper.admin.columns import moment
from voicehelper.admin.filters import users_like
from voicehelper.admin.finding import Finder

from ..models import AccessToken, ApiKey, User

# As lists show a key: sk-1a2b…9f2c, or only its end.
_SHOWN = re.compile(r"(?:(sk-\w{0,5})\s*)?(?:…|\.{3}|·{2,})\s*(\w{4})")
_KEY, _TOKEN = re.compile(r"sk-\S{12,}"), re.compile(r"vh-\S{12,}")


def _user(term: str) -> Q | None:
    """A name, an address, a number, or a program's token."""
    if _TOKEN.fullmatch(term):
        return Q(access_tokens__digest=AccessToken.digest_of(term))
    which = Q(username=term)
    if "@" in term:
        which |= Q(email__iexact=term) | Q(new_email__iexact=term)
    number = term.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        which |= Q(pk=int(number))
    return which


def _users_like(term: str) -> Q | None:
    return Q(pk__in=users_like(username__startswith=term)) if len(term) > 1 and not _TOKEN.fullmatch(term) else None


def _user_note(user: User) -> str:
    facts = [f"#{user.pk}", user.email, "" if user.is_active else gettext("Deactivated")]
    return " · ".join(filter(None, facts))


def _key(term: str) -> Q | None:
    return Q(digest=ApiKey.digest_of(term)) if _KEY.fullmatch(term) else None


def _keys_like(term: str) -> Q | None:
    found = _SHOWN.fullmatch(term)
    return Q(last4=found[2], prefix__startswith=found[1] or "") if found else None


def _key_note(key: ApiKey) -> str:
    facts = [str(key.user), gettext("Revoked") + f" {moment(key.revoked_at)}" if key.revoked_at else gettext("Valid")]
    return " · ".join(facts)


def join() -> None:
    finding.finds(
        Finder(
            40,
            User,
            _("name, email address or number"),
            "person",
            exactly=_user,
            nearly=_users_like,
            note=_user_note,
            is_secret=lambda term: bool(_TOKEN.fullmatch(term)),
        ),
        Finder(
            60,
            ApiKey,
            _("the whole key (it is not kept), or how it is shown: sk-1a2b…9f2c"),
            "password",
            exactly=_key,
            nearly=_keys_like,
            note=_key_note,
            is_secret=lambda term: bool(_KEY.fullmatch(term)),
        ),
    )
