"""Routes of the API document that Django does not have: apps register them in `ready()`, drf-spectacular asks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rest_framework.permissions import IsAdminUser

Schema = dict[str, Any]

_added: list[Callable[[], Mapping[str, Schema]]] = []


def register(paths: Callable[[], Mapping[str, Schema]]) -> None:
    """Have paths (OpenAPI's path items) stand in the document from now on."""
    _added.append(paths)


def without_operators(endpoints: Iterable[tuple[Any, ...]], **_more: Any) -> list[tuple[Any, ...]]:
    """A pre-processing hook of drf-spectacular: what only operators may call is in no user's document."""
    return [each for each in endpoints if not _for_operators(each[-1].cls.permission_classes)]


def _for_operators(permissions: Iterable[type]) -> bool:
    return any(issubclass(each, IsAdminUser) for each in permissions)


def with_registered(result: Schema, **_more: Any) -> Schema:
    """A post-processing hook of drf-spectacular."""
    for paths in _added:
        result["paths"].update(paths())
    return result
