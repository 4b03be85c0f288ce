"""A new password by mail, for users whose address is confirmed; and for the others once an operator sends the link."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from voicehelper.api import ratelimit

from . import letters
from .emails import owner_of
from .models import User
from .services import revoke_tokens

PER_USER = "3 per hour"


def ask(asked: str) -> None:
    """Mail a link to whoever this name or address belongs to, and can be reached. Nobody is told whether it did."""
    asked = asked.strip()
    named = User.objects.filter(username=asked, is_active=True, email_verified_at__isnull=False).first()
    for user in {named, owner_of(asked)} - {None}:
        # Without a word: who is told that they asked too often is told that there is an account.
        if user is not None and not ratelimit.hit(PER_USER, "reset", str(user.pk)):
            send_link(user)


def send_link(user: User) -> None:
    """Mail a link to the user's address, confirmed or not: that is for the caller to judge."""
    uid, token = urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)
    link = settings.SERVER_ADDRESS + reverse("accounts:reset", args=[uid, token])
    letters.reset(user, link, timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT))


def password_was_set(user: User) -> None:
    """By a link of ours: its address is confirmed with that, and everything that was signed in is not any more."""
    revoke_tokens(user)
    mine = User.objects.filter(pk=user.pk, email=user.email, email_verified_at=None)
    try:
        with transaction.atomic():
            mine.exclude(email="").update(email_verified_at=Now())
    except IntegrityError:
        pass  # Another user confirmed it: this one got the link from an operator.
    letters.password_was_set(user)
