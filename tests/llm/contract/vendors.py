"""The vendors' own clients, loaded when first used: that takes seconds, and one worker of the test run needs them."""

import importlib
from typing import Any


class _Later:
    """A module that is imported when something public of it is asked for: pytest looks for private names in all it
    finds in a file of tests. So name its errors inside a test, or in quotes; a parametrization is read by each worker."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


anthropic: Any = _Later("anthropic")
openai: Any = _Later("openai")
