"""Operators, what they may, and their browsers."""

from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from voicehelper.accounts.models import User

PASSWORD = "a long operator password"


def browser_of(user: User, language: str = "en") -> Client:
    """Somebody's browser, signed in."""
    client = Client(headers={"Accept-Language": language})
    client.force_login(user)
    return client


def clerk(*permissions: str, name: str = "helper") -> User:
    """An operator who has just these permissions."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def errors(response: Any) -> dict[str, list[str]]:
    """What a form of the admin complains about, by field."""
    return {name: list(texts) for name, texts in response.context["adminform"].form.errors.items()}
