"""Routes of the API document that Django does not have: apps register them in `ready()`, drf-spectacular asks."""

from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]

_added: list[Callable[[], Mapping[str, Schema]]] = []


def register(paths: Callable[[], Mapping[str, Schema]]) -> None:
    """Have paths (OpenAPI's path items) stand in the document from now on."""
    _added.append(paths)


def with_registered(result: Schema, **_more: Any) -> Schema:
    """A post-processing hook of drf-spectacular."""
    for paths in _added:
        result["paths"].update(paths())
    return result
