"""The vendors' own clients, loaded when first used: that takes seconds, and one worker of the test run needs them."""

import importlib
from typing import Any


class _Later:
    """A module that is imported when something public of it is asked for; for private names pytest asks every object of
    a file. Each worker reads a test's parameters: errors are named in quotes there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


anthropic: Any = _Later("anthropic")
openai: Any = _Later("openai")
