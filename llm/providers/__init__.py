"""The model providers, one file each. A new one is one file and one line here.

A provider speaks its own protocol outwards and OpenAI's shapes inwards, and knows nothing else: no models, no requests,
no rows. base.py is the contract.
"""

from collections.abc import Mapping
from typing import Final

from .ark import Ark
from .base import Account, Provider
from .claude import Claude
from .openai import OpenAI

PROVIDERS: Final[Mapping[str, type[Provider]]] = {"ark": Ark, "openai": OpenAI, "claude": Claude}


def open_provider(account: Account) -> Provider:
    """The provider of an account, with a pool of its own; opens no connection yet. Must be closed."""
    return PROVIDERS[account.provider](account)
