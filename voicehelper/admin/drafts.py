"""Secrets typed into a form that was refused: kept for the next try, so that only what was wrong is typed again.

They stay on the server, encrypted, in the operator's session, for ten minutes and this one form; looking at the page
anew forgets them. None is ever sent back.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict

from voicehelper import clock
from voicehelper.secrets import SecretInput, SecretUnreadable, decrypt, encrypt

KEEP_FOR = timedelta(minutes=10)


def key_of(model: Any, row: Any) -> str:
    """The name of a form's drafts."""
    return f"draft-{model._meta.label_lower}-{row.pk if row is not None else 'new'}"


def with_drafts(request: HttpRequest, key: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was posted, with the secrets that were typed before where nothing was typed now."""
    drafts = _read(request, key)
    if not drafts or not isinstance(data, QueryDict):
        return data
    filled = data.copy()
    for name, text in drafts.items():
        if not data.get(name) and not data.get(f"{name}_clear"):
            filled[name] = text
    return filled


def keep(request: HttpRequest, key: str, form: forms.BaseForm) -> None:
    """Keep what was typed right into a form that was refused, and let its inputs say so."""
    typed = {
        name: form.data[name].strip() for name in _secrets(form) if name not in form.errors and form.data.get(name)
    }
    for name in typed:
        form.fields[name].widget.kept = True
    sealed = {name: encrypt(text) for name, text in typed.items()}
    request.session[key] = {"until": (clock.now() + KEEP_FOR).isoformat(), "sealed": sealed}


def forget(request: HttpRequest, key: str) -> None:
    request.session.pop(key, None)


def _secrets(form: forms.BaseForm) -> Iterator[str]:
    return (name for name, field in form.fields.items() if isinstance(field.widget, SecretInput))


def _read(request: HttpRequest, key: str) -> dict[str, str]:
    kept = request.session.get(key)
    if not kept or datetime.fromisoformat(kept["until"]) <= clock.now():
        return {}
    try:
        return {name: decrypt(sealed) for name, sealed in kept["sealed"].items()}
    except SecretUnreadable:
        return {}
