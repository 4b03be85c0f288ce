"""What a key may be used for: how much, until when, for which models, from where."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicehelper.wallet.models import Budget

from .models import ApiKey

_OF_BUDGET = ("quota", "period", "rpm", "tpm")


@dataclass(frozen=True)
class KeyLimits:
    """None, and an empty list, is no limit. Models are names or wildcards, addresses are networks."""

    quota: int | None = None
    period: str = Budget.Period.TOTAL
    rpm: int | None = None
    tpm: int | None = None
    expires_at: datetime | None = None
    models: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def of_budget(self) -> dict[str, Any]:
        """The columns of its budget."""
        return {name: getattr(self, name) for name in _OF_BUDGET}

    @property
    def of_key(self) -> dict[str, Any]:
        """The columns of the key itself."""
        names, addresses = list(self.models), list(self.addresses)
        return {"expires_at": self.expires_at, "model_names": names, "addresses": addresses}


UNLIMITED = KeyLimits()
MOST_MODELS = MOST_ADDRESSES = 100


def model_pattern(text: str) -> str:
    """A model's name, or a wildcard like claude-*. Raises ValueError."""
    text = text.strip()
    if not 0 < len(text) <= 128 or not text.isprintable() or " " in text or text.count("*") > 4:
        raise ValueError("Not a model's name.")
    return text


def limits_of(key: ApiKey) -> KeyLimits:
    budget = key.budget or Budget()
    of_budget = {name: getattr(budget, name) for name in _OF_BUDGET}
    models, addresses = tuple(key.model_names), tuple(key.addresses)
    return KeyLimits(**of_budget, expires_at=key.expires_at, models=models, addresses=addresses)
