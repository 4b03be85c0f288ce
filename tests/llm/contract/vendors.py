"""The vendors' own clients, loaded when first used: that takes seconds, and one worker of the test run needs them."""

import importlib.util
import sys
from types import ModuleType


def _later(name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert spec
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


anthropic = _later("anthropic")
openai = _later("openai")
