"""Notices of WeChat Pay API v3: that somebody paid, or what became of a refund. Signed, and encrypted for us.

The APIv3 key opens a notice before its signature is checked, only to say which order it claims. It is the signature
that counts: whoever has the key is not yet WeChat Pay.
"""

from datetime import UTC, datetime

from ... import strict_json
from ...errors import BadSignature, GatewayError, Malformed, SignatureTried, WrongRecipient
from ...notices import Claimed, IncomingNotice, OpenedNotice, any_algorithm
from ...orders import ORDER_NO
from ...refunds import RefundHint
from ..trades import REFUND_NO, number_in
from .orders import payee_in, receipt
from .refunds import STATES
from .signing import SignatureMissing, SignatureWrong, is_tried, opened
from .wire import MAX_BYTES, Content, WeChatV3Wire


def open_notice(wire: WeChatV3Wire, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
    envelope = _envelope(notice.body)
    try:
        plain: bytes | None = opened(wire.config.api_v3_key, envelope["resource"])
    except ValueError:
        plain = None
    order_no = _claim(plain or b"", claimed)
    _check_signature(wire, notice, openable=plain is not None)
    if plain is None:
        raise BadSignature("WeChat Pay signed it, and our APIv3 key does not open it: enter the APIv3 key once more.")
    event = str(envelope.get("event_type", ""))
    if event.startswith("TRANSACTION."):
        return _about_payment(wire, _content(plain))
    if event.startswith("REFUND."):
        return _about_refund(wire, _content(plain))
    return OpenedNotice(order_no)


def is_for(wire: WeChatV3Wire, notice: IncomingNotice) -> bool:
    """Whether our APIv3 key opens it."""
    if not notice.body.lstrip().startswith(b"{") or b'"resource"' not in notice.body:
        return False
    try:
        opened(wire.config.api_v3_key, _envelope(notice.body)["resource"])
    except (ValueError, Malformed):
        return False
    return True


def _envelope(body: bytes) -> Content:
    if body.lstrip().startswith(b"<"):
        raise Malformed(
            "This is XML of API v2, though the account speaks v3: a refund made in WeChat Pay's console, for example. "
            "The refund is found by its query, or in the bill."
        )
    try:
        envelope = strict_json.object_in(body, MAX_BYTES)
    except ValueError as error:
        raise Malformed(f"The notice is not WeChat Pay's JSON: {error}.") from error
    if not isinstance(envelope.get("resource"), dict):
        raise Malformed("The notice holds no resource.")
    return envelope


def _content(plain: bytes) -> Content:
    try:
        return strict_json.object_in(plain, MAX_BYTES)
    except ValueError as error:
        raise Malformed(f"What the notice holds is not WeChat Pay's JSON: {error}.") from error


def _claim(plain: bytes, claimed: Claimed) -> str:
    """The order number that a notice claims, believed or not; empty when there is none."""
    try:
        number = strict_json.object_in(plain, MAX_BYTES).get("out_trade_no")
    except ValueError:
        return ""
    if not isinstance(number, str) or not ORDER_NO.fullmatch(number):
        return ""
    claimed(number)
    return number


def _check_signature(wire: WeChatV3Wire, notice: IncomingNotice, *, openable: bool) -> None:
    """Raises BadSignature. Only for what our key opens are certificates fetched: a stranger shall not make us."""
    at = notice.received or datetime.now(UTC)
    try:
        wire.verify(notice.headers, notice.body, at, may_fetch=openable)
    except SignatureMissing as error:
        raise BadSignature(f"{error} Does a proxy in front of this server remove them?") from error
    except SignatureWrong as error:
        if is_tried(notice.headers):
            raise SignatureTried(
                "WeChat Pay tried whether signatures are checked; the genuine notice follows."
            ) from error
        raise BadSignature(f"The notice is not signed by WeChat Pay. {error}") from error
    except GatewayError as error:
        raise BadSignature(f"The notice names a certificate that could not be fetched. {error}") from error


def _about_payment(wire: WeChatV3Wire, content: Content) -> OpenedNotice:
    word = content.get("trade_state")
    if not isinstance(word, str) or "out_refund_no" in content:
        raise Malformed("The notice says that somebody paid, and holds something else.")
    if payee_in(content) != wire.merchant_id or content.get("appid") not in wire.app_ids:
        raise WrongRecipient(f"The notice is for {content.get('appid')} / {payee_in(content)}.")
    order_no = number_in(content.get("out_trade_no"))
    return OpenedNotice(order_no, receipt(wire, content) if word == "SUCCESS" else None)


def _about_refund(wire: WeChatV3Wire, content: Content) -> OpenedNotice:
    """Which refund, and no more: what became of it, and how much it was, its query says."""
    refund_no = content.get("out_refund_no")
    if content.get("refund_status") not in STATES or not isinstance(refund_no, str):
        raise Malformed("The notice is about a refund, and holds something else.")
    if not REFUND_NO.fullmatch(refund_no):
        raise Malformed(f"out_refund_no {refund_no[:64]!r} is not one.")
    if content.get("mchid") != wire.merchant_id:
        raise WrongRecipient(f"The notice is for {content.get('mchid')}.")
    order_no = number_in(content.get("out_trade_no"))
    return OpenedNotice(order_no, refund=RefundHint(order_no, refund_no))
