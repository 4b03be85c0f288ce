"""Signing up; issuing and ending access tokens and API keys."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import translation
from django.utils.crypto import constant_time_compare

from voicehelper import clock, rows
from voicehelper.wallet.models import Budget

from .backends import wait_s_of
from .key_limits import UNLIMITED, KeyLimits, limits_of
from .models import AccessToken, ApiKey, User, WeChatIdentity

TOKEN_LIFE = timedelta(days=30)
NOTE_USE_EVERY = timedelta(minutes=5)
_WHOSE = """
    JOIN accounts_accesstoken t ON t.user_id = accounts_user.id
    WHERE t.digest = %s AND t.revoked_at IS NULL AND t.expires_at > now() AND accounts_user.is_active
"""
KEYS_PER_USER = 50


class WrongPassword(Exception):
    """No such user, a wrong password, or an inactive account: deliberately not said which. With `wait_s` it was not
    looked at, after too many wrong ones (see backends.py)."""

    def __init__(self, wait_s: int) -> None:
        super().__init__()
        self.wait_s = wait_s


class TooManyKeys(Exception):
    """The user has as many valid API keys as one may have."""


def sign_in(request: HttpRequest, username: str, password: str) -> User:
    """Check the password (rate limited, see backends.py). Raises WrongPassword."""
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise WrongPassword(wait_s_of(request))
    return user


def user_of(request: HttpRequest) -> User:
    """Who is signed in, where somebody is."""
    return cast(User, request.user)


def remember_language(user: User, **_signal: Any) -> None:
    """What somebody signs in with is what their mails are written in."""
    language = translation.get_language()
    if user.language != language:
        User.objects.filter(pk=user.pk).update(language=language)


def issue_token(user: User) -> str:
    """A new bearer token; its text exists only in the return value."""
    text = AccessToken.new_text()
    AccessToken.objects.create(
        user=user,
        digest=AccessToken.digest_of(text),
        session_hash=user.get_session_auth_hash(),
        expires_at=clock.now() + TOKEN_LIFE,
    )
    return text


def user_of_token(text: str) -> User | None:
    """The active user a token belongs to, while it is neither expired, revoked, nor older than the password."""
    found: Any = rows.first(User, _WHOSE, [AccessToken.digest_of(text)], "t.id, t.session_hash, t.last_used_at, now()")
    if found is None:
        return None
    user, token, session_hash, last_used_at, now = found
    if not constant_time_compare(session_hash, user.get_session_auth_hash()):
        return None
    if last_used_at is None or last_used_at < now - NOTE_USE_EVERY:
        AccessToken.objects.filter(pk=token).update(last_used_at=now)
    return cast(User, user)


def revoke_tokens(user: User) -> int:
    """End every token of a user; returns how many were alive."""
    return AccessToken.objects.filter(user=user, revoked_at=None).update(revoked_at=Now())


def set_active(user: User, active: bool) -> bool:
    """Let a user in, or nowhere: no session, token or key of theirs counts meanwhile. False: so it was."""
    return User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active) == 1


def create_api_key(user: User, name: str, limits: KeyLimits = UNLIMITED) -> tuple[ApiKey, str]:
    """A new key for /v1 and its text, which exists only in the return value. Raises TooManyKeys, ValueError."""
    name = _key_name(name)
    if api_keys_of(user).count() >= KEYS_PER_USER:
        raise TooManyKeys
    text = ApiKey.new_text()
    with transaction.atomic():
        budget = Budget.objects.create(**limits.of_budget)
        key = ApiKey.objects.create(
            user=user,
            name=name,
            digest=ApiKey.digest_of(text),
            prefix=text[:7],
            last4=text[-4:],
            budget=budget,
            **limits.of_key,
        )
    return key, text


def change_api_key(user: User, key_id: int, changes: Mapping[str, Any]) -> ApiKey | None:
    """Change the name, or fields of KeyLimits, of one of the user's valid keys, for the next call everywhere. Another
    period counts anew from now. None: there is no such key. Raises ValueError."""
    with transaction.atomic():
        key = api_keys_of(user).select_for_update(of=("self",)).filter(pk=key_id).first()
        if key is None:
            return None
        budget = key.budget or Budget.objects.create()
        before = limits_of(key)
        limits = replace(before, **{name: value for name, value in changes.items() if name != "name"})
        name = _key_name(changes.get("name", key.name))
        anew = {} if limits.period == before.period else {"counted_since": Now(), "held": 0, "used": 0}
        Budget.objects.filter(pk=budget.pk).update(**limits.of_budget, **anew)
        ApiKey.objects.filter(pk=key.pk).update(name=name, budget=budget, **limits.of_key)
    return api_keys_of(user).filter(pk=key_id).first()


def _key_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError("A key's name has 1 to 64 characters.")
    return name


def api_keys_of(user: User) -> QuerySet[ApiKey]:
    """The user's valid keys, newest first."""
    return ApiKey.objects.filter(user=user, revoked_at=None).select_related("budget").order_by("-pk")


def revoke_api_key(user: User, key_id: int) -> bool:
    """End one of the user's own keys, at once and everywhere (see keys.py). False: it is not theirs, or was ended."""
    return ApiKey.objects.filter(user=user, pk=key_id, revoked_at=None).update(revoked_at=Now()) == 1


def openid_of(user: User, app_id: str) -> str:
    """The user's openid under an app id, the latest they came with; empty when they never signed in through it."""
    found = WeChatIdentity.objects.filter(user=user, app_id=app_id).order_by("-seen_at", "-id")
    return found.values_list("openid", flat=True).first() or ""
