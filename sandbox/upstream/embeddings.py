"""POST …/embeddings: vectors that are alike when the texts share characters and words, so that search can be tried."""

import base64
import hashlib
import math
from array import array
from itertools import pairwise
from typing import Any

from . import faults as misfortune
from . import tokens
from .exchange import Answer, json_answer
from .requests import Body, flag, read_json, required, whole
from .vendors import OpenAI

_MOST_INPUTS = 2048


async def answer(vendor: OpenAI) -> Answer:
    """Answer one request. Raises Refused, Cut."""
    body = read_json(vendor)
    required(vendor, body, "model", "input")
    flag(vendor, body, "stream")
    sold = vendor.model(body["model"], "embedding")
    inputs = _inputs(vendor, body["input"])
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise vendor.bad("'encoding_format' must be float or base64", "encoding_format")
    dimensions = whole(vendor, body, "dimensions", sold.dimensions) or sold.dimensions
    counts = [len(each) if isinstance(each, list) else tokens.count(each) for each in inputs]
    if max(counts) > sold.context:
        raise vendor.too_long(sold.context, max(counts), 0)
    faults = await misfortune.take(vendor.name, body["model"], [each for each in inputs if isinstance(each, str)])
    vendor.fail(faults)
    await misfortune.before(faults)
    data = [_embedding(number, each, dimensions, form) for number, each in enumerate(inputs)]
    said: Body = {"object": "list", "data": data, "model": body["model"]}
    if "no_usage" not in faults:
        said["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return json_answer(said, half="cut" in faults)


def _inputs(vendor: OpenAI, given: Any) -> list[str | list[int]]:
    """Texts, or texts as numbers of tokens."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or len(given) > _MOST_INPUTS:
        raise vendor.bad(f"'input' must be a text or up to {_MOST_INPUTS} of them", "input")
    if all(type(item) is int for item in given):
        return [given]
    for item in given:
        numbers = isinstance(item, list) and bool(item) and all(type(each) is int for each in item)
        if not (isinstance(item, str) and item) and not numbers:
            raise vendor.bad("'$.input' is invalid: an input is empty or no text", "input")
    return given


def _embedding(number: int, given: str | list[int], dimensions: int, form: str) -> Body:
    vector = _vector(given, dimensions)
    # array's native order is little-endian wherever this runs; so is the protocol's.
    shown: Any = base64.b64encode(vector.tobytes()).decode() if form == "base64" else vector.tolist()
    return {"object": "embedding", "index": number, "embedding": shown}


def _vector(given: str | list[int], dimensions: int) -> "array[float]":
    """Every token and every pair of neighbours votes for one direction; the length is 1."""
    parts = [str(item) for item in given] if isinstance(given, list) else tokens.split(given.lower())
    parts = [part.strip() or part for part in parts]
    votes = [0.0] * dimensions
    for part in [*parts, *(f"{one} {two}" for one, two in pairwise(parts))]:
        digest = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest())
        votes[(digest >> 1) % dimensions] += 1.0 if digest & 1 else -1.0
    length = math.sqrt(sum(vote * vote for vote in votes)) or 1.0
    return array("f", [vote / length for vote in votes])
