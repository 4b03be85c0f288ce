"""WeChat Pay's bill by version 2 (downloadbill, ALL): the file (../bill_rows.py), compressed or not, or a complaint in
its place, which nobody signs.
"""

import gzip
import re
import zlib
from datetime import date
from typing import IO

from ...bills import (
    DOWNLOAD,
    Bill,
    BillDamaged,
    BillNotReady,
    BillRefused,
    fetched,
    no_bill,
    says_no_bill,
    says_not_made,
)
from ...errors import Retryable
from ...exchanges import into_200
from ..bill_rows import rows
from . import xml
from .wire import WeChatWire

_AROUND = b" \t\r\n\xef\xbb\xbf"
_PAGE = re.compile("(?i)<(!doctype|html)")
# What stands in a complaint, whatever its root, or whether it is JSON.
_WORD = r'["<](?:%s)(?:"\s*:\s*"|>\s*(?:<!\[CDATA\[)?)([^"<\]]*)'
_TEXT, _CODE = (re.compile(_WORD % names) for names in ("return_msg|err_code_des|message", "error_code|err_code|code"))


def download(wire: WeChatWire, day: date) -> Bill:
    fields = {"bill_date": f"{day:%Y%m%d}", "bill_type": "ALL", "tar_type": "GZIP"}

    def get(file: IO[bytes]) -> Bill:
        request = wire.request("/pay/downloadbill", fields, into=file, limits=DOWNLOAD)
        return wire.exchange("bill", f"{day:%Y%m%d}", request, lambda answer: read(into_200(answer, file), day))

    return fetched(get)


def read(file: IO[bytes], day: date) -> Bill:
    """A downloaded bill. Raises BillNotReady, BillRefused, Retryable; its rows raise BillDamaged."""
    text = _unpacked(file)
    try:
        opening = text.read(xml.MAX_BYTES).lstrip(_AROUND)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BillDamaged("The compressed file is cut off or broken.") from error
    said = opening.decode("utf-8", "replace")
    # A bill has more than one line, whatever it holds.
    is_words = "\n" not in said.rstrip() and (says_no_bill(said) or says_not_made(said))
    if (said[:1] in ("<", "{") or is_words) and not _PAGE.match(said):
        return _complaint(said, day)
    return Bill(day, rows(_unpacked(file)))


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """From its beginning."""
    file.seek(0)
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[return-value]  # it reads as one


def _complaint(whole: str, day: date) -> Bill:
    """What came instead of a bill."""
    text, code = _TEXT.search(whole), _CODE.search(whole)
    said = (text[1] if text else whole)[:200].strip()
    if says_not_made(whole):
        raise BillNotReady(day, said)
    if says_no_bill(whole):
        return no_bill(day, said)
    if re.search("(?i)gzip|system ?error", whole):
        raise Retryable(f"WeChat Pay cannot give the bill just now: {said}")
    raise BillRefused(
        f"WeChat Pay gives no bill: {said} ({code[1] if code else '-'}). Check the merchant number, the API key"
        " and that the day is not more than three months ago."
    )
