"""Notices of Alipay: signed forms, about payments and about refunds at the same address."""

from contextlib import suppress
from urllib.parse import parse_qsl

from topup.money import fen, fen_loosely

from .. import rsa
from ..errors import BadSignature, Implausible, Malformed, WrongRecipient
from ..notices import Claimed, IncomingNotice, OpenedNotice, any_algorithm
from ..orders import TradeState
from ..refunds import RefundHint
from .orders import TRADE_STATES, number_in, receipt, refunded_fen
from .refunds import REFUND_NO
from .wire import RSA2, AlipayWire, Fields, string_to_sign

_MAX_BYTES = 64 * 1024
_MAX_FIELDS = 200
# A character for each byte.
_BYTES = "latin-1"


def open_notice(wire: AlipayWire, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
    raw = _raw(notice.body)
    form = _read(raw)
    order_no = number_in(form)
    sign_type = claimed(order_no)
    # Empty values count, as in Alipay's own SDKs: it is the whole form that is signed, in the bytes that came, whatever
    # they are said to be.
    content = string_to_sign(raw, without={"sign", "sign_type"}).encode(_BYTES)
    # A notice names no certificate.
    signed = any(rsa.is_signed(key, content, form.get("sign", "")) for key in wire.keys.values())
    if sign_type not in {"", RSA2} or not signed:
        raise BadSignature("The notice is not signed by Alipay with RSA2.")
    if (form.get("app_id"), form.get("seller_id")) != (wire.app_id, wire.merchant_id):
        raise WrongRecipient(f"The notice is for {form.get('app_id')} / {form.get('seller_id')}.")
    if _is_about_refund(form):
        return OpenedNotice(order_no, refund=_refund(form))
    if TRADE_STATES.get(form.get("trade_status", "")) is TradeState.CLOSED and form.get("gmt_payment"):
        # What timed out was never paid: this was, and all of it went back.
        return OpenedNotice(order_no, refund=RefundHint(order_no, "", _amount(form)))
    if TRADE_STATES.get(form.get("trade_status", "")) is not TradeState.PAID:
        return OpenedNotice(order_no)
    return OpenedNotice(order_no, receipt(wire, form, paid_at=form.get("gmt_payment", ""), read=fen))


def parsed(body: bytes) -> Fields:
    """A notice's form, decoded once. Raises Malformed, also for a parameter that comes twice."""
    return _read(_raw(body))


def _raw(body: bytes) -> Fields:
    """A notice's form, each character one of its bytes. Raises Malformed."""
    if len(body) > _MAX_BYTES:
        raise Malformed(f"More than {_MAX_BYTES} bytes.")
    try:
        pairs = parse_qsl(
            body.decode(_BYTES).strip("\r\n"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding=_BYTES,
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise Malformed("The notice is not a form.") from error
    form = dict(pairs)
    if not form or len(form) != len(pairs):
        raise Malformed("The notice is empty, or has a parameter twice.")
    return form


def _read(raw: Fields) -> Fields:
    """The form in the charset that it names or, where it is not what it says, in UTF-8 or GB18030. Raises Malformed."""
    named = raw.get("charset", "").strip().lower()
    # GB18030 reads all that GBK and GB2312 write, and what is often written under their names.
    first = "gb18030" if named.startswith("gb") else "utf-8"
    content = [text.encode(_BYTES) for pair in raw.items() for text in pair]
    for codec in dict.fromkeys((first, "utf-8", "gb18030")):
        with suppress(UnicodeDecodeError):
            texts = [each.decode(codec) for each in content]
            return dict(zip(texts[::2], texts[1::2], strict=True))
    raise Malformed(f"The notice is in {named[:32]!r}, which is not read.")


def _is_about_refund(form: Fields) -> bool:
    """A partial refund is announced as TRADE_SUCCESS once more; only these tell it from the payment."""
    refunded = form.get("refund_fee", "").strip("0.") != ""
    return refunded or bool(form.get("gmt_refund")) or bool(form.get("out_biz_no"))


def _refund(form: Fields) -> RefundHint:
    # Another program's number may be anything; how much went back counts without it.
    refund_no = form.get("out_biz_no", "")
    known = REFUND_NO.fullmatch(refund_no) and refund_no.isprintable()
    return RefundHint(number_in(form), refund_no if known else "", refunded_fen(form))


def _amount(form: Fields) -> int:
    """What the trade was about, in fen. Raises Implausible."""
    try:
        return fen_loosely(form.get("total_amount", ""))
    except ValueError as error:
        raise Implausible(f"total_amount: {error}") from error
