"""Signed test data, see README.md here."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    """One file of vectors, without its `.json`."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def key(name: str) -> str:
    """The text of one of the Alipay keys."""
    return (HERE / "alipay_keys" / name).read_text()
