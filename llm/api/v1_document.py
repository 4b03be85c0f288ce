"""/v1 in the API document: its doors and its errors. What a body may hold is in the documents of the vendors."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

_Schema = dict[str, Any]
_JSON, _FORM, _EVENTS = "application/json", "multipart/form-data", "text/event-stream"

# What every door may answer instead of what was asked for.
_ERRORS: Mapping[int, Any] = {
    400: _("The request cannot be read, has something this model has no room for (named), or its content was refused."),
    401: _("The API key is missing, wrong or revoked."),
    404: _("There is no such door, or no such model."),
    405: _("The door takes another method."),
    429: _("Too many calls with this key, or the provider's limit is reached; see Retry-After."),
    500: _("Something went wrong on our side."),
    503: _("The service, or the provider, has too much to do."),
}
# And those where a model is asked.
_ASKING: Mapping[int, Any] = {
    402: _("The quota does not cover this call."),
    408: _("The body came too slowly."),
    413: _("The body is larger than 32 MiB, also when it comes compressed."),
    415: _("The body is compressed in a way that is not understood (gzip and deflate are), or is no form."),
    502: _("The provider failed; nothing was charged."),
    504: _("The provider did not answer in time; nothing was charged."),
}
_OPENAI_ERROR: _Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": "string", "nullable": True},
                "code": {"type": "string", "nullable": True},
            },
        }
    },
}
_ANTHROPIC_ERROR: _Schema = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"type": "string", "enum": ["error"]},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object", "properties": {"error_code": {"type": "string"}}},
            },
        },
        "request_id": {"type": "string"},
    },
}
# What is done with one thing.
_ONE: Mapping[str, str] = {"get": "retrieve", "delete": "delete", "post": "one"}
_ANYTHING: _Schema = {"type": "object", "additionalProperties": True}


def paths() -> dict[str, _Schema]:
    """OpenAPI's path items."""
    items: dict[str, _Schema] = {}
    for path, (method, *more) in [*_DOORS.items(), *_KEPT]:
        items.setdefault(path, {})[method] = _operation(path, method, *more)
    return items


# Path: method, what it is, fields a request must have, and the types of bodies in and out.
_DOORS: Mapping[str, tuple[Any, ...]] = {
    "/v1/chat/completions": ("post", _("OpenAI's chat completions"), ("model", "messages"), _JSON, (_JSON, _EVENTS)),
    "/v1/completions": ("post", _("OpenAI's older completions"), ("model", "prompt"), _JSON, (_JSON, _EVENTS)),
    "/v1/responses": ("post", _("OpenAI's responses"), ("model", "input"), _JSON, (_JSON, _EVENTS)),
    "/v1/responses/input_tokens": ("post", _("About how many tokens a request has; free"), ("model", "input")),
    "/v1/messages": ("post", _("Anthropic's messages"), ("model", "messages", "max_tokens"), _JSON, (_JSON, _EVENTS)),
    "/v1/messages/count_tokens": ("post", _("About how many tokens a request has; free"), ("model", "messages")),
    "/v1/embeddings": ("post", _("Vectors of texts"), ("model", "input")),
    "/v1/embeddings/multimodal": ("post", _("One vector of texts, pictures and videos"), ("model", "input")),
    "/v1/rerank": ("post", _("Documents in the order of what they say to a question"), ("model", "query", "documents")),
    "/v1/moderations": ("post", _("Whether a content may be shown"), ("model", "input")),
    "/v1/images/generations": ("post", _("Pictures from words"), ("model", "prompt")),
    "/v1/images/edits": ("post", _("Pictures from pictures and words"), ("model", "image", "prompt"), _FORM),
    "/v1/images/variations": ("post", _("Pictures like a picture"), ("model", "image"), _FORM),
    "/v1/audio/transcriptions": ("post", _("What was said"), ("model", "file"), _FORM, (_JSON, "text/plain", _EVENTS)),
    "/v1/audio/translations": ("post", _("What was said, in English"), ("model", "file"), _FORM, (_JSON, "text/plain")),
    "/v1/audio/speech": ("post", _("Spoken text"), ("model", "input", "voice"), _JSON, ("audio/mpeg",)),
    "/v1/models": ("get", _("The models, with context_length and max_output_tokens")),
    "/v1/models/{id}": ("get", _("One model; its id may hold slashes and colons")),
    "/v1/key": ("get", _("Whose key this is, and what it may still spend")),
    "/v1/dashboard/billing/subscription": ("get", _("All that was ever there, in units where OpenAI has dollars")),
    "/v1/dashboard/billing/usage": ("get", _("What was used, in hundredths of a unit")),
}
# Answers to /v1/responses that are kept for whoever asked.
_KEPT: Iterable[tuple[str, tuple[Any, ...]]] = (
    ("/v1/responses/{id}", ("get", _("An answer that was kept"))),
    ("/v1/responses/{id}", ("delete", _("Keep an answer no longer"))),
    ("/v1/responses/{id}/input_items", ("get", _("What it answered: `order`, `limit`, `after`"))),
)


def _operation(
    path: str,
    method: str,
    summary: Any,
    required: Iterable[str] = (),
    body: str = _JSON,
    answers: Iterable[str] = (_JSON,),
) -> _Schema:
    error = _ANTHROPIC_ERROR if path.startswith("/v1/messages") else _OPENAI_ERROR
    said = {**_ERRORS, **(_ASKING if method == "post" else {})}
    if path.startswith("/v1/messages"):
        said[529] = _("The provider has too much to do.")
    content = {kind: {"schema": _ANYTHING if kind == _JSON else {"type": "string"}} for kind in answers}
    responses: _Schema = {"200": {"description": summary, "content": content}}
    for status, words in said.items():
        responses[str(status)] = {"description": words, "content": {_JSON: {"schema": error}}}
    operation: _Schema = {
        "operationId": path.strip("/").replace("/", "_").replace("{id}", _ONE[method]).replace(".", "_"),
        "summary": summary,
        "tags": ["v1"],
        "security": [{"ApiKey": []}],
        "responses": dict(sorted(responses.items())),
    }
    if "{id}" in path:
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    if method == "post":
        needed = {**_ANYTHING, "required": list(required), "properties": {name: {} for name in required}}
        operation["requestBody"] = {"required": True, "content": {body: {"schema": needed}}}
    return operation
