"""Alipay's bill: an address that lives for 30 seconds, and behind it a ZIP of two CSV files (bill_rows.py)."""

import zipfile
from contextlib import suppress
from datetime import date
from typing import IO

from ..bills import (
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
from ..configuration import is_web_address
from ..errors import Refused, Unknown, Unsigned, WronglySigned
from ..exchanges import Outgoing, into_200
from .bill_rows import rows
from .wire import AlipayWire, Fields

_MAX_COMPLAINT = 4096
_MAX_MEMBERS = 8
_MAX_BYTES = 8 * 1024**3
# CSV of this kind shrinks by 10 to 40; what shrinks much more is made to fill our memory.
_MAX_RATIO = 300
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


def download(wire: AlipayWire, day: date) -> Bill:
    def read_address(answer: Fields) -> str:
        sub_code = answer.get("sub_code", "")
        if says_not_made(sub_code):
            raise BillNotReady(day, sub_code)
        url = answer.get("bill_download_url", "")
        if not sub_code and not is_web_address(url):
            raise Unknown("Alipay's answer holds no bill_download_url.")
        return url

    name, fields = "AlipayDataDataserviceBillDownloadurlQuery", {"bill_type": "trade", "bill_date": f"{day:%Y-%m-%d}"}
    about = f"{day:%Y%m%d}"
    try:
        url = wire.call("bill", name, fields, read_address, expected=_NoBill(), about=about)
    except (Refused, Unknown) as error:
        # A code that is not known may come with words that are.
        said = "" if isinstance(error, Unsigned | WronglySigned) else f"{error}"
        if says_no_bill(said) or says_not_made(said):
            return _none(said, day)
        if not isinstance(error, Refused):
            raise
        raise BillRefused(
            f"Alipay gives no bill: {error}. Check the day, and that the application may use bills."
        ) from error
    if not url:
        return no_bill(day, "BILL_NOT_EXIST")

    def get(file: IO[bytes]) -> Bill:
        # The address is a secret: whoever has it can read the bill.
        request = Outgoing(url, b"", "GET bill_download_url", method="GET", into=file, limits=DOWNLOAD)
        return wire.exchange("bill", about, request, lambda answer: read(into_200(answer, file), day, wire.merchant_id))

    return fetched(get)


class _NoBill:
    """The sub_codes that say so; their prefix is not documented."""

    def __contains__(self, sub_code: object) -> bool:
        return says_no_bill(f"{sub_code}") or says_not_made(f"{sub_code}")


def _none(said: str, day: date) -> Bill:
    """There was no bill. Raises BillNotReady when there will be one."""
    if says_not_made(said):
        raise BillNotReady(day, said[:200])
    return no_bill(day, said[:200])


def read(file: IO[bytes], day: date, seller_id: str = "") -> Bill:
    """A downloaded bill, of this seller if one is named. Raises BillDamaged, BillNotReady; its rows BillDamaged."""
    file.seek(0)
    said = file.read(_MAX_COMPLAINT)
    if not said.startswith(b"PK"):
        words = "".join(said.decode(codec, "replace") for codec in ("utf-8", "gb18030"))
        if len(said) < _MAX_COMPLAINT and (says_no_bill(words) or says_not_made(words)):
            return _none("BILL_NOT_EXIST" if says_no_bill(words) else "not ready", day)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BillDamaged("What came is not a whole ZIP file.") from error
    detail, summary = _members(archive)
    return Bill(day, rows(archive, detail, summary, seller_id))


def _members(archive: zipfile.ZipFile) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo | None]:
    """The list and the summary. Nothing is ever written under a name from the archive."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS or any(_is_bomb(member) for member in members):
        raise BillDamaged("The ZIP file holds more than a bill can.")
    named = [(member, _name(member)) for member in members if _name(member).lower().endswith(".csv")]
    details = [member for member, name in named if "汇总" not in name]
    summaries = [member for member, name in named if "汇总" in name]
    if len(details) != 1 or len(summaries) > 1:
        raise BillDamaged("The ZIP file does not hold one list and its summary.")
    return details[0], summaries[0] if summaries else None


def _name(member: zipfile.ZipInfo) -> str:
    """Names are GBK without the flag that would say so; of UTF-8 without it, hardly any is GBK as well."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    raw = member.filename.encode("cp437", "replace")
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    return raw.decode("gb18030", "replace")


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    ratio = member.file_size > _MAX_RATIO * max(member.compress_size, 1024)
    return ratio or member.file_size > _MAX_BYTES or bool(member.flag_bits & _ENCRYPTED)
