"""Alipay (face to face, precreate): signed forms to one gateway, JSON answers, RSA2. Amounts are yuan in text.

Source: opendocs.alipay.com. The official SDK builds the requests; signing, sending and verifying are ours, because the
SDK accepts SHA-1, reads no PKCS#8 key and takes the process's time zone. A QR code's trade exists only once somebody
scanned it.
"""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.utils.translation import gettext_lazy as _

from topup.money import fen, yuan
from voicehelper.http import HTTP, TRUSTED

from . import rsa
from .base import (
    BEIJING,
    ORDER_NO,
    TRANSACTION_ID,
    BadSignature,
    Exchange,
    Gateway,
    GatewayError,
    Implausible,
    Malformed,
    NewOrder,
    NumberTaken,
    Offer,
    Outgoing,
    Problem,
    Receipt,
    Refused,
    Reply,
    Result,
    Retryable,
    Trade,
    TradeState,
    Unknown,
    Unsigned,
    WronglySigned,
    WrongRecipient,
    beijing_time,
    first_problems,
    forget,
    is_unset,
    is_web_address,
)
from .signed_json import JSONError, signed_member

ADDRESS = "https://openapi.alipay.com/gateway.do"
SANDBOX_ADDRESS = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"
RSA2 = "RSA2"

_MAX_BYTES = 64 * 1024
_MAX_FIELDS = 200
_SUBJECT_CHARS = 256
_TIME = "%Y-%m-%d %H:%M:%S"

_TRADE_STATES = {
    "WAIT_BUYER_PAY": TradeState.WAITING,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    # Timed out or refunded in full: either way the money is not with us.
    "TRADE_CLOSED": TradeState.CLOSED,
}
_ABSENT = "ACQ.TRADE_NOT_EXIST"
_NOT_OPEN = "ACQ.TRADE_STATUS_ERROR"
# Gateway codes that end a request for good, those that ask for patience, and the same of the sub_codes of 40004.
# Every other code leaves the outcome unknown: the documents do not list them all.
_FINAL = {"20001", "40001", "40002", "40006"}
_TRY_AGAIN = {"20000", "40005", "ACQ.SYSTEM_ERROR"}
_TAKEN = {"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_CLOSE", "ACQ.TRADE_HAS_FINISHED", "ACQ.CONTEXT_INCONSISTENT"}
_FINAL_SUB_CODES = {
    "ACQ.ACCESS_FORBIDDEN",
    "ACQ.EXIST_FORBIDDEN_WORD",
    "ACQ.INVALID_PARAMETER",
    "ACQ.PARTNER_ERROR",
    "ACQ.REASON_ILLEGAL_STATUS",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.SELLER_BEEN_BLOCKED",
    "ACQ.TOTAL_FEE_EXCEED",
    _ABSENT,
    _NOT_OPEN,
}

_KNOWN_MISTAKES = (
    (
        "does not fit the Alipay public key",
        _(
            "The Alipay public key is not Alipay's. Did you paste your application's public key? The open platform"
            " shows Alipay's beside it."
        ),
    ),
    (
        "isv.invalid-signature",
        _("The public key uploaded to the open platform does not belong to this private key."),
    ),
    (
        "isv.(invalid|missing)-app-id",
        _("Alipay does not know this app id. Copy it once more, and check whether it is a sandbox's."),
    ),
    ("isv.invalid-timestamp", _("This server's clock is wrong. Synchronise it (NTP).")),
    (
        "(?i)permission|ACCESS_FORBIDDEN",
        _("The application may not use face-to-face payment. Sign the product and publish the application."),
    ),
)

Fields = dict[str, str]


@dataclass(frozen=True)
class AlipayConfig:
    """The application at the open platform. `public_key` is Alipay's, not the application's. `gateway_url` empty is the
    real gateway, or Alipay's sandbox when `sandbox` is set."""

    app_id: str
    private_key: str = field(repr=False)
    public_key: str = field(repr=False)
    seller_id: str
    gateway_url: str = ""
    sandbox: bool = False

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        problems = first_problems(
            (is_unset(self.app_id), "app_id", _("Enter the application's id.")),
            (
                not re.fullmatch(r"(?!2088)[0-9]{16}", self.app_id),
                "app_id",
                _("An app id has 16 digits and does not begin with 2088 (that is a seller id)."),
            ),
            (
                is_unset(self.seller_id),
                "seller_id",
                _("Enter the seller id (PID): without it, a payment to somebody else looks like ours."),
            ),
            (
                not re.fullmatch(r"2088[0-9]{12}", self.seller_id),
                "seller_id",
                _("A seller id has 16 digits and begins with 2088."),
            ),
            (
                self.gateway_url != "" and not is_web_address(self.gateway_url),
                "gateway_url",
                _("The gateway's address must start with https:// or http://."),
            ),
        )
        return problems + self._key_problems()

    def _key_problems(self) -> list[Problem]:
        private, public, problems = None, None, []
        try:
            private = rsa.private_key(self.private_key)
        except rsa.KeyRefused as error:
            problems.append(Problem("private_key", str(error)))
        try:
            public = rsa.public_key(self.public_key)
        except rsa.KeyRefused as error:
            problems.append(Problem("public_key", str(error)))
        if private and public and rsa.same_pair(private, public):
            message = _(
                "This is your application's own public key. Copy Alipay's, shown beside it at the open platform."
            )
            problems.append(Problem("public_key", str(message)))
        return problems


def string_to_sign(fields: Mapping[str, str], *, without: Container[str]) -> str:
    """`fields` sorted by name in ASCII order, raw. A request leaves out `sign`, a notice `sign` and `sign_type`."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name not in without)


class Alipay(Gateway):
    """One application at Alipay."""

    name = "alipay"
    config_class = AlipayConfig
    known_mistakes = _KNOWN_MISTAKES

    def __init__(self, config: AlipayConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.seller_id
        self.sign_type = RSA2
        self.address = config.gateway_url or (SANDBOX_ADDRESS if config.sandbox else ADDRESS)
        self.live = urlsplit(self.address).hostname == urlsplit(ADDRESS).hostname
        self._private_key = rsa.private_key(config.private_key)
        self._public_key = rsa.public_key(config.public_key)

    def create(self, order: NewOrder) -> Offer:
        fields = {
            "out_trade_no": order.order_no,
            "total_amount": yuan(order.amount_fen),
            "subject": _subject(order.subject),
            "seller_id": self.merchant_id,
            "time_expire": f"{order.expires_at.astimezone(BEIJING):{_TIME}}",
            # The longest there is: time_expire ends the order, and a repeated request must not differ.
            "qr_code_timeout_express": "120m",
        }

        def read(answer: Fields) -> Offer:
            if not answer.get("qr_code"):
                raise Unknown("Alipay's answer holds no qr_code.")
            return Offer(answer["qr_code"])

        return self._call("create", "AlipayTradePrecreate", fields, read, notify_url=order.notify_url)

    def query(self, order_no: str) -> Trade:
        def read(answer: Fields) -> Trade:
            if answer.get("sub_code") == _ABSENT:
                return Trade(TradeState.ABSENT, _ABSENT)
            word = answer.get("trade_status", "")
            state = _TRADE_STATES.get(word)
            if state is None:
                raise Unknown(f"Alipay's trade_status {word!r} is not known.")
            if state is not TradeState.PAID:
                return Trade(state, word)
            try:
                return Trade(state, word, self._receipt(answer, paid_at=answer.get("send_pay_date", "")))
            except Malformed as error:
                raise Unknown(str(error)) from error

        return self._call("query", "AlipayTradeQuery", {"out_trade_no": order_no}, read, expected={_ABSENT})

    def close(self, order_no: str) -> TradeState:
        def read(answer: Fields) -> TradeState | None:
            # Not open any more: paid or closed, which only a query tells.
            states = {_ABSENT: TradeState.ABSENT, _NOT_OPEN: None}
            return states.get(answer.get("sub_code", ""), TradeState.CLOSED)

        fields = {"out_trade_no": order_no}
        state = self._call("close", "AlipayTradeClose", fields, read, expected={_ABSENT, _NOT_OPEN})
        return state or self.query(order_no).state

    def order_no_in(self, body: bytes) -> str:
        return _order_no(_parsed(body))

    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        notice = _parsed(body)
        # Empty values count, as in Alipay's own SDKs: it is the whole form that is signed.
        text = string_to_sign(notice, without={"sign", "sign_type"})
        if sign_type not in {"", RSA2} or not rsa.is_signed(self._public_key, text.encode(), notice.get("sign", "")):
            raise BadSignature("The notice is not signed by Alipay with RSA2.")
        if (notice.get("app_id"), notice.get("seller_id")) != (self.app_id, self.merchant_id):
            raise WrongRecipient(f"The notice is for {notice.get('app_id')} / {notice.get('seller_id')}.")
        if _TRADE_STATES.get(notice.get("trade_status", "")) is not TradeState.PAID or _is_about_refund(notice):
            return None
        return self._receipt(notice, paid_at=notice.get("gmt_payment", ""))

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        return Reply("success" if ok else "fail", "text/plain")

    def _call(
        self,
        operation: str,
        official_name: str,
        content: Fields,
        read: Callable[[Fields], Result],
        *,
        expected: Container[str] = (),
        notify_url: str = "",
    ) -> Result:
        """Sign and post a request and read the verified answer. `expected` are the sub_codes that `read` knows."""
        fields = {
            **_official(official_name, content, notify_url),
            "app_id": self.app_id,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": RSA2,
            "timestamp": f"{datetime.now(BEIJING):{_TIME}}",
        }
        text = string_to_sign(fields, without={"sign"})
        form = {**fields, "sign": rsa.sign(self._private_key, text.encode())}
        # Alipay decodes the form by the charset in the query string.
        del form["charset"]
        request = Outgoing(
            f"{self.address}?charset=utf-8",
            urlencode(form).encode(),
            "application/x-www-form-urlencoded; charset=utf-8",
            f"POST {text}",
        )
        node, order_no = f"{fields['method'].replace('.', '_')}_response", content["out_trade_no"]
        return self._exchange(
            operation, order_no, request, lambda body: read(self._verified(body, node, order_no, expected))
        )

    def _verified(self, body: bytes, node: str, order_no: str, expected: Container[str]) -> Fields:
        """An answer that is Alipay's word about this order. Raises Refused, Retryable or Unknown for any other."""
        try:
            raw, answer, signature = signed_member(body, (node, "error_response"))
        except JSONError as error:
            raise Unknown(f"Alipay's answer is not its JSON: {error}") from error
        code, sub_code = answer.get("code", ""), answer.get("sub_code", "")
        said = f"{answer.get('msg', '')} {answer.get('sub_msg', '')}".strip()
        if not signature:
            raise Unsigned(f"{sub_code or code}: {said}")
        if not rsa.is_signed(self._public_key, raw.encode(), signature):
            raise WronglySigned("Alipay's answer does not fit the Alipay public key that is configured.")
        if code == "40004" and sub_code in expected:
            return answer
        if code != "10000":
            raise _failure(code, sub_code, said)
        if answer.get("out_trade_no") != order_no:
            raise Unknown("Alipay answered about another order.")
        return answer

    def _receipt(self, fields: Fields, *, paid_at: str) -> Receipt:
        """The payment in a verified notice, or in the verified answer to a query of ours. Raises Implausible."""
        transaction_id = fields.get("trade_no", "")
        try:
            amount_fen = fen(fields.get("total_amount", ""))
        except ValueError as error:
            raise Implausible(f"total_amount: {error}") from error
        if not amount_fen:
            raise Implausible("total_amount is zero.")
        if not TRANSACTION_ID.fullmatch(transaction_id):
            raise Implausible(f"trade_no {transaction_id[:64]!r} is not one.")
        return Receipt(
            gateway=self.name,
            order_no=_order_no(fields),
            transaction_id=transaction_id,
            amount_fen=amount_fen,
            currency=fields.get("trans_currency") or "CNY",
            # A notice was compared with both; an answer was given to a request in their name.
            app_id=self.app_id,
            merchant_id=self.merchant_id,
            live=self.live,
            paid_at=beijing_time(paid_at, _TIME),
        )

    def _redact(self, text: str) -> str:
        return re.sub(r'("sign"\s*:\s*")[^"]*', r"\1…", text)


def _official(name: str, content: Fields, notify_url: str) -> Fields:
    """The parameters of the official SDK's request `name`. Imported on first use: it stands among 17,000 modules."""
    model = getattr(import_module(f"alipay.aop.api.domain.{name}Model"), f"{name}Model")()
    for key, value in content.items():
        if not hasattr(model, key):
            raise AttributeError(f"{name} has no field {key}.")
        setattr(model, key, value)
    request = getattr(import_module(f"alipay.aop.api.request.{name}Request"), f"{name}Request")(biz_model=model)
    request.notify_url = notify_url
    params: Fields = request.get_params()
    return params


def _parsed(body: bytes) -> Fields:
    """A notice's form, decoded once. Raises Malformed, also for a parameter that comes twice."""
    if len(body) > _MAX_BYTES:
        raise Malformed(f"More than {_MAX_BYTES} bytes.")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise Malformed("The notice is not a form in UTF-8.") from error
    form = dict(pairs)
    if not form or len(form) != len(pairs):
        raise Malformed("The notice is empty, or has a parameter twice.")
    if form.get("charset", "utf-8").lower() != "utf-8":
        raise Malformed("The notice is not in UTF-8.")
    return form


def _order_no(fields: Fields) -> str:
    order_no = fields.get("out_trade_no", "")
    if not ORDER_NO.fullmatch(order_no):
        raise Malformed(f"out_trade_no {order_no[:64]!r} is not one of ours.")
    return order_no


def _is_about_refund(notice: Fields) -> bool:
    """A partial refund is announced as TRADE_SUCCESS once more; only these tell it from the payment."""
    refunded = notice.get("refund_fee", "").strip("0.") != ""
    return refunded or bool(notice.get("gmt_refund")) or bool(notice.get("out_biz_no"))


def _failure(code: str, sub_code: str, said: str) -> GatewayError:
    """What a code other than 10000 means for whoever asked."""
    if code in _TRY_AGAIN or sub_code in _TRY_AGAIN:
        return Retryable(f"{sub_code or code}: {said}")
    if sub_code in _TAKEN:
        return NumberTaken(sub_code, said)
    if code in _FINAL or (code == "40004" and sub_code in _FINAL_SUB_CODES):
        return Refused(sub_code or code, said)
    return Unknown(f"{code} {sub_code}: {said}")


def _subject(text: str) -> str:
    """What `subject` may hold: 256 characters, without control characters and / = &."""
    plain = "".join(" " if not character.isprintable() or character in "/=&" else character for character in text)
    return plain[:_SUBJECT_CHARS]
