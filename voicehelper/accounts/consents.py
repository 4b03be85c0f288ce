"""What users agree to: which version is in force, who has agreed to it, and who has to be asked.

Without any text in force nobody is asked for anything.
"""

from collections.abc import Mapping

from django.db.models import Max
from django.db.models.functions import Now
from django.utils import translation

from .models import Consent, LegalText, User


class TextsChanged(Exception):
    """What somebody agreed to is not what is in force, or not all of it."""


def in_force() -> dict[str, int]:
    """The version of each kind of text that has to be agreed to now."""
    asked = LegalText.objects.filter(valid_from__lte=Now(), asks_again=True)
    found = asked.values_list("kind").annotate(version=Max("version")).order_by("kind")
    return dict(found)


def mark_of(versions: Mapping[str, int]) -> str:
    """Versions in one text: "agreement:2 privacy:1"."""
    return " ".join(f"{kind}:{version}" for kind, version in sorted(versions.items()))


def missing_of(user: User, versions: Mapping[str, int]) -> dict[str, int]:
    """Which of these versions, or a later one, the user has not agreed to."""
    if not versions:
        return {}
    agreed = dict(Consent.objects.filter(user=user).values_list("kind").annotate(version=Max("version")))
    return {kind: version for kind, version in versions.items() if agreed.get(kind, 0) < version}


def agree(user: User, versions: Mapping[str, int], address: str | None) -> None:
    """Write down that the user agrees to these; a second time changes nothing. Raises TextsChanged unless each is in
    force, or will be."""
    now = in_force()
    for kind, version in versions.items():
        if version < now.get(kind, 0) or not LegalText.objects.filter(kind=kind, version=version).exists():
            raise TextsChanged
    rows = [Consent(user=user, kind=kind, version=version, address=address) for kind, version in versions.items()]
    Consent.objects.bulk_create(rows, ignore_conflicts=True)


def text_of(kind: str, version: int | None = None) -> LegalText | None:
    """A version, by itself the newest that is in force; in the reader's language, or in another there is."""
    texts = LegalText.objects.filter(kind=kind, valid_from__lte=Now()).order_by("-version", "pk")
    if version is not None:
        texts = texts.filter(version=version)
    newest = texts.first()
    if newest is None:
        return None
    mine = texts.filter(version=newest.version, language=translation.get_language()).first()
    return mine or newest


def kinds_in_force() -> list[str]:
    """Of which kinds there is a text to be read."""
    found = LegalText.objects.filter(valid_from__lte=Now()).values_list("kind", flat=True).distinct()
    return [str(kind) for kind in LegalText.Kind if kind in set(found)]
