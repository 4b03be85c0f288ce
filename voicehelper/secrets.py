"""Secrets at rest: an encrypted model field on MultiFernet, and a form field that never shows what is stored.

The keys are settings.SECRET_KEYS (VOICEHELPER_SECRET_KEYS), newest first, and apart from Django's SECRET_KEY, so that
either can change alone. A value that no key opens raises `SecretUnreadable`; it is never handed on as ciphertext.
"""

import base64
import hashlib
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate
from django import forms
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models, transaction
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from .typed import as_seen


class SecretUnreadable(Exception):
    """No key of VOICEHELPER_SECRET_KEYS opens a stored secret: a key is missing, or the row is damaged."""


class Secret:
    """A secret in memory. Printing, formatting or logging it shows dots; only `reveal()` gives the text."""

    __slots__ = ("_text", "_unreadable")

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._unreadable = ""

    @classmethod
    def stored(cls, token: str) -> "Secret":
        """What a column holds. One that no key opens can be shown, replaced and saved back, but not revealed."""
        secret = cls()
        try:
            secret._text = decrypt(token)
        except SecretUnreadable:
            secret._unreadable = token
        return secret

    def reveal(self) -> str:
        """The text. Raises SecretUnreadable."""
        return decrypt(self._unreadable) if self._unreadable else self._text

    def sealed(self) -> str:
        """What a column holds for it: fresh ciphertext, or what was there already when no key opens that."""
        return self._unreadable or encrypt(self._text)

    @property
    def readable(self) -> bool:
        return not self._unreadable

    @property
    def last4(self) -> str:
        """The last four characters, of the fingerprint if it has one; nothing when they would be a large part of the
        secret."""
        if self.fingerprint:
            return self.fingerprint[-4:]
        compact = "".join(line for line in self._text.splitlines() if not line.startswith("-----")).strip()
        return compact[-4:] if len(compact) >= 16 else ""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of a public key or a certificate, by which people compare them; empty for what is secret."""
        return _fingerprint(self._text)

    def __bool__(self) -> bool:
        return bool(self._text or self._unreadable)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (other._text, other._unreadable) == (self._text, self._unreadable)

    def __hash__(self) -> int:
        return hash((self._text, self._unreadable))

    def __repr__(self) -> str:
        return "Secret(••••)" if self else "Secret()"

    def __str__(self) -> str:
        return "••••" if self else ""

    def __reduce__(self) -> Any:
        raise TypeError("A secret does not go into a queue, a cache or a pickle.")

    def __deepcopy__(self, memo: Any) -> "Secret":
        return self


# Characters of base64: no elliptic key of these is shorter, and no API key so long.
_LEAST_SPKI = 120


@lru_cache(maxsize=32)
def _fingerprint(text: str) -> str:
    """Of the first certificate, or the public key, in PEM or bare base64. The last characters of one say nothing: keys
    of one kind end alike."""
    try:
        if "-----BEGIN CERTIFICATE-----" in text:
            return load_pem_x509_certificate(text.encode()).fingerprint(SHA256()).hex()
        pem = "PUBLIC KEY-----" in text
        if not pem and len(text) < _LEAST_SPKI:
            return ""
        key = load_pem_public_key(text.encode()) if pem else load_der_public_key(base64.b64decode(text, validate=True))
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return hashlib.sha256(spki).hexdigest()


@lru_cache(maxsize=16)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Ciphertext under the newest key; empty stays empty."""
    return _cipher(tuple(settings.SECRET_KEYS)).encrypt(text.encode()).decode() if text else ""


def decrypt(token: str) -> str:
    """The text of a ciphertext made by `encrypt`; raises SecretUnreadable."""
    if not token:
        return ""
    try:
        return _cipher(tuple(settings.SECRET_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable(
            "A stored secret cannot be read with VOICEHELPER_SECRET_KEYS. Put the old key back behind the new one,"
            " or enter the secret again."
        ) from error


class EncryptedField(models.TextField):  # type: ignore[type-arg]  # generic only in the stubs
    """A column that holds ciphertext and reads as a `Secret`. It cannot be filtered on: the same text encrypts anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", Secret)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Secret:
        return Secret.stored(value or "")

    def to_python(self, value: object) -> Secret:
        return value if isinstance(value, Secret) else Secret(str(value or ""))

    def get_prep_value(self, value: object) -> str:
        return self.to_python(value).sealed()

    def value_to_string(self, obj: models.Model) -> str:
        """What serializers and dumps show: never the secret."""
        return str(self.value_from_object(obj))

    def get_lookup(self, lookup_name: str) -> Any:
        raise FieldError("An encrypted field cannot be searched.")

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{**kwargs, "form_class": SecretFormField})


def key_id(key: str) -> str:
    """What a key is called: the beginning of its SHA-256. It says nothing of the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def which_key(token: str) -> str:
    """The key of a ciphertext by its `key_id`; empty when none of ours opens it."""
    for key in settings.SECRET_KEYS:
        try:
            _cipher((key,)).decrypt(token.encode())
        except InvalidToken:
            continue
        return key_id(key)
    return ""


def encrypted_tables() -> list[tuple[type[models.Model], list[str]]]:
    """Every table with encrypted columns, and which; in the order of their labels."""
    found = [
        (model, [field.name for field in model._meta.concrete_fields if isinstance(field, EncryptedField)])
        for model in apps.get_models()
    ]
    return sorted(((model, names) for model, names in found if names), key=lambda each: each[0]._meta.label)


_SAMPLE = 20


def sample() -> tuple[int, int]:
    """How many of the newest stored secrets the keys open, and how many not."""
    found = [0, 0]
    for model, names in encrypted_tables():
        for row in model._default_manager.order_by("-pk").values_list(*names)[:_SAMPLE]:
            for secret in filter(None, row):
                found[not secret.readable] += 1
    return found[0], found[1]


def save_anew(model: type[models.Model], key: Any, names: list[str]) -> dict[str, Secret]:
    """The secrets of a row, locked meanwhile: what an operator saves must not be overwritten with what was there."""
    rows = model._default_manager.filter(pk=key)
    with transaction.atomic():
        stored = rows.select_for_update().values(*names).first() or {}
        secrets = {name: secret for name, secret in stored.items() if secret}
        if secrets:
            rows.update(**secrets)
    return secrets


class SecretInput(forms.Textarea):
    """A write-only input with a switch that clears the stored value. What is stored is never rendered.

    `multiline` is for PEM files and other long keys; they are typed behind dots too.
    """

    template_name = "widgets/secret.html"

    def __init__(self, attrs: dict[str, Any] | None = None, *, multiline: bool = False) -> None:
        super().__init__({"autocomplete": "new-password", "spellcheck": "false", **(attrs or {})})
        self.multiline = multiline
        self.stored = Secret()
        # Typed a moment ago into this form, and not to be typed again (admin/drafts.py).
        self.kept = False

    def get_context(self, name: str, value: object, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        context["widget"] |= {"stored": bool(self.stored), "last4": self.stored.last4, "multiline": self.multiline}
        context["widget"] |= {"fingerprint": self.stored.fingerprint, "kept": self.kept}
        return context

    def _render(self, template_name: str, context: dict[str, Any], renderer: object = None) -> SafeString:
        # Through the project's templates: the form renderer looks into those of apps only.
        return mark_safe(render_to_string(template_name, context))  # noqa: S308  # rendered with autoescape

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str | None:
        """The text typed, None to clear; "" keeps what is stored."""
        return None if data.get(f"{name}_clear") else as_seen(str(data.get(name) or ""))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in data and f"{name}_clear" not in data


class SecretFormField(forms.Field):
    """Blank keeps the stored secret, the switch clears it, anything else replaces it. Cleans to a `Secret`."""

    widget = SecretInput

    def __init__(self, *, initial: Any = None, **kwargs: Any) -> None:
        for unused in ("max_length", "empty_value", "strip"):
            kwargs.pop(unused, None)
        # A model field with a callable default would have its value repeated in a hidden input.
        super().__init__(**{**kwargs, "required": False, "initial": None, "show_hidden_initial": False})

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        instance = getattr(form, "instance", None)
        if isinstance(self.widget, SecretInput) and instance is not None:
            self.widget.stored = getattr(instance, field_name)
        return super().get_bound_field(form, field_name)

    @property
    def _stored(self) -> Secret:
        stored = getattr(self.widget, "stored", None)
        return stored if isinstance(stored, Secret) else Secret()

    def has_changed(self, initial: object, data: object) -> bool:
        """Also true when the same secret is typed again: nobody should learn by trying that it is the same."""
        return bool(self._stored) if data is None else data != ""

    def clean(self, value: object) -> Secret:
        if value is None:
            return Secret()
        return Secret(str(value)) if value else self._stored
