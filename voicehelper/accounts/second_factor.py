"""The second factor: six digits of an authenticator app (RFC 6238), or one of ten codes on paper when it is gone.

A session says how far it came: DUE after the password of somebody who has a factor, DONE after the code. Until then the
gate in middleware.py lets it nowhere. Passwords that come with an API login bring their code along.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of
from voicehelper.secrets import Secret, SecretUnreadable

from . import letters
from .models import Passkey, RecoveryCode, SecondFactor, User

KEY, DUE, DONE = "second_factor", "due", "done"
PER_USER = "5 per 10 minutes"
PER_ADDRESS = "50 per 10 minutes"
CODES, _CODE_BYTES = 10, 15
_ISSUER = "VoiceHelper"
_DIGITS, _STEP_S, _DRIFT = 6, 30, 1


class WrongCode(Exception):
    """Neither the app's digits of now, nor an unused code; with `wait_s` it was not looked at. `missing`: none came."""

    def __init__(self, *, wait_s: int = 0, missing: bool = False) -> None:
        super().__init__()
        self.wait_s = wait_s
        self.missing = missing

    @property
    def words(self) -> str:
        if self.wait_s:
            return ratelimit.TooMany(self.wait_s).words
        return _("Enter the code of your app.") if self.missing else _("This code is not right, or was used already.")


class SetUpFirst(Exception):
    """An operator who has no second factor where it is obligatory."""


def is_required(user: User) -> bool:
    """Whether this user may not do without."""
    return bool(settings.STAFF_SECOND_FACTOR and (user.is_staff or user.is_superuser))


def is_on(user: User) -> bool:
    return factor_of(user) is not None


def suffices(user: User) -> bool:
    """Whether the user has what is_required asks for: an app, or a passkey, which is a second step after the password
    and on its own both steps at once."""
    return is_on(user) or Passkey.objects.filter(user=user).exists()


def factor_of(user: User) -> SecondFactor | None:
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def mark(request: HttpRequest | None, user: User, **_signal: Any) -> None:
    """Somebody gave the right password in a browser: is a code due?"""
    if request is not None and (is_on(user) or (is_required(user) and suffices(user))):
        request.session[KEY] = DUE


def begin(user: User) -> SecondFactor:
    """A factor that counts once a code of it was entered. Whoever has one keeps it: raises ValueError."""
    with transaction.atomic():
        SecondFactor.objects.filter(user=user, confirmed_at=None).delete()
        if is_on(user):
            raise ValueError("There is a second factor already.")
        facts: dict[str, Any] = {"secret": Secret(base64.b32encode(secrets.token_bytes(20)).decode())}
        return SecondFactor.objects.create(user=user, **facts)


def address_of(factor: SecondFactor) -> str:
    """What the picture for the app says."""
    return _totp(factor).get_provisioning_uri(factor.user.username, _ISSUER)


def confirm(request: HttpRequest, factor: SecondFactor, code: str) -> list[str]:
    """Switch it on; returns the codes for paper, which exist nowhere else. Raises WrongCode."""
    with _braked(request, factor.user) as guess:
        if not _is_of_app(factor, code):
            guess.wrong = True
            raise WrongCode
    with transaction.atomic():
        SecondFactor.objects.filter(pk=factor.pk).update(confirmed_at=Now())
        letters.sign_in_changed(factor.user, letters.FACTOR_ON)
        return _codes_of(factor)


def new_codes(factor: SecondFactor) -> list[str]:
    """Ten codes for paper; those before are good no more."""
    with transaction.atomic():
        letters.sign_in_changed(factor.user, letters.CODES_NEW)
        return _codes_of(factor)


def _codes_of(factor: SecondFactor) -> list[str]:
    codes = [base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode() for _number in range(CODES)]
    with transaction.atomic():
        factor.codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def check(request: HttpRequest, user: User, code: str) -> None:
    """Use up a code of the user's. Raises WrongCode; each is counted before it is looked at."""
    factor = factor_of(user)
    if not code.strip() or factor is None:
        raise WrongCode(missing=True)
    with _braked(request, user) as guess:
        if not (_is_of_app(factor, code) or _is_of_paper(factor, code)):
            guess.wrong = True
            raise WrongCode


def check_token_sign_in(request: HttpRequest, user: User, code: str) -> None:
    """The code of a program that signs in, if its user has a factor. Raises WrongCode, SetUpFirst."""
    if is_on(user):
        check(request, user, code)
    elif is_required(user):
        raise SetUpFirst


def remove(user: User) -> bool:
    """The user's app and paper are good no more. False: there was none."""
    with transaction.atomic():
        was_on = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=False).exists()
        if was_on:
            letters.sign_in_changed(user, letters.FACTOR_OFF)
        return SecondFactor.objects.filter(user=user).delete()[0] > 0


@contextmanager
def _braked(request: HttpRequest, user: User) -> Iterator[ratelimit.Guess]:
    """ratelimit.guess, whose refusal is ours."""
    network = network_of(client_address(request))
    try:
        with ratelimit.guess((PER_ADDRESS, "code-address", network), (PER_USER, "code", str(user.pk))) as guess:
            yield guess
    except ratelimit.TooMany as error:
        raise WrongCode(wait_s=error.wait_s) from None


def _totp(factor: SecondFactor) -> TOTP:
    return TOTP(base64.b32decode(factor.secret.reveal()), _DIGITS, SHA1(), _STEP_S)  # noqa: S303  # what apps know


@transaction.atomic
def _is_of_app(factor: SecondFactor, code: str) -> bool:
    """Whether it is the app's, of now or half a minute beside it. Each is good once, and none before a used one."""
    row = SecondFactor.objects.select_for_update().get(pk=factor.pk)
    typed = "".join(code.split())
    try:
        totp = _totp(row)
    except SecretUnreadable:
        return False
    now = int(clock.now().timestamp()) // _STEP_S
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if step > row.last_step and hmac.compare_digest(totp.generate(step * _STEP_S), typed.encode()):
            SecondFactor.objects.filter(pk=row.pk).update(last_step=step)
            return True
    return False


def _is_of_paper(factor: SecondFactor, code: str) -> bool:
    unused = RecoveryCode.objects.filter(factor=factor, digest=_digest(code), used_at=None)
    return unused.update(used_at=Now()) == 1


def _digest(code: str) -> str:
    """120 random bits need no salt and no slow hash. Codes of 0.1 have 80, and are good until new ones are made."""
    return hashlib.sha256("".join(code.upper().replace("-", "").split()).encode()).hexdigest()
