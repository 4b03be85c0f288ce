"""POST …/images/generations, and the pictures themselves: a landscape whose colours the prompt chooses, as PNG."""

import asyncio
import base64
import hashlib
import re
import struct
import time
import zlib

from . import faults as misfortune
from .exchange import Answer, Asked, json_answer
from .requests import Body, flag, read_json, required, whole
from .vendors import OpenAI

_PATH = re.compile(r"/sandbox/llm/pictures/(\d{3,4})x(\d{3,4})/([0-9a-f]{16})\.png")
_LONGEST_PROMPT = 4000
# What Ark's names of sizes mean, in pixels each way.
_NAMED = {"1K": "1024x1024", "2K": "2048x2048", "4K": "4096x4096"}
_LARGEST = 4096
Colour = tuple[int, int, int]


async def answer(vendor: OpenAI) -> Answer:
    """Answer one request. Raises Refused, Cut."""
    body = read_json(vendor)
    required(vendor, body, "model", "prompt")
    flag(vendor, body, "stream")
    sold = vendor.model(body["model"], "image")
    prompt = body["prompt"]
    if not isinstance(prompt, str) or len(prompt) > _LONGEST_PROMPT:
        raise vendor.bad(f"'prompt' must be a text of at most {_LONGEST_PROMPT} characters", "prompt")
    number = whole(vendor, body, "n") or 1
    if number > sold.pictures:
        text = "You must provide n=1 for this model." if sold.pictures == 1 else f"'n' must be at most {sold.pictures}"
        raise vendor.bad(text, "n")
    size = body.get("size") or "1024x1024"
    if size not in sold.sizes:
        raise vendor.bad(f"The size is not supported by this model. Supported: {', '.join(sold.sizes)}", "size")
    form = body.get("response_format") or "url"
    if form not in ("url", "b64_json"):
        raise vendor.bad("'response_format' must be url or b64_json", "response_format")
    faults = await misfortune.take(vendor.name, body["model"], [prompt])
    vendor.fail(faults)
    await misfortune.before(faults)
    size = _NAMED.get(size, size)
    prompt = misfortune.without_marks(prompt)
    data = [await _drawn(vendor.asked, prompt, size, form, position) for position in range(number)]
    said: Body = {"created": int(time.time()), "data": data}
    if vendor.name == "ark":
        said |= {"model": body["model"], "usage": _usage(size, number)}
    return json_answer(said, half="cut" in faults)


async def picture(asked: Asked) -> Answer | None:
    """GET of a picture that was drawn for somebody; None: there is no such picture."""
    found = _PATH.fullmatch(asked.path)
    if not found or max(int(found[1]), int(found[2])) > _LARGEST:
        return None
    content = await asyncio.to_thread(landscape, int(found[1]), int(found[2]), found[3])
    return Answer(content, "image/png", headers={"cache-control": "public, max-age=3600"})


async def _drawn(asked: Asked, prompt: str, size: str, form: str, position: int) -> Body:
    seed = hashlib.blake2b(f"{position} {prompt}".encode(), digest_size=8).hexdigest()
    said = {"revised_prompt": f"A calm landscape at dusk that has to do with: {prompt}"}
    if form == "url":
        return said | {"url": f"{asked.origin}/sandbox/llm/pictures/{size}/{seed}.png"}
    width, height = map(int, size.split("x"))
    content = await asyncio.to_thread(landscape, width, height, seed)
    return said | {"b64_json": base64.b64encode(content).decode()}


def _usage(size: str, number: int) -> Body:
    width, height = map(int, size.split("x"))
    written = number * width * height // 256
    return {"generated_images": number, "output_tokens": written, "total_tokens": written}


def landscape(width: int, height: int, seed: str) -> bytes:
    """A PNG: a sky, a sun, and three ranges of hills, row by row."""
    numbers = list(bytes.fromhex(seed))
    top, bottom = _colour(numbers[0], 120), _colour(numbers[1], 220)
    sun_x, sun_y, sun = (
        width * (64 + numbers[2] // 2) // 256,
        height * (48 + numbers[3] // 4) // 256,
        min(width, height) // 9,
    )
    rows = bytearray()
    for y in range(height):
        row = bytearray(bytes(_mixed(top, bottom, y / height)) * width)
        reach = int((sun * sun - (y - sun_y) ** 2) ** 0.5) if abs(y - sun_y) <= sun else 0
        _paint(row, sun_x - reach, sun_x + reach, (255, 236, 200))
        for layer in range(3):
            peak = height * (96 + 36 * layer + numbers[4 + layer] // 8) // 256
            shade = _mixed(bottom, (24, 32, 56), 0.35 + 0.25 * layer)
            for hill in range(3):
                middle = width * (hill * 100 + numbers[(layer + hill) % 8] // 3) // 256
                _paint(row, middle - (y - peak) * 2, middle + (y - peak) * 2, shade)
        rows += b"\0" + row
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _part(b"IDAT", zlib.compress(rows, 3)),
            _part(b"IEND", b""),
        )
    )


def _colour(number: int, light: int) -> Colour:
    """A soft colour out of a number below 256."""
    return (light, 60 + number // 2, 255 - number // 2)


def _mixed(one: Colour, two: Colour, share: float) -> Colour:
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(one, two, strict=True))
    return red, green, blue


def _paint(row: bytearray, left: int, right: int, colour: Colour) -> None:
    left, right = max(0, left), min(len(row) // 3, right)
    if left < right:
        row[left * 3 : right * 3] = bytes(colour) * (right - left)


def _part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
