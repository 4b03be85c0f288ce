"""What every payment gateway is and speaks: plain values in, frozen dataclasses out.

A gateway declares itself as facts of its class, and everything else asks the table in __init__.py: pages, admin,
routes, options, style sheets. It imports no models, saves nothing, sees no request. Configuration enters by the
constructor. To add one, see CONTRIBUTING.md.
"""

import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from voicehelper import traces
from voicehelper.net.http import HTTP, TRUSTED, HTTPAnswer, Limits
from voicehelper.net.probe import Probe, since_ms

from .configuration import Config, Problem
from .errors import GatewayError, NotConfigured, NotSupported, Retryable, Unknown, Unsigned, WronglySigned
from .exchanges import Exchange, Outgoing, Result, codec_of, forget, sent
from .notices import Claimed, IncomingNotice, OpenedNotice, Reply, any_algorithm
from .orders import NewOrder, Offer, Trade, TradeState
from .refunds import NewRefund, RefundStatus
from .ways import Device, Place

if TYPE_CHECKING:
    from .bills import Bill

_LOGGED_CHARS = 8000
_NOT_REACHED = _("This need not be the keys: check this server's network, DNS and firewall, then try again.")
_NOT_UNDERSTOOD = _("Look at the answer in the log of gateway calls, and try again in a minute.")


class Gateway(ABC):
    """One provider's protocol. Every method may raise Refused, Unknown or Retryable unless it says otherwise."""

    # --- What it is, to people: its name in addresses and rows, what it and the app that pays are called (lazy texts),
    # its colour and that of text on it (#RRGGBB), its picture in static/img/icons.svg.
    name: ClassVar[str]
    label: ClassVar[object]
    app_label: ClassVar[object]
    colour: ClassVar[str]
    on_colour: ClassVar[str] = "#FFFFFF"
    icon: ClassVar[str]
    # What users are told who ask for it while it takes no orders.
    off: ClassVar[object]

    # --- The versions of its protocol by name, the default first, when there are several: then this class is what they
    # have in common, and an account's configuration says which by "version".
    versions: "ClassVar[Mapping[str, type[Gateway]]]" = {}

    # --- How orders are paid: its trade types, in the provider's own words, the first being the QR code; which one fits
    # a device (without any: the first); and what the browser of its own app says of itself (a pattern).
    trade_types: ClassVar[Mapping[str, Place]]
    ways: ClassVar[Mapping[Device, str]] = {}
    app_browser: ClassVar[str] = r"(?!)"
    # What the content of a code, or the address of a page to pay on, begins with, by trade type. Without an entry: like
    # the address that requests go to, which is good at all times, because that is where it was opened.
    pay_addresses: ClassVar[Mapping[str, Sequence[str]]] = {}

    # --- Its callbacks: below /api/<name>/, those of payments and of refunds (none: with the payments'), the first of
    # each being the one we tell the provider; their content types; and what else than the body is signed: headers
    # (lower-case names), and whether the query is.
    payment_callbacks: ClassVar[Sequence[str]] = ("notify", "webhook")
    refund_callbacks: ClassVar[Sequence[str]] = ()
    notice_types: ClassVar[Collection[str]]
    signed_headers: ClassVar[Collection[str]] = ()
    signs_query: ClassVar[bool] = False

    # --- Its account: the class of its configuration, and the mistakes that are known: what a failed probe says (a
    # pattern of the error's text), and how to mend it. The first that fits counts.
    config_class: ClassVar[Callable[..., Config]]
    known_mistakes: ClassVar[Sequence[tuple[str, object]]] = ()
    # Its sentences that rows keep in English, as patterns to say them in the reader's language (stored_texts.py).
    sentences: ClassVar[Sequence[str]] = ()
    # Whether one merchant's orders may come from several apps, all with the same keys. Then its configuration has
    # `other_app_ids`.
    many_apps: ClassVar[bool] = False

    # --- What its messages call a payer by: names of fields that are emptied when somebody is forgotten.
    payer_fields: ClassVar[Collection[str]] = ()

    # --- Its habits. An order younger than this may not be closed at the provider, in seconds.
    close_after_s: ClassVar[int] = 0
    # Whether refunds_of knows them all, or only those it is asked about.
    lists_refunds: ClassVar[bool] = False
    # What it says when it refuses a refund because all of the order went back before (a pattern).
    refused_as_refunded: ClassVar[str] = r"(?!)"
    # Whether CLOSED is also said of what was paid and went back in full.
    closes_refunded: ClassVar[bool] = False
    # How its own numbers of payments look (a pattern); and whether one can be given back by that number alone.
    transaction_numbers: ClassVar[str] = r"(?!)"
    refunds_by_transaction: ClassVar[bool] = False

    live: bool
    app_id: str
    # All apps whose orders it serves, where there are several: their notices are ours.
    app_ids: Collection[str] = ()
    merchant_id: str
    sign_type: str
    # Where requests go.
    address: str

    # How long one call may take; whoever builds the gateway may shorten it.
    limits: Limits = Limits()
    # When the last call must have ended, by time.monotonic_ns; 0: there is no such moment.
    until_ns: int = 0
    # Is told of every call, also of those that fail; must not raise.
    record: Callable[[Exchange], None]
    # The account it speaks for; whoever builds the gateway knows.
    account: int | None = None
    # Is told of each certificate of the provider's (PEM) that was fetched and proved; must not raise. From then on
    # `use_certificates` is handed it.
    keep_certificate: Callable[[str], None]
    # Is asked before a certificate is fetched that somebody named, by its number: whoever names many must not make us
    # ask all the time.
    may_fetch_certificate: Callable[[str], bool]

    def __init__(self, config: Any, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        problems = config.problems()
        if problems:
            raise NotConfigured(" ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self._http = http
        self.record = record
        self.keep_certificate = lambda _pem: None
        self.may_fetch_certificate = lambda _serial: True

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Gateway":
        """The gateway from the fields of its configuration. Raises NotConfigured."""
        version = cls.version_of(values)
        return version(version._config(values))

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Everything that keeps such a configuration from working; empty when it can. Sends nothing."""
        config = cls.version_of(values)._config(values)
        return config.problems() + config.refund_problems()

    @classmethod
    def version_of(cls, values: Mapping[str, Any]) -> "type[Gateway]":
        """The class that speaks the version which a configuration names, or the default."""
        return cls.versions.get(values.get("version", ""), next(iter(cls.versions.values()), cls))

    @classmethod
    def _config(cls, values: Mapping[str, Any]) -> Config:
        return cls.config_class(**{name: value for name, value in values.items() if name != "version"})

    @classmethod
    def callbacks(cls) -> str:
        """All of their addresses, a pattern: as operators type them into a console, with slashes too many."""
        return rf"/*api/+{cls.name}/+(?:{'|'.join((*cls.payment_callbacks, *cls.refund_callbacks))})/*"

    @property
    def version(self) -> str:
        """Which of the versions it speaks; empty when there is only one."""
        return next((name for name, version in self.versions.items() if isinstance(self, version)), "")

    @property
    def refund_callback(self) -> str:
        """Where the provider tells of refunds."""
        return (*self.refund_callbacks, *self.payment_callbacks)[0]

    @property
    def qr_code(self) -> str:
        """The trade type that shows one."""
        return next(iter(self.trade_types))

    @classmethod
    def place(cls, trade_type: str) -> Place:
        """Where an order is paid; one whose trade type nobody knows any more showed a code."""
        return cls.trade_types.get(trade_type, Place.CODE)

    def offers(self, trade_type: str, pay_url: str) -> bool:
        """Whether this is an address as the platform makes them: buyers are shown no other, whoever answered so."""
        if not pay_url.isascii() or not pay_url.isprintable() or set(pay_url) & set(' \\"<>'):
            return False
        own = f"{urlsplit(self.address).scheme}://{urlsplit(self.address).netloc}/"
        known = self.pay_addresses.get(trade_type or self.qr_code, (own,))
        # Where the platform is a stand-in, so are its pages.
        return pay_url.startswith((*known, *(() if self.live else (own,))))

    @property
    def remarks(self) -> Sequence[str]:
        """What looks odd about this configuration, although it may work; short, in the reader's language."""
        return ()

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

    def query_transaction(self, transaction_id: str) -> Trade:
        """The same by the provider's own number of the payment. Raises NotSupported."""
        raise NotSupported(f"{self.name} cannot be asked by its own number: {transaction_id}")

    @abstractmethod
    def close(self, order_no: str) -> TradeState:
        """Make the order unpayable. CLOSED: it is now; PAID: too late, query it; ABSENT: the provider knows no such
        order (it can still appear, when somebody scans an old code)."""

    def payment_arguments(self, prepay_id: str) -> dict[str, str]:
        """What the buyer's app is handed to pay an order inside it. Raises NotSupported."""
        raise NotSupported(f"{self.name} has no payment inside an app.")

    @abstractmethod
    def refund(self, new: NewRefund) -> RefundStatus:
        """Ask for the money to be given back. PROCESSING: accepted, and no more than that. Safe to repeat with the same
        values; a Refused is final only once `query_refund` says ABSENT too. Raises NotConfigured as well."""

    @abstractmethod
    def query_refund(self, order_no: str, refund_no: str, transaction_id: str = "", /) -> RefundStatus:
        """Ask what became of a refund, of the payment with `transaction_id` where NewRefund named one."""

    @abstractmethod
    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        """Every refund of an order, also those made in the provider's console. Raises NotSupported unless
        lists_refunds."""

    @abstractmethod
    def bill(self, day: date) -> "Bill":
        """The provider's list of a Beijing day. Raises BillNotReady (bills.py) as well."""

    @abstractmethod
    def open(self, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
        """Parse and verify a notice, once. `claimed` is told the order number as soon as it is read, also of a notice
        that is refused then, and says which algorithm counts; the message's own is never believed. Raises Malformed,
        Implausible, BadSignature, WrongRecipient."""

    @abstractmethod
    def is_named_by(self, notice: IncomingNotice) -> bool:
        """Whether a notice says that it is for this account, believed or not. Whose keys verify it hangs on this."""

    @abstractmethod
    def acknowledge(self, ok: bool, reason: str = "", status: int = 500) -> Reply:
        """The provider's dialect of "received" or "send it again", the latter with `status` where that decides."""

    def refuse(self, notice: IncomingNotice, reason: str, status: int = 500) -> Reply:
        """`acknowledge` that a notice is to be sent again, in the dialect that it is written in: it may be another
        version's, of an account that is not ours, or not any more."""
        return self.acknowledge(False, reason, status)

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        """What a notice says, for people to read, believed or not; empty when it cannot be read."""
        return {}

    @abstractmethod
    def _redact(self, text: str) -> str:
        """A request or an answer without its signature, whole or cut off anywhere."""

    @property
    def fetches_certificates(self) -> bool:
        """Whether the configuration lets it ask for the provider's certificates."""
        return False

    def use_certificates(self, pems: str) -> None:
        """Verify with these as well, which were fetched before. Raises NotSupported unless it fetches any."""
        raise NotSupported(f"{self.name} fetches no certificates.")

    def refresh_certificates(self) -> int:
        """Fetch the provider's certificates anew, where the configuration says so; how many it has now."""
        return 0

    def probe(self) -> Probe:
        """A harmless signed call or two. Says how to mend what is wrong. Raises nothing."""
        started = time.monotonic_ns()
        called = self.address
        try:
            text = self.try_out()
        except GatewayError as error:
            # Whoever is silent or busy has said nothing about the keys.
            told = not isinstance(error, Unknown) or isinstance(error, Unsigned | WronglySigned)
            return Probe(False, called, since_ms(started), str(error), self._hint(error), told=told)
        return Probe(True, called, since_ms(started), text)

    def try_out(self) -> str:
        """Query an order that cannot exist, and perhaps more; what that proves, in the reader's language."""
        self.query(f"PROBE{secrets.token_hex(12)}")
        return str(_("The gateway answered; the signatures of both sides are right."))

    def _hint(self, error: GatewayError) -> str:
        """How to mend it; empty where the error says so itself."""
        if isinstance(error, NotConfigured):
            return ""
        known = (text for pattern, text in self.known_mistakes if re.search(pattern, str(error)))
        general = _NOT_REACHED if isinstance(error, Retryable) else _NOT_UNDERSTOOD
        return str(next(known, general))

    def exchange(
        self, operation: str, order_no: str, request: Outgoing, read: Callable[[HTTPAnswer], Result]
    ) -> Result:
        """Send, hand the answer to `read` whatever its status, and record both sides whatever happens. Raises Retryable
        when the request cannot have been seen, and what `read` raises."""
        started = time.monotonic_ns()
        said, outcome = "", GatewayError.outcome
        try:
            with traces.call(f"{self.name} {operation}", order=order_no) as span:
                answer = sent(request, self._http, self.limits, self.until_ns)
                span.note(**{"http.response.status_code": answer.status})
            said = f"({request.into.tell()} bytes)" if request.into else self._said(answer)
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

    def _said(self, answer: HTTPAnswer) -> str:
        """How the log of calls shows an answer."""
        return answer.body.decode(codec_of(answer), "replace")

    def _loggable(self, text: str) -> str:
        """Without signature, and such that a text column can hold it."""
        return self._redact(text).replace("\x00", "\ufffd")[:_LOGGED_CHARS]
