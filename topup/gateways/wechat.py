"""WeChat Pay, API v2 (Native): XML over HTTPS, signed with the merchant's API key. Amounts are integer fen.

Source: pay.weixin.qq.com/doc/v2. An answer is judged in this order, and no further than it holds: return_code
(transport; a FAIL is not signed), sign, appid and mch_id, result_code, and for a query trade_state.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from voicehelper.http import HTTP, TRUSTED

from . import xml
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

ADDRESS = "https://api.mch.weixin.qq.com"
_REAL_HOSTS = {"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "apihk.mch.weixin.qq.com"}

HMAC_SHA256, MD5 = "HMAC-SHA256", "MD5"
SIGN_TYPES = (HMAC_SHA256, MD5)

# WeChat refuses a time_expire less than five minutes away. Five minutes after our own expiry is always far enough, and
# the same whenever the request is sent again; in between it is we who close the order.
_GRACE = timedelta(minutes=5)
_BODY_BYTES = 127
_MAX_FEN = 2**63 - 1

_TRADE_STATES = {
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.REFUNDED,
    "NOTPAY": TradeState.WAITING,
    "USERPAYING": TradeState.WAITING,
    "ACCEPT": TradeState.WAITING,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
    "PAYERROR": TradeState.CLOSED,
}
_CLOSE_CODES = {
    "ORDERCLOSED": TradeState.CLOSED,
    "ORDERPAID": TradeState.PAID,
    "ORDERNOTEXIST": TradeState.ABSENT,
}
# Every code in none of these three sets leaves the outcome unknown: the documents do not list them all.
_TRY_AGAIN = {"SYSTEMERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED"}
_TAKEN = {"ORDERPAID", "ORDERCLOSED", "OUT_TRADE_NO_USED"}
_FINAL = {
    "APPID_MCHID_NOT_MATCH",
    "APPID_NOT_EXIST",
    "INVALID_REQUEST",
    "LACK_PARAMS",
    "MCHID_NOT_EXIST",
    "NOAUTH",
    "NOTENOUGH",
    "NOT_UTF8",
    "ORDERNOTEXIST",
    "PARAM_ERROR",
    "POST_DATA_EMPTY",
    "REQUIRE_POST_METHOD",
    "SIGNERROR",
    "TRADE_STATE_ERROR",
    "XML_FORMAT_ERROR",
}

_KNOWN_MISTAKES = (
    (
        "签名|SIGNERROR",
        _("The API v2 key is not the one set at WeChat Pay (account centre, API security). Enter it once more."),
    ),
    (
        "not signed with our API key",
        _("Somebody between this server and WeChat Pay answered in its place, or the API v2 key was just changed."),
    ),
    (
        "APPID_MCHID_NOT_MATCH|appid.*mch_id",
        _("The app id is not bound to this merchant number. Bind it at WeChat Pay (product centre, app ids)."),
    ),
    ("(?i)appid", _("WeChat Pay does not know this app id. Copy it once more.")),
    ("(?i)mch_?id|商户号", _("WeChat Pay does not know this merchant number. Copy it once more.")),
    ("NOAUTH", _("Native payment is not enabled for this merchant. Apply for it at WeChat Pay (product centre).")),
)

Fields = dict[str, str]


@dataclass(frozen=True)
class WeChatConfig:
    """The merchant account. `base_url` empty is the real gateway."""

    app_id: str
    mch_id: str
    api_key: str = field(repr=False)
    sign_type: str = HMAC_SHA256
    base_url: str = ""

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from working; empty when it can. Sends nothing."""
        length = {"length": len(self.api_key)}
        return first_problems(
            (is_unset(self.app_id), "app_id", _("Enter the app id that is bound to the merchant number.")),
            (
                not re.fullmatch(r"w[wx][0-9A-Za-z]{16}", self.app_id),
                "app_id",
                _("An app id is wx and 16 letters and digits, without spaces."),
            ),
            (is_unset(self.mch_id), "mch_id", _("Enter the merchant number.")),
            (
                not re.fullmatch(r"[0-9]{8,32}", self.mch_id),
                "mch_id",
                _("A merchant number has digits only, usually ten."),
            ),
            (is_unset(self.api_key), "api_key", _("Enter the API v2 key.")),
            (
                not re.fullmatch(r"[0-9A-Za-z]{32}", self.api_key),
                "api_key",
                _("The API v2 key has exactly 32 letters and digits; this has %(length)d characters.") % length,
            ),
            (
                len(set(self.api_key)) < 5,
                "api_key",
                _("This API v2 key is too easily guessed. Set a random one at WeChat Pay."),
            ),
            (self.sign_type not in SIGN_TYPES, "sign_type", _("Choose HMAC-SHA256 or MD5.")),
            (
                self.base_url != "" and not is_web_address(self.base_url),
                "base_url",
                _("The gateway's address must start with https:// or http://."),
            ),
        )


def string_to_sign(fields: Mapping[str, str | None], key: str) -> str:
    """Every non-empty field but `sign`, sorted by name in ASCII order, and the key. "0" is not empty."""
    pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if value and name != "sign"]
    return "&".join([*pairs, f"key={key}"])


def sign(fields: Mapping[str, str | None], key: str, sign_type: str) -> str:
    """The signature of `fields`, in upper-case hex. Raises ValueError for an empty key or an unknown algorithm.

    It is also the second signature (paySign) that a mini program wants, over its five fields.
    """
    if not key:
        raise ValueError("An empty key signs nothing.")
    text = string_to_sign(fields, key).encode()
    if sign_type == HMAC_SHA256:
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()
    if sign_type == MD5:
        # The protocol's choice, not ours; the flag lets a FIPS build compute it.
        return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()
    raise ValueError(f"{sign_type!r} is not an algorithm of WeChat Pay v2.")


class WeChatPay(Gateway):
    """One merchant account at WeChat Pay."""

    name = "wechat"
    config_class = WeChatConfig
    known_mistakes = _KNOWN_MISTAKES
    # WeChat refuses to close a younger order.
    close_after_s = 300

    def __init__(self, config: WeChatConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.mch_id
        self.sign_type = config.sign_type
        self.address = config.base_url.rstrip("/") or ADDRESS
        self.live = urlsplit(self.address).hostname in _REAL_HOSTS
        self._key = config.api_key

    def create(self, order: NewOrder) -> Offer:
        fields = {
            "out_trade_no": order.order_no,
            "product_id": order.order_no,
            "body": _short(order.subject),
            "fee_type": "CNY",
            "total_fee": str(order.amount_fen),
            "spbill_create_ip": order.client_ip,
            "time_expire": f"{(order.expires_at + _GRACE).astimezone(BEIJING):%Y%m%d%H%M%S}",
            "notify_url": order.notify_url,
            "trade_type": "NATIVE",
        }

        def read(answer: Fields) -> Offer:
            if not answer.get("code_url"):
                raise Unknown("WeChat Pay's answer holds no code_url.")
            return Offer(answer["code_url"])

        return self._call("create", "/pay/unifiedorder", fields, read)

    def query(self, order_no: str) -> Trade:
        def read(answer: Fields) -> Trade:
            if answer.get("err_code") == "ORDERNOTEXIST":
                return Trade(TradeState.ABSENT, "ORDERNOTEXIST")
            if answer.get("out_trade_no") != order_no:
                raise Unknown("WeChat Pay answered about another order.")
            word = answer.get("trade_state", "")
            state = _TRADE_STATES.get(word)
            if state is None:
                raise Unknown(f"WeChat Pay's trade_state {word!r} is not known.")
            # A refunded order's answer need not hold the payment.
            paid = state is TradeState.PAID or (state is TradeState.REFUNDED and "transaction_id" in answer)
            try:
                return Trade(state, word, self._receipt(answer) if paid else None)
            except Malformed as error:
                raise Unknown(str(error)) from error

        return self._call("query", "/pay/orderquery", {"out_trade_no": order_no}, read, expected={"ORDERNOTEXIST"})

    def close(self, order_no: str) -> TradeState:
        def read(answer: Fields) -> TradeState:
            return _CLOSE_CODES[answer["err_code"]] if answer["result_code"] == "FAIL" else TradeState.CLOSED

        return self._call("close", "/pay/closeorder", {"out_trade_no": order_no}, read, expected=_CLOSE_CODES)

    def order_no_in(self, body: bytes) -> str:
        return _order_no(_parsed(body))

    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        notice = _parsed(body)
        if notice.get("return_code") != "SUCCESS":
            raise Malformed("The notice does not say return_code SUCCESS.")
        if not self._is_signed(notice, sign_type or self.sign_type):
            raise BadSignature("The notice is not signed with our API key.")
        if not self._is_ours(notice):
            raise WrongRecipient(f"The notice is for {notice.get('appid')} / {notice.get('mch_id')}.")
        # The answer to a query is signed in the same way: trade_state keeps one from passing for a notice.
        if notice.get("result_code") != "SUCCESS" or notice.get("trade_state", "SUCCESS") != "SUCCESS":
            return None
        return self._receipt(notice)

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        fields = {"return_code": "SUCCESS" if ok else "FAIL", "return_msg": "OK" if ok else _plain(reason)}
        return Reply(xml.build(fields), "text/xml; charset=utf-8")

    def _call(
        self, operation: str, path: str, fields: Fields, read: Callable[[Fields], Result], expected: Container[str] = ()
    ) -> Result:
        """Sign and post `fields` and read the verified answer. `expected` are the err_codes that `read` knows."""
        fields = {
            "appid": self.app_id,
            "mch_id": self.merchant_id,
            "nonce_str": secrets.token_hex(16),
            "sign_type": self.sign_type,
            **fields,
        }
        text = xml.build({**fields, "sign": sign(fields, self._key, self.sign_type)})
        request = Outgoing(self.address + path, text.encode(), "text/xml; charset=utf-8", f"POST {path}\n{text}")
        return self._exchange(
            operation, fields["out_trade_no"], request, lambda body: read(self._verified(body, expected))
        )

    def _verified(self, body: bytes, expected: Container[str]) -> Fields:
        """An answer that is WeChat's word about our account. Raises Refused, Retryable or Unknown for any other."""
        try:
            answer = xml.parse(body)
        except xml.XMLError as error:
            raise Unknown(f"WeChat Pay's answer is not its XML: {error}") from error
        if answer.get("return_code") != "SUCCESS":
            raise Unsigned(answer.get("return_msg", ""))
        if not self._is_signed(answer, self.sign_type):
            raise WronglySigned("WeChat Pay's answer is not signed with our API key.")
        if not self._is_ours(answer):
            raise Unknown(f"WeChat Pay answered for {answer.get('appid')} / {answer.get('mch_id')}.")
        code = answer.get("err_code", "")
        if answer.get("result_code") != "SUCCESS" and not (answer.get("result_code") == "FAIL" and code in expected):
            raise _failure(code, answer.get("err_code_des", ""))
        return answer

    def _is_signed(self, fields: Fields, sign_type: str) -> bool:
        """By our key and this algorithm: the message may not choose it, and often does not say HMAC-SHA256."""
        if sign_type not in SIGN_TYPES:
            return False
        return hmac.compare_digest(sign(fields, self._key, sign_type).encode(), fields.get("sign", "").encode())

    def _is_ours(self, fields: Fields) -> bool:
        return (fields.get("appid"), fields.get("mch_id")) == (self.app_id, self.merchant_id)

    def _receipt(self, fields: Fields) -> Receipt:
        """The payment in a verified notice or query. total_fee is what was asked; cash_fee is less when the buyer had
        coupons. Raises Implausible."""
        amount = fields.get("total_fee", "")
        transaction_id = fields.get("transaction_id", "")
        if not re.fullmatch(r"[1-9][0-9]{0,18}", amount) or int(amount) > _MAX_FEN:
            raise Implausible(f"total_fee {amount[:32]!r} is not an amount in fen.")
        if not TRANSACTION_ID.fullmatch(transaction_id):
            raise Implausible(f"transaction_id {transaction_id[:64]!r} is not one.")
        return Receipt(
            gateway=self.name,
            order_no=_order_no(fields),
            transaction_id=transaction_id,
            amount_fen=int(amount),
            currency=fields.get("fee_type") or "CNY",
            app_id=fields["appid"],
            merchant_id=fields["mch_id"],
            live=self.live,
            paid_at=beijing_time(fields.get("time_end", ""), "%Y%m%d%H%M%S"),
        )

    def _redact(self, text: str) -> str:
        return re.sub(r"(<sign>).*?(</sign>|\Z)", r"\1…\2", text, flags=re.DOTALL)


def _parsed(body: bytes) -> Fields:
    try:
        return xml.parse(body)
    except xml.XMLError as error:
        raise Malformed(f"The notice is not WeChat Pay's XML: {error}") from error


def _order_no(fields: Fields) -> str:
    order_no = fields.get("out_trade_no", "")
    if not ORDER_NO.fullmatch(order_no):
        raise Malformed(f"out_trade_no {order_no[:64]!r} is not one of ours.")
    return order_no


def _failure(code: str, text: str) -> GatewayError:
    """What an err_code means for whoever asked."""
    if code in _TAKEN:
        return NumberTaken(code, text)
    if code in _FINAL:
        return Refused(code, text)
    return (Retryable if code in _TRY_AGAIN else Unknown)(f"{code}: {text}")


def _plain(text: str) -> str:
    """Without control characters, which XML cannot carry."""
    return "".join(character if character.isprintable() else " " for character in text)


def _short(text: str) -> str:
    """What `body` may hold: 127 bytes of UTF-8, cut between two characters."""
    return _plain(text).encode()[:_BODY_BYTES].decode(errors="ignore")
