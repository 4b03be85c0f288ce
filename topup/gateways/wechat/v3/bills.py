"""WeChat Pay's bill by API v3: a signed answer with an address and a hash, and the unsigned file behind it. The file is
v2's.
"""

import gzip
import hashlib
import zlib
from datetime import date
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import urlsplit

from voicehelper.net.http import HTTPAnswer

from ... import strict_json
from ...bills import DOWNLOAD, Bill, BillDamaged, BillNotReady, BillRefused, fetched, no_bill
from ...errors import Refused, Retryable, Unknown
from ..v2 import bills
from .wire import MAX_BYTES, Content, WeChatV3Wire

_CHUNK = 64 * 1024
_NONE, _CREATING = "NO_STATEMENT_EXIST", "STATEMENT_CREATING"


class _TokenSpent(Exception):
    """The address of the file was used up, or too old."""


def download(wire: WeChatV3Wire, day: date) -> Bill:
    try:
        return _download(wire, day)
    except _TokenSpent:
        try:
            return _download(wire, day)
        except _TokenSpent as error:
            raise Retryable(f"WeChat Pay gives no file for its own address: {error}") from error


def _download(wire: WeChatV3Wire, day: date) -> Bill:
    line = f"GET /v3/bill/tradebill?bill_date={day.isoformat()}&bill_type=ALL&tar_type=GZIP"
    try:
        said = wire.call("bill", line, lambda answer: answer, about=day.isoformat(), expected=(_NONE, _CREATING))
    except Refused as error:
        raise BillRefused(
            f"WeChat Pay gives no bill: {error}. Check the merchant number and that the day is not more than three"
            " months ago."
        ) from error
    if "code" in said:
        if said["code"] == _CREATING:
            raise BillNotReady(day, said["message"])
        return no_bill(day, said["message"])
    url = _address(wire, said)

    def get(file: IO[bytes]) -> Bill:
        with TemporaryFile() as packed:
            request = wire.request(f"GET {url.removeprefix(wire.address)}", into=packed, limits=DOWNLOAD)
            wire.exchange("bill download", day.isoformat(), request, lambda answer: _judged(answer, packed))
            digest = _unpack(packed, file)
        if digest != str(said["hash_value"]).lower():
            raise BillDamaged(f"The file's SHA-1 is {digest}, and WeChat Pay says {str(said['hash_value'])[:64]}.")
        return bills.read(file, day)

    return fetched(get)


def _address(wire: WeChatV3Wire, said: Content) -> str:
    """Where the file is; nowhere but at the gateway itself, whose alone our signature is. Raises BillDamaged."""
    if said.get("hash_type") != "SHA1" or not isinstance(said.get("hash_value"), str):
        raise BillDamaged(f"The file's hash is of the kind {str(said.get('hash_type'))[:16]!r}, not SHA1.")
    url = str(said.get("download_url", ""))
    if not url.startswith(f"{wire.address}/") or urlsplit(url).netloc != urlsplit(wire.address).netloc:
        raise BillDamaged(f"The file is at {url[:100]!r}, which is not WeChat Pay's gateway.")
    return url


def _judged(answer: HTTPAnswer, file: IO[bytes]) -> None:
    """Nobody signs this answer; the hash vouches for the file."""
    if answer.status == 200:
        return
    file.seek(0)
    try:
        said = strict_json.object_in(file.read(MAX_BYTES), MAX_BYTES)
    except ValueError:
        said = {}
    text = f"{said.get('code', answer.status)}: {str(said.get('message', ''))[:200]}"
    if answer.status == 400:
        raise _TokenSpent(text)
    if answer.status == 403:
        raise BillRefused(f"WeChat Pay gives no bill: {text}.")
    raise Unknown(f"The gateway answered with HTTP status {answer.status}. {text}")


def _unpack(packed: IO[bytes], file: IO[bytes]) -> str:
    """The bill as text into `file`; its SHA-1. Raises BillDamaged."""
    packed.seek(0)
    zipped = packed.read(2) == b"\x1f\x8b"
    packed.seek(0)
    source: IO[bytes] = gzip.GzipFile(fileobj=packed) if zipped else packed  # type: ignore[assignment]  # reads as one
    digest, size = hashlib.sha1(usedforsecurity=False), 0
    try:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > DOWNLOAD.max_bytes:
                raise BillDamaged(f"The file holds more than {DOWNLOAD.max_bytes} bytes.")
            digest.update(chunk)
            file.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BillDamaged("The compressed file is cut off or broken.") from error
    return digest.hexdigest()
