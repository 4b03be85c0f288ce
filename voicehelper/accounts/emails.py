"""The address of a user: entered with the password, theirs once a link that was mailed there is opened.

A confirmed address belongs to one user. Whoever enters an address learns nothing about it from us: only who reads its
mail does.
"""

import re
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper.api import ratelimit

from . import letters
from .models import User

CONFIRM_WITHIN = timedelta(days=1)
# Mails to one address, whoever asks for them; and of one user.
PER_RECIPIENT = "3 per hour"
PER_USER = "10 per day"
_SALT = "voicehelper.accounts.email"
# What a header of a mail could be read to mean more than: quotes, encoded words.
_ODD = re.compile(r'["\s]|=\?')


class LinkDead(Exception):
    """The link is older than a day, was used, belongs to another address by now, or was never ours."""


class AddressTaken(Exception):
    """Another user confirmed the address first."""


def clean_address(text: str) -> str:
    """The address as it is kept: the domain in small letters that every mail server understands. Raises
    ValidationError."""
    text = text.strip()
    validate_email(text)
    if _ODD.search(text) or len(text) > 254:
        raise ValidationError(_("Enter a valid email address."))
    name, _at, domain = text.rpartition("@")
    try:
        return f"{name}@{domain.lower().encode('idna').decode()}"
    except UnicodeError:
        raise ValidationError(_("Enter a valid email address.")) from None


def owner_of(address: str) -> User | None:
    """The active user who confirmed this address."""
    return User.objects.filter(email__iexact=address, email_verified_at__isnull=False, is_active=True).first()


def enter(user: User, address: str) -> None:
    """Mail a link that makes `address` the user's; until it is opened the old one counts. Raises ratelimit.TooMany."""
    ratelimit.brake((PER_USER, "email-of", str(user.pk)))
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(new_email=address)
        if ratelimit.hit(PER_RECIPIENT, "email-to", address.casefold()):
            return
        owner = owner_of(address)
        if owner is not None and owner.pk != user.pk:
            letters.already_used(owner)
            return
        token = signing.dumps([user.pk, address, _proof(user)], salt=_SALT)
        link = settings.SERVER_ADDRESS + reverse("accounts:confirm_email", args=[token])
        letters.confirm(address, link, CONFIRM_WITHIN)


def remove(user: User) -> None:
    """The user has no address from now on."""
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        _say_goodbye(row)
        User.objects.filter(pk=user.pk).update(email="", email_verified_at=None, new_email="")


def promised(token: str) -> tuple[User, str]:
    """The user and the address a link speaks of. Raises LinkDead."""
    try:
        pk, address, proof = signing.loads(token, salt=_SALT, max_age=CONFIRM_WITHIN)
    except (signing.BadSignature, ValueError):
        raise LinkDead from None
    user = User.objects.filter(pk=pk, is_active=True, new_email=address).first()
    if user is None or proof != _proof(user):
        raise LinkDead
    return user, address


def confirm(token: str) -> User:
    """Make the address of a link the user's. Raises LinkDead, AddressTaken."""
    user, address = promised(token)
    try:
        with transaction.atomic():
            row = User.objects.select_for_update().get(pk=user.pk)
            if row.email.casefold() != address.casefold():
                _say_goodbye(row)
            facts = {"email": address, "email_verified_at": Now(), "new_email": ""}
            if not User.objects.filter(pk=row.pk, new_email=address).update(**facts):
                raise LinkDead
    except IntegrityError:
        raise AddressTaken from None
    return user


def _proof(user: User) -> str:
    """Ends the links of a user whose password changes."""
    return user.get_session_auth_hash()[:16]


def _say_goodbye(user: User) -> None:
    if user.email and user.email_verified_at:
        letters.moved(user, user.email)
