"""The contract of a transport: plain values in, one message sent, or an error that says whether trying again helps.

A transport knows its protocol and nothing of rows, rules or rates. It writes in the current language: its readers'.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import PUBLIC, TRUSTED, HTTPAnswer, NoAnswer

SYSTEM: Any = _("VoiceHelper voice assistant")
ICONS = {"critical": "🚨", "warning": "⚠️", "info": "ℹ️"}
OTHER_ICON = "🔔"
Clock = Callable[[], datetime]
_BEIJING = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Message:
    """What to say. `level` is critical, warning, info or another word; `time` is aware; `count` how often it happened;
    `event` is the kind's name for people, `platform` and `record` what it is about, and `link` leads there."""

    level: str
    title: str
    content: str
    time: datetime
    count: int = 1
    event: str = ""
    platform: str = ""
    record: str = ""
    link: str = ""

    @property
    def icon(self) -> str:
        return ICONS.get(self.level, OTHER_ICON)

    @property
    def time_text(self) -> str:
        """Beijing time: "2026-11-21 12:00:00"."""
        return f"{self.time.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True)
class Sent:
    """The far side took the message: what it called it, whom it left out, and how long it took in milliseconds."""

    detail: str = ""
    elapsed_ms: int = 0


class TransportError(Exception):
    """The message was not taken, or nobody knows (`unknown`).

    `permanent`: the same message will be refused again until somebody changes something; `hint` says what.
    `retry_after_s`: how long the far side wants to be left alone, 0: it did not say.
    """

    def __init__(
        self, text: Any, *, permanent: bool, unknown: bool = False, hint: Any = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(text)
        self._text = text
        self.permanent = permanent
        self.unknown = unknown
        self.hint = hint
        self.retry_after_s = retry_after_s

    @property
    def text(self) -> str:
        """In the current language where it is ours; as the far side said it otherwise."""
        return str(self._text)


class RecipientRefused(TransportError):
    """The far side works, and does not take messages for this recipient."""


@dataclass(frozen=True)
class Transport:
    """Base of the transports: each a frozen dataclass of its settings, made by `from_values`."""

    # The most messages a minute that the far side stands, and what a call goes to, for people.
    per_minute = 20
    target = ""

    def send(self, message: Message) -> Sent:
        """Send it now. Raises TransportError."""
        raise NotImplementedError


def post(url: str, body: bytes, headers: Mapping[str, str], *, trusted: bool) -> HTTPAnswer:
    """POST through the one place that opens connections. Raises TransportError; never says the URL."""
    try:
        return (TRUSTED if trusted else PUBLIC).send("POST", url, body=body, headers=headers)
    except NoAnswer as error:
        # voicehelper.net.http says it in one of a few sentences, all of them in the catalogue.
        text = _(error.reason)
        hint = _("It may have arrived, and is sent again.") if error.sent else _("Is the address reachable from here?")
        raise TransportError(text, permanent=False, unknown=error.sent, hint=hint) from None
    except AddressRefused as error:
        raise TransportError(str(error), permanent=True) from None


def read_json(answer: HTTPAnswer) -> dict[str, Any]:
    """The answer's JSON object. Raises TransportError: what is not JSON comes from something in between."""
    said = answer.json_object()
    if said is None:
        raise TransportError(
            f"HTTP {answer.status} without the JSON that was expected", permanent=False, unknown=answer.status < 400
        )
    return said


def host_of(url: str) -> str:
    """What the Host header of a request to this URL says, and signatures cover."""
    return urlsplit(url).netloc


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hmac_sha256(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def shortened(text: str, most: int) -> str:
    """At most `most` characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


@dataclass(frozen=True)
class SMSText:
    """What the variables of an SMS template are filled with: patterns like "{title}", `most` characters each."""

    patterns: tuple[tuple[str, str], ...] = field(default=())
    most: int = 35

    def fill(self, message: Message) -> dict[str, str]:
        facts: Mapping[str, str] = {
            "level": message.level.upper(),
            "title": message.title,
            "content": message.content,
            "event": message.event,
            "time": message.time_text,
            "count": str(message.count),
            "platform": message.platform,
            "record": message.record,
            "link": message.link,
        }
        return {name: shortened(_replace(pattern, facts), self.most) or "-" for name, pattern in self.patterns}


SMS_WORDS = ("level", "title", "content", "event", "time", "count", "platform", "record", "link")


def _replace(pattern: str, facts: Mapping[str, str]) -> str:
    """Not str.format: a pattern is typed by an operator, and reaches nothing but these words."""
    for name, value in facts.items():
        pattern = pattern.replace("{" + name + "}", value.replace("{", "(").replace("}", ")"))
    return pattern


@dataclass(frozen=True, kw_only=True)
class SMSTransport(Transport):
    """One template of a vendor, texted to some phones; its variables are filled by `text`."""

    key_id: str
    key_secret: str = field(repr=False)
    sign_name: str
    template: str
    phones: tuple[str, ...]
    text: SMSText = SMSText()
    trusted: bool = False
    now: Clock = lambda: datetime.now(UTC)
    per_minute = 5
    target = "SendSms"
