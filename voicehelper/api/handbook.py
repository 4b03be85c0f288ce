"""The API's document as a page of ours: what users' programs may call. Its facts come from the OpenAPI schema."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from .document import Schema

# Under which heading a route stands: the first whose pattern its beginning fits. The last one's fits all.
_CHAPTERS: Sequence[tuple[str, Any, str]] = (
    ("models", _("Models, with an API key"), r"/v1/"),
    ("chat", _("Chat"), r"/api/chat/"),
    ("voice", _("Voice and files"), r"/api/(voice/|files)"),
    ("recharge", _("Recharge"), r"/api/user/(topup|amount|\w+/pay$)"),
    ("account", _("Account, keys and usage"), r"/api/user/"),
    ("sign-in", _("Signing in and sharing"), r"/api/"),
)


@dataclass(frozen=True)
class DocumentedField:
    """What a request carries: in its body, its address or its query."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True)
class DocumentedRoute:
    """A route and a method. `statuses` are answers with what they mean; empty words where the schema has none."""

    method: str
    path: str
    summary: str
    fields: Sequence[DocumentedField]
    statuses: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Chapter:
    anchor: str
    title: str
    routes: Sequence[DocumentedRoute]


@require_safe
def handbook(request: HttpRequest) -> HttpResponse:
    facts = {"chapters": _chapters(get_language() or ""), "base_url": f"{settings.SERVER_ADDRESS}/v1"}
    return render(request, "handbook.html", facts)


@cache
def _chapters(_language: str) -> list[Chapter]:
    """What there is does not change while a process lives; its words are the reader's."""
    schema: Schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    routes: dict[str, list[DocumentedRoute]] = {anchor: [] for anchor, _title, _pattern in _CHAPTERS}
    for path, methods in schema["paths"].items():
        chapter = next((anchor for anchor, _title, pattern in _CHAPTERS if re.match(pattern, path)), _CHAPTERS[-1][0])
        routes[chapter] += [_route(schema, path, method, operation) for method, operation in methods.items()]
    return [Chapter(anchor, str(title), routes[anchor]) for anchor, title, _pattern in _CHAPTERS if routes[anchor]]


def _route(schema: Schema, path: str, method: str, operation: Schema) -> DocumentedRoute:
    summary = operation.get("summary") or " ".join(operation.get("description", "").split())
    statuses = [(status, _words_of(answer)) for status, answer in operation["responses"].items() if status.isdigit()]
    return DocumentedRoute(method.upper(), path, str(summary), list(_fields(schema, operation)), statuses)


def _words_of(answer: Schema) -> str:
    return str(answer.get("description", ""))


def _fields(schema: Schema, operation: Schema) -> Iterable[DocumentedField]:
    for each in operation.get("parameters", ()):
        yield DocumentedField(each["name"], _kind(schema, each["schema"]), bool(each.get("required")))
    for content in list(operation.get("requestBody", {}).get("content", {}).values())[:1]:
        body = _resolved(schema, content["schema"])
        for name, field in body.get("properties", {}).items():
            yield DocumentedField(name, _kind(schema, field), name in body.get("required", ()))


def _kind(schema: Schema, field: Mapping[str, Any]) -> str:
    """The type as JSON calls it; empty where anything fits."""
    found = _resolved(schema, field)
    kind = found.get("type", "")
    if kind == "array":
        return f"{_kind(schema, found.get('items', {}))}[]"
    return str(" | ".join(map(str, found["enum"])) if found.get("enum") else kind)


def _resolved(schema: Schema, part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference stands for."""
    for each in part.get("allOf", ()):
        part = each
    if "$ref" not in part:
        return part
    found: Mapping[str, Any] = schema
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found
