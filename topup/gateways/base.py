"""What every payment gateway speaks: plain values in, frozen dataclasses out.

A gateway imports no models, saves nothing, sees no request. Configuration enters by the constructor. To add one, see
CONTRIBUTING.md: one file here, one line in __init__.py, one settings section, one test file.
"""

import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from voicehelper.net.certificates import CertificateRefused
from voicehelper.net.http import HTTP, TRUSTED, AddressRefused, HTTPAnswer, Limits, NoAnswer
from voicehelper.net.probe import Probe, since_ms

from .configuration import Config, Problem
from .exchanges import Exchange, Outgoing, Result, codec_of, forget
from .refunds import NewRefund, RefundHint, RefundStatus

if TYPE_CHECKING:
    from .bills import Bill

# Both providers write times without a zone and mean Beijing's.
BEIJING = ZoneInfo("Asia/Shanghai")
# The order numbers both providers accept.
ORDER_NO = re.compile(r"[0-9A-Za-z_]{6,32}")
TRANSACTION_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

_LOGGED_CHARS = 8000
_NOT_REACHED = _("This need not be the keys: check this server's network, DNS and firewall, then try again.")
_NOT_UNDERSTOOD = _("Look at the answer in the log of gateway calls, and try again in a minute.")


class GatewayError(Exception):
    """Base of everything a gateway raises. `str()` is fit for an operator: it says what is wrong and how to mend it."""

    # What the log of calls says of a call that ended so.
    outcome: ClassVar[str] = "unknown"


class NotConfigured(GatewayError):
    """The configuration cannot work (missing, malformed); raised by the constructor, before anything is sent."""


class NotSupported(GatewayError):
    """This gateway cannot do what was asked, whatever its configuration."""

    outcome = "refused"


class Refused(GatewayError):
    """The provider said no, for good; sending the same again cannot help. `code` is the provider's own."""

    outcome = "refused"

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class NumberTaken(Refused):
    """The provider knows this order number already, perhaps as a paid one: query it before giving it up."""


class Unknown(GatewayError):
    """No trustworthy answer: a time-out, a broken, unsigned or wrongly signed one. The request may have worked:
    ask again with the same number."""


class Unsigned(Unknown):
    """An answer nobody signed, as complaints about a request often are. `said` is for people, not to act on."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The gateway answered without a signature: {said}")
        self.said = said


class WronglySigned(Unknown):
    """An answer whose signature is not the provider's, as far as our keys can tell."""


class Retryable(Unknown):
    """The provider says it is busy, or cannot have seen the request: send the same again, with the same number."""

    outcome = "retryable"


class NoticeRefused(GatewayError):
    """A notice that must not be believed."""


class Malformed(NoticeRefused):
    """The bytes are not what the protocol allows."""


class Implausible(Malformed):
    """Validly signed, and yet its amount or numbers are not what the protocol allows. Somebody should look at it."""


class BadSignature(NoticeRefused):
    """The signature is missing or wrong."""


class WrongRecipient(NoticeRefused):
    """Validly signed, but for another app or merchant than ours."""


class TradeState(StrEnum):
    """The provider's view of an order number. ABSENT: it knows none (yet); never proof that nobody will pay."""

    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"
    REFUNDED = "refunded"
    ABSENT = "absent"


@dataclass(frozen=True)
class NewOrder:
    """What we ask a provider to collect. `expires_at` is aware; `client_ip` is the buyer's.

    `trade_type` is one of the gateway's trade_types, the first when empty. Where the buyer's browser is sent to pay,
    `return_url` is where it comes back to (which proves nothing). `openid` is for JSAPI, and belongs to our app id.
    """

    order_no: str
    amount_fen: int
    subject: str
    expires_at: datetime
    notify_url: str
    client_ip: str = "127.0.0.1"
    trade_type: str = ""
    openid: str = ""
    return_url: str = ""


@dataclass(frozen=True)
class Offer:
    """What the buyer needs to pay: the content of a QR code or an address to open, verbatim. For JSAPI it is empty, and
    `prepay_id` what Gateway.payment_arguments wants."""

    pay_url: str
    prepay_id: str = ""


@dataclass(frozen=True)
class Receipt:
    """A provider's signed word that an order was paid. `amount_fen` is what was asked, before the buyer's coupons.

    `app_id` and `merchant_id` are whom it was paid to; `currency` is ISO 4217; `paid_at` is aware.
    """

    gateway: str
    order_no: str
    transaction_id: str
    amount_fen: int
    currency: str
    app_id: str
    merchant_id: str
    live: bool
    paid_at: datetime | None = None


@dataclass(frozen=True)
class Trade:
    """The answer to a query: our reading, the provider's own word for it, the receipt when it was paid, and how much of
    it went back, as far as the answer says (0: it does not)."""

    state: TradeState
    raw_state: str
    receipt: Receipt | None = None
    refunded_fen: int = 0


@dataclass(frozen=True)
class Reply:
    """What we answer to a notice."""

    body: str
    content_type: str
    status: int = 200


def beijing_time(text: str, pattern: str) -> datetime | None:
    """A provider's time, aware. None when it is not one: a broken time must not keep a payment from being credited."""
    try:
        moment = datetime.strptime(text, pattern).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return moment if moment.year >= 2000 else None


class Gateway(ABC):
    """One provider's protocol. Every method may raise Refused, Unknown or Retryable unless it says otherwise."""

    name: ClassVar[str]
    config_class: ClassVar[Callable[..., Config]]
    live: bool
    app_id: str
    merchant_id: str
    sign_type: str
    # Where requests go.
    address: str
    # What a failed probe says (a pattern of the error's text), and how to mend it. The first that fits counts.
    known_mistakes: ClassVar[Sequence[tuple[str, object]]] = ()
    # An order younger than this may not be closed at the provider, in seconds.
    close_after_s: ClassVar[int] = 0
    # The ways to pay, in the provider's own words; the first is the QR code.
    trade_types: ClassVar[Sequence[str]]
    # Whether one merchant's orders may come from several apps, all with the same keys.
    many_apps: ClassVar[bool] = False
    # Whether refunds_of knows them all, or only those it is asked about.
    lists_refunds: ClassVar[bool] = False
    # Whether CLOSED is also said of what was paid and went back in full.
    closes_refunded: ClassVar[bool] = False

    # How long one call may take; whoever builds the gateway may shorten it.
    limits: Limits = Limits()
    # When the last call must have ended, by time.monotonic_ns; 0: there is no such moment.
    until_ns: int = 0
    # Is told of every call, also of those that fail; must not raise.
    record: Callable[[Exchange], None]

    def __init__(self, config: Any, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        problems = config.problems()
        if problems:
            raise NotConfigured(" ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self._http = http
        self.record = record

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The gateway from the fields of its configuration. Raises NotConfigured."""
        return cls(cls.config_class(**values))

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Everything that keeps such a configuration from working; empty when it can. Sends nothing."""
        config = cls.config_class(**values)
        return config.problems() + config.refund_problems()

    @property
    def why_no_refunds(self) -> str:
        """What keeps this configuration from refunding, and how to mend it; empty when it can."""
        return ""

    @property
    def refunds_until(self) -> datetime | None:
        """When what refunds want expires (aware); None: it never does, or there is nothing yet."""
        return None

    @abstractmethod
    def create(self, order: NewOrder) -> Offer:
        """Register the order at the provider. Safe to repeat with the same values. Raises NumberTaken as well."""

    @abstractmethod
    def query(self, order_no: str) -> Trade:
        """Ask what became of an order."""

    @abstractmethod
    def close(self, order_no: str) -> TradeState:
        """Make the order unpayable. CLOSED: it is now; PAID: too late, query it; ABSENT: the provider knows no such
        order (it can still appear, when somebody scans an old code)."""

    def payment_arguments(self, prepay_id: str) -> dict[str, str]:
        """What the buyer's app is handed to pay a JSAPI order. Raises NotSupported."""
        raise NotSupported(f"{self.name} has no payment inside an app.")

    @abstractmethod
    def refund(self, refund: NewRefund) -> RefundStatus:
        """Ask for the money to be given back. PROCESSING: accepted, and no more than that. Safe to repeat with the same
        values; a Refused is final only once `query_refund` says ABSENT too. Raises NotConfigured as well."""

    @abstractmethod
    def query_refund(self, order_no: str, refund_no: str) -> RefundStatus:
        """Ask what became of a refund."""

    @abstractmethod
    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        """Every refund of an order, also those made in the provider's console. Raises NotSupported unless
        lists_refunds."""

    @abstractmethod
    def refund_hint(self, body: bytes) -> RefundHint | None:
        """What a notice claims about a refund; None when it is about something else. Raises Malformed, BadSignature,
        WrongRecipient."""

    @abstractmethod
    def bill(self, day: date) -> "Bill":
        """The provider's list of a Beijing day. Raises BillNotReady (bills.py) as well."""

    @abstractmethod
    def order_no_in(self, body: bytes) -> str:
        """The order number a notice claims, before anything is verified. Raises Malformed."""

    @abstractmethod
    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        """Verify a notice. None: genuine, but it does not say that somebody paid. `sign_type` is the algorithm recorded
        with the order; the message's own is never believed. Raises Malformed, BadSignature, WrongRecipient."""

    @abstractmethod
    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        """The provider's dialect of "received" or "send it again"."""

    @abstractmethod
    def _redact(self, text: str) -> str:
        """A request or an answer without its signature, whole or cut off anywhere."""

    def probe(self) -> Probe:
        """Query an order that cannot exist: a harmless signed call. Says how to mend what is wrong. Raises nothing."""
        started = time.monotonic_ns()
        called = f"query → {self.address}"
        try:
            self.query(f"PROBE{secrets.token_hex(12)}")
        except GatewayError as error:
            return Probe(False, called, since_ms(started), str(error), self._hint(error))
        return Probe(
            True, called, since_ms(started), str(_("The gateway answered; the signatures of both sides are right."))
        )

    def _hint(self, error: GatewayError) -> str:
        known = (text for pattern, text in self.known_mistakes if re.search(pattern, str(error)))
        general = _NOT_REACHED if isinstance(error, Retryable) else _NOT_UNDERSTOOD
        return str(next(known, general))

    def _exchange(
        self, operation: str, order_no: str, request: Outgoing, read: Callable[[HTTPAnswer], Result]
    ) -> Result:
        """Post, hand the answer to `read`, and record both sides whatever happens. Raises Retryable when the request
        cannot have been seen, Unknown for every status but 200, and what `read` raises."""
        started = time.monotonic_ns()
        said, outcome = "", GatewayError.outcome
        try:
            answer = self._post(request)
            said = f"({request.into.tell()} bytes)" if request.into else answer.body.decode(codec_of(answer), "replace")
            if answer.status != 200:
                raise Unknown(f"The gateway answered with HTTP status {answer.status}.")
            result = read(answer)
            outcome = "ok"
            return result
        except GatewayError as error:
            outcome = error.outcome
            said = f"{said}\n{error}".lstrip()
            raise
        finally:
            shown, said = self._loggable(request.shown), self._loggable(said)
            self.record(Exchange(operation, order_no, shown, said, outcome, since_ms(started)))

    def _post(self, request: Outgoing) -> HTTPAnswer:
        limits = request.limits or self.limits
        if self.until_ns:
            left_s = (self.until_ns - time.monotonic_ns()) / 1_000_000_000
            if left_s <= 0:
                raise Retryable("There is no time left to ask.")
            limits = replace(limits, total_s=min(limits.total_s, left_s))
        try:
            return self._http.send(
                request.method,
                request.url,
                body=request.body or None,
                headers={"Content-Type": request.content_type} if request.content_type else {},
                certificate=request.certificate,
                into=request.into,
                limits=limits,
            )
        except CertificateRefused as error:
            raise NotConfigured(str(error)) from error
        except AddressRefused as error:
            raise Retryable(str(error)) from error
        except NoAnswer as error:
            raise (Unknown if error.sent else Retryable)(error.reason) from error

    def _loggable(self, text: str) -> str:
        """Without signature, and such that a text column can hold it."""
        return self._redact(text).replace("\x00", "\ufffd")[:_LOGGED_CHARS]
