"""Notices of Alipay: signed forms, about payments and about refunds at the same address."""

from urllib.parse import parse_qsl

from topup.money import fen

from .. import rsa
from ..errors import BadSignature, Malformed, WrongRecipient
from ..exchanges import CODECS
from ..notices import Claimed, IncomingNotice, OpenedNotice, any_algorithm
from ..orders import TradeState
from ..refunds import RefundHint
from .orders import TRADE_STATES, number_in, receipt, refunded_fen
from .refunds import REFUND_NO
from .wire import RSA2, AlipayWire, Fields, string_to_sign

_MAX_BYTES = 64 * 1024
_MAX_FIELDS = 200


def open_notice(wire: AlipayWire, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
    form = parsed(notice.body)
    order_no = number_in(form)
    sign_type = claimed(order_no)
    # Empty values count, as in Alipay's own SDKs: it is the whole form that is signed.
    text = string_to_sign(form, without={"sign", "sign_type"})
    # A notice names no certificate.
    content = text.encode(_charset(form))
    signed = any(rsa.is_signed(key, content, form.get("sign", "")) for key in wire.keys.values())
    if sign_type not in {"", RSA2} or not signed:
        raise BadSignature("The notice is not signed by Alipay with RSA2.")
    if (form.get("app_id"), form.get("seller_id")) != (wire.app_id, wire.merchant_id):
        raise WrongRecipient(f"The notice is for {form.get('app_id')} / {form.get('seller_id')}.")
    if _is_about_refund(form):
        return OpenedNotice(order_no, refund=_refund(form))
    if TRADE_STATES.get(form.get("trade_status", "")) is not TradeState.PAID:
        return OpenedNotice(order_no)
    return OpenedNotice(order_no, receipt(wire, form, paid_at=form.get("gmt_payment", ""), read=fen))


def parsed(body: bytes) -> Fields:
    """A notice's form, decoded once, by the charset that it names. Raises Malformed, also for a parameter that comes
    twice."""
    if len(body) > _MAX_BYTES:
        raise Malformed(f"More than {_MAX_BYTES} bytes.")
    # Its name is ASCII in every charset.
    charset = _charset(dict(_pairs(body, "latin-1")))
    if charset not in CODECS:
        raise Malformed(f"The notice is in {charset[:32]!r}, which is not read.")
    pairs = _pairs(body, charset)
    form = dict(pairs)
    if not form or len(form) != len(pairs):
        raise Malformed("The notice is empty, or has a parameter twice.")
    return form


def _charset(form: Fields) -> str:
    return form.get("charset", "utf-8").lower()


def _pairs(body: bytes, charset: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(charset),
            keep_blank_values=True,
            strict_parsing=True,
            encoding=charset,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise Malformed(f"The notice is not a form in {charset}.") from error


def _is_about_refund(form: Fields) -> bool:
    """A partial refund is announced as TRADE_SUCCESS once more; only these tell it from the payment."""
    refunded = form.get("refund_fee", "").strip("0.") != ""
    return refunded or bool(form.get("gmt_refund")) or bool(form.get("out_biz_no"))


def _refund(form: Fields) -> RefundHint:
    refund_no = form.get("out_biz_no", "")
    if refund_no and not REFUND_NO.fullmatch(refund_no):
        raise Malformed(f"out_biz_no {refund_no[:64]!r} is not one.")
    return RefundHint(number_in(form), refund_no, refunded_fen(form))
