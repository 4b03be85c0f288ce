"""Encrypting every stored secret anew with the newest key, in slices: a run that is killed goes on where it was.

Each row is written under its lock, from what it says then; what the old key wrote is readable until the row is written,
and what the new one wrote afterwards, for whoever knows both. So both keys must be known to every process before it
begins: a process whose newest key is another one works on nothing.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext as _

from voicehelper.accounts.operator_models import SecretRotation

from .secrets import encrypted_tables, key_id, save_anew, which_key

# Whoever works on it says so at least this often; after a silence of LEASE somebody else goes on.
BEAT_S = 3.0
LEASE = timedelta(seconds=30)
SLICE_S = 20.0
# So many secrets of a column are looked at, to say which key encrypts how many.
MOST_LOOKED_AT = 20_000


class NotRotated(Exception):
    """It cannot begin now; the text says why, in the reader's language."""


@dataclass(frozen=True)
class KeyUse:
    """A key of the environment by its id, newest first, and how many secrets it encrypts; id "" is no key of ours.
    `may_go`: nothing needs it any more."""

    key: str
    newest: bool
    count: int

    @property
    def may_go(self) -> bool:
        return bool(self.key) and not self.newest and self.count == 0


def newest() -> str:
    return key_id(settings.SECRET_KEYS[0])


def key_uses() -> tuple[list[KeyUse], bool]:
    """Of each key how many secrets it encrypts; and whether all were looked at, or only the newest of a long table."""
    counts: Counter[str] = Counter()
    whole = True
    for model, names in encrypted_tables():
        for name in names:
            tokens = _tokens(model, name)
            counts.update(map(which_key, tokens))
            whole &= len(tokens) < MOST_LOOKED_AT
    keys = [key_id(key) for key in settings.SECRET_KEYS]
    uses = [KeyUse(key, key == keys[0], counts[key]) for key in keys]
    return uses + ([KeyUse("", newest=False, count=counts[""])] if counts[""] else []), whole


def _tokens(model: type[models.Model], name: str) -> list[str]:
    """The ciphertexts of a column, those of the newest rows."""
    rows = model._default_manager.annotate(token_text=Cast(name, TextField())).exclude(token_text="")
    return list(rows.order_by("-pk").values_list("token_text", flat=True)[:MOST_LOOKED_AT])


def latest() -> SecretRotation | None:
    return SecretRotation.objects.order_by("-pk").first()


def is_worked_on(rotation: SecretRotation, now: Any) -> bool:
    return rotation.beat is not None and rotation.beat > now - LEASE


def begin(by: str) -> SecretRotation:
    """Note that it is to be done; `work` does it. Raises NotRotated: it is under way already."""
    total = sum(model._default_manager.count() for model, _names in encrypted_tables())
    try:
        with transaction.atomic():
            # What began with a key that is not the newest any more is overtaken by this.
            SecretRotation.objects.filter(finished=None).exclude(key=newest()).update(finished=Now())
            return SecretRotation.objects.create(by=by, key=newest(), total=total)
    except IntegrityError as error:
        raise NotRotated(_("It is under way already.")) from error


def work(seconds: float = SLICE_S) -> SecretRotation | None:
    """Go on with what was begun, for so long at the most. None: nothing is to be done by this process now."""
    rotation = _claim()
    if rotation is None:
        return None
    ends = time.monotonic() + seconds
    for model, names in encrypted_tables():
        if model._meta.label < rotation.model:
            continue
        for key in _keys_after(model, rotation):
            if time.monotonic() > ends:
                _note(rotation, beat=None)
                return rotation
            _rewrite(rotation, model, key, names)
    _note(rotation, beat=None, finished=Now())
    rotation.refresh_from_db()
    return rotation


def _claim() -> SecretRotation | None:
    """The one that is open, taken; None when somebody works on it, or this process's newest key is another."""
    free = Q(beat=None) | Q(beat__lte=Now() - LEASE)
    for rotation in SecretRotation.objects.filter(free, finished=None, key=newest()):
        if SecretRotation.objects.filter(free, pk=rotation.pk, finished=None).update(beat=Now()):
            rotation.refresh_from_db()
            rotation.noted_at = time.monotonic()
            return rotation
    return None


def _keys_after(model: type[models.Model], rotation: SecretRotation) -> Iterator[Any]:
    rows = model._default_manager.order_by("pk")
    if rotation.model == model._meta.label and rotation.after:
        rows = rows.filter(pk__gt=model._meta.pk.to_python(rotation.after))
    return rows.values_list("pk", flat=True).iterator(chunk_size=1000)


def _rewrite(rotation: SecretRotation, model: type[models.Model], key: Any, names: list[str]) -> None:
    for name, secret in save_anew(model, key, names).items():
        if not secret.readable:
            rotation.unreadable.append(f"{model._meta.label} {key}, {name}")
    rotation.model, rotation.after, rotation.done = model._meta.label, str(key), rotation.done + 1
    if time.monotonic() - rotation.noted_at > BEAT_S:
        _note(rotation, beat=Now())


def _note(rotation: SecretRotation, **facts: Any) -> None:
    """How far it is. After a kill, what is not noted is done once more, which harms nothing."""
    rotation.noted_at = time.monotonic()
    place = {"model": rotation.model, "after": rotation.after, "done": rotation.done}
    SecretRotation.objects.filter(pk=rotation.pk).update(**place, unreadable=rotation.unreadable, **facts)
