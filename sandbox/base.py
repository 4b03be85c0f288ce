"""What both stand-ins have in common: a call, a refusal, and where a notice may go."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from .models import Delivery, GatewayName, Merchant, Trade

BEIJING = ZoneInfo("Asia/Shanghai")
NOTIFY_URL_LENGTH = 256

Fields = dict[str, str]
Faults = Mapping[str, Mapping[str, int | float | str | bool]]


class Refusal(Exception):
    """The provider says no to a rightly signed call; the answer is signed too. `code` is the provider's own, `status`
    that of HTTP where the protocol uses it."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.status = status


class Unsigned(Exception):
    """Refused before the caller is known to be genuine. `body` is the whole answer; nothing signs it."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(body.decode())
        self.body = body
        self.status = status


@dataclass(frozen=True)
class Said:
    """An answer; `headers` are those that sign it, in protocols whose body does not."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A verified request. `operation` is one of OPERATIONS; `now` is when it counts as made (aware); `site` is where we
    are; `certificate` what the client showed (None: there was no TLS)."""

    merchant: Merchant
    operation: str
    params: dict[str, Any]
    now: datetime
    sign_type: str
    method: str = ""
    site: str = ""
    certificate: bytes | None = None
    faults: Faults = field(default_factory=dict)

    @property
    def out_trade_no(self) -> str:
        """The order number the caller names; empty when it names the provider's own."""
        return str(self.params.get("out_trade_no", ""))


class Gateway(Protocol):
    """What `wechat.py`, `wechat_v3/protocol.py` and `alipay.py` offer, each a module."""

    NAME: GatewayName
    CONTENT_TYPE: str
    NOTICE_TYPE: str
    SYSTEM_ERROR: Refusal
    # Seconds after the first, second … try at which a notice is sent again.
    SCHEDULE: tuple[int, ...]
    # Which fields of a notice say how much, for whom.
    AMOUNT_FIELD: str
    APP_FIELD: str
    MERCHANT_FIELD: str
    OPERATIONS: Mapping[str, Callable[[Call], Any]]

    def read(self, request: HttpRequest, operation: str, /) -> Call:
        """Parse and verify a request. Raises Unsigned."""

    def answer(self, call: Call, fields: Any) -> Said:
        """The signed answer to a call that succeeded."""

    def refuse(self, call: Call, refusal: Refusal) -> Said:
        """The signed answer to a call that did not."""

    def find(self, call: Call) -> Trade | None:
        """The trade that a call names."""

    def scan(self, trade: Trade, now: datetime) -> bool:
        """A buyer opens the code. False: too late, or already done."""

    def new_transaction_id(self, now: datetime) -> str:
        """A number of the provider's own."""

    def format_amount(self, fen: int) -> str:
        """An amount as the provider's notices write it."""

    def notice(self, trade: Trade) -> Fields:
        """The fields of the notice that a trade was paid, unsigned."""

    def seal(self, trade: Trade, fields: Fields, *, genuine: bool) -> str:
        """The body of a notice, signed (wrongly unless genuine) where the body is what is signed."""

    def notice_headers(self, delivery: Delivery) -> Mapping[str, str]:
        """What signs a notice besides its body, anew with every try."""

    def acknowledged(self, status: int, body: str) -> bool:
        """Whether the merchant's answer means "received"."""


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine, without asking DNS."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_notify_url(url: str) -> str:
    """What is wrong with a notify_url, in words; empty when nothing is."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "notify_url is not a URL"
    if not url.isascii() or not url.isprintable() or set(url) & set(" \\"):
        return "notify_url is not a URL"
    if len(url) > NOTIFY_URL_LENGTH:
        return f"notify_url is longer than {NOTIFY_URL_LENGTH}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        return "notify_url is not a http(s) URL"
    if "?" in url or "#" in url:
        return "notify_url must not have parameters"
    if not is_loopback(url):
        return "notify_url must be on loopback (127.0.0.1, ::1, localhost): this stand-in sends nothing anywhere else"
    return ""
