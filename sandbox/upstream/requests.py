"""Reading JSON requests as strictly as the providers do: what is missing or wrong is refused by name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from .vendors import Ark, Vendor

Body = dict[str, Any]


def read_json(vendor: Vendor) -> Body:
    """The JSON object that was posted. Raises Refused."""
    if not vendor.asked.headers.get("content-type", "").startswith("application/json"):
        raise vendor.bad("the content type must be application/json", "body")
    try:
        body = orjson.loads(vendor.asked.content)
    except orjson.JSONDecodeError:
        raise vendor.bad("We could not parse the JSON body of your request.", "body") from None
    if not isinstance(body, dict):
        raise vendor.bad("the body must be a JSON object", "body")
    return body


def required(vendor: Vendor, body: Body, *names: str) -> None:
    for name in names:
        if body.get(name) in (None, "", []):
            if isinstance(vendor, Ark):
                raise vendor.missing(name)
            raise vendor.bad(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def known_only(vendor: Vendor, body: Body, known: Collection[str]) -> None:
    for name in body:
        if name not in known:
            raise vendor.bad(f"Unrecognized request argument supplied: {name}", name)


def check_number(vendor: Vendor, body: Body, name: str, lowest: float, highest: float) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise vendor.bad(f"'{name}' must be a number between {lowest:g} and {highest:g}", name)


def whole(vendor: Vendor, body: Body, name: str, highest: int | None = None) -> int | None:
    """A whole number from 1, or None when it is not there."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1 or (highest is not None and value > highest):
        raise vendor.bad(f"'{name}' must be a whole number between 1 and {highest or 'the limit of the model'}", name)
    return value


def flag(vendor: Vendor, body: Body, name: str) -> bool:
    value = body.get(name)
    if value is not None and type(value) is not bool:
        raise vendor.bad(f"'{name}' must be true or false", name)
    return bool(value)


def texts(vendor: Vendor, value: Any, name: str, most: int) -> list[str]:
    """One text or several."""
    given = [value] if isinstance(value, str) else value or []
    if not isinstance(given, list) or len(given) > most or not all(isinstance(text, str) for text in given):
        raise vendor.bad(f"'{name}' must be a text or up to {most} texts", name)
    return given


def objects(vendor: Vendor, value: Any, name: str) -> list[Body]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise vendor.bad(f"'{name}' must be a list of objects", name)
    return value


class Content(NamedTuple):
    """What a message says, and how many pictures come with it."""

    text: str
    pictures: int = 0


def joined(contents: Sequence[Content]) -> Content:
    text = "\n".join(content.text for content in contents if content.text)
    return Content(text, sum(content.pictures for content in contents))


def schema_of(function: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    given = function.get(key)
    return given if isinstance(given, dict) else {"type": "object", "properties": {}}


def thinks(body: Mapping[str, Any]) -> bool:
    """Whether the caller wants to see what the model thinks."""
    given = body.get("thinking")
    return isinstance(given, dict) and given.get("type") == "enabled"
