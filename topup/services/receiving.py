"""The inbox: what providers post to us. Open, store, settle or look after a refund, answer; and replay what went wrong.

A provider is answered "received" only after the commit that credited the order (or found it credited). Whatever is not
certain is answered "send it again".
"""

import logging
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper import rows
from voicehelper.api import ratelimit

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import BadSignature, GatewayError, Implausible, Malformed, SignatureTried, WrongRecipient
from ..gateways.notices import IncomingNotice, Reply
from ..gateways.orders import Receipt
from ..gateways.refunds import RefundHint
from ..models import Notice, Order
from . import (
    SettledOrder,
    Settlement,
    TopupError,
    confirm_payment,
    gateway_for,
    hear_of_refund,
    must_be_confirmed,
    settle_order,
    takes_orders,
)
from .configured import Configured, configured
from .opening import CONFIRM_LIMITS, account_behind, addressed, as_it_came, open_notice

log = logging.getLogger(__name__)

UNKNOWN_ORDER_ALERT_AFTER = 3
# Strangers can post as much as they like; only so much of it is worth keeping.
FOLLOW_HINTS_FOR = timedelta(days=2)
KEEP_REJECTED = "60 per minute"
KEEP_REJECTED_CHARS = 4096

_V = Notice.Verdict
_OF_SETTLEMENT = {
    Settlement.CREDITED: _V.CREDITED,
    Settlement.DUPLICATE: _V.DUPLICATE,
    Settlement.MISMATCH: _V.MISMATCH,
    Settlement.UNKNOWN_ORDER: _V.UNKNOWN_ORDER,
    Settlement.GIVEN_BACK: _V.REFUND,
    Settlement.UNSURE: _V.UNCONFIRMED,
}
_ACKNOWLEDGED = (_V.CREDITED, _V.DUPLICATE, _V.IGNORED, _V.REFUND)
# What the provider is told; the words are the field's.
_REASONS = {
    _V.MALFORMED: "解析数据失败",
    _V.FORGED: "签名验证失败",
    _V.MISMATCH: "处理失败",
    _V.UNKNOWN_ORDER: "订单不存在",
    _V.UNCONFIRMED: "处理失败",
    _V.FAILED: "处理失败",
}
# Where the status says it, and not the words.
_STATUSES = {_V.MALFORMED: 400, _V.FORGED: 401}


def receive_notice(gateway_name: str, incoming: IncomingNotice, *, source: str) -> Reply:
    """Handle a callback, about a payment or a refund, and say what to answer, also for a gateway that is switched off.
    Raises GatewayOff or UnknownGateway: there is nobody here to answer."""
    now = configured()
    gateway = addressed(gateway_name, incoming, now)
    if not incoming.body:
        return gateway.refuse(incoming, "读取数据失败", 400)
    notice = _process(gateway, incoming, now, source=source)
    _tell_while_off(notice, now)
    if notice.acknowledged:
        return gateway.acknowledge(True)
    verdict = _V(notice.verdict)
    return gateway.refuse(incoming, _REASONS.get(verdict, ""), _STATUSES.get(verdict, 500))


def replay_notice(notice: Notice, *, actor: str) -> Notice:
    """Handle a stored notice once more, as if it had just come; the outcome is a row of its own. Raises GatewayOff."""
    gateway = account_behind(notice)
    return _process(gateway, as_it_came(notice), configured(), source=notice.source, replay_of=notice, actor=actor)


# --- What it says ----------------------------------------------------------------------------------------------------
def _process(
    gateway: Gateway, incoming: IncomingNotice, now: Configured, *, source: str | None, **facts: Any
) -> Notice:
    """Open, store, settle or look after the refund; returns the notice with its verdict."""
    notice = Notice(
        gateway=gateway.name,
        source=source,
        body=_as_text(incoming.body),
        **facts,
    )
    try:
        gateway, opened = open_notice(gateway, incoming, notice)
    except Implausible as error:
        # Genuine, so it must not be forgotten: flag the order, like any amount that differs.
        _alert_mismatch(notice, str(error))
        Order.objects.filter(order_no=notice.order_no).update(review=str(error)[:200])
        return _finish(notice, _V.MISMATCH, str(error))
    except Malformed as error:
        return _reject(notice, _V.MALFORMED, str(error))
    except BadSignature as error:
        return _reject(notice, _V.FORGED, str(error), alarming=not isinstance(error, SignatureTried))
    except WrongRecipient as error:
        _alert_mismatch(notice, str(error))
        return _finish(notice, _V.MISMATCH, str(error))
    if opened.receipt:
        return _credit(gateway, notice, opened.receipt, now, sure=opened.signed)
    if opened.refund and (notice.order or not opened.signed):
        looked_after = _look_after_refund(notice, opened.refund)
        return _acknowledge(looked_after) if opened.signed else looked_after
    return _finish(notice, _V.IGNORED, "")


def _credit(gateway: Gateway, notice: Notice, receipt: Receipt, now: Configured, *, sure: bool) -> Notice:
    # Stored before it is settled, so that a crash in between leaves a trace to replay.
    rows.insert(notice)
    try:
        settled = _settle(gateway, receipt, notice, now, sure=sure)
    except Exception:
        log.exception("Settling order %s failed", notice.order_no)
        return _finish(notice, _V.FAILED, "An error inside; see the log.")
    if settled is None:
        return _finish(notice, _V.UNCONFIRMED, "The provider did not confirm the payment in time.")
    if settled.outcome == Settlement.UNKNOWN_ORDER:
        _alert_unknown_order(notice)
    return _finish(notice, _OF_SETTLEMENT[settled.outcome], settled.detail, stored=settled.noted)


def _look_after_refund(notice: Notice, hint: RefundHint) -> Notice:
    """Keep what a notice claims, or ask the provider about it."""
    if notice.order and notice.order.gateway != notice.gateway:
        notice.order = None
    notice.save()
    if notice.order is None:
        _alert_unknown_order(notice)
        return _finish(notice, _V.UNKNOWN_ORDER, f"No order {hint.order_no}.")
    if not hear_of_refund(notice.order, hint, source="notice", limits=CONFIRM_LIMITS):
        return _finish(notice, _V.UNCONFIRMED, "The provider gave no certain answer about the refund.")
    return _finish(notice, _V.REFUND, f"Refund {hint.refund_no or '-'}")


def _settle(gateway: Gateway, receipt: Receipt, notice: Notice, now: Configured, *, sure: bool) -> SettledOrder | None:
    """None: the provider was asked and did not say the same, or nothing."""
    order = notice.order
    if order is None or not must_be_confirmed(order, receipt, now.recharge, sure=sure):
        return settle_order(receipt, source="notice", order=order, notice=notice.pk)
    if gateway.app_id != order.app_id:
        gateway = gateway_for(order, limits=CONFIRM_LIMITS) or gateway
    return confirm_payment(order, receipt, gateway, source="notice", sure=sure)


def _tell_while_off(notice: Notice, now: Configured) -> None:
    """Somebody switched the gateway off, and somebody paid: worth knowing once, and no trouble."""
    if notice.verdict not in Notice.UNVERIFIED and not takes_orders(notice.gateway, now=now):
        raise_alert(
            "notice_while_off",
            level="info",
            title=Text(gettext_noop("A gateway that is switched off was sent a notice")),
            content=Text(
                gettext_noop("For order %(order)s. What is under way is served to its end; no new orders are taken."),
                order=notice.order_no,
            ),
            key=f"while-off:{notice.gateway}",
            about=notice if notice.pk else "",
            platform=notice.gateway,
        )


def _acknowledge(notice: Notice) -> Notice:
    """A genuine notice that paid nothing need not come again: what it could not confirm, `follow_refund_hints` asks."""
    if not notice.acknowledged:
        notice.acknowledged = True
        notice.save(update_fields=["acknowledged"])
    return notice


def follow_refund_hints(limit: int = 20) -> int:
    """Ask again about refunds whose notice was received and could not be confirmed; returns how many now are."""
    done = 0
    waiting = Notice.objects.filter(
        gateway__in=GATEWAYS, verdict=_V.UNCONFIRMED, acknowledged=True, received__gt=Now() - FOLLOW_HINTS_FOR
    )
    for notice in waiting.select_related("order__user", "account").order_by("-received")[:limit]:
        try:
            _gateway, opened = open_notice(account_behind(notice), as_it_came(notice), notice)
        except (GatewayError, TopupError) as error:
            log.warning("Notice %s cannot be followed: %s", notice, error)
            continue
        hint = opened.refund
        if hint and notice.order and hear_of_refund(notice.order, hint, source="notice"):
            _finish(notice, _V.REFUND, f"Refund {hint.refund_no or '-'}")
            done += 1
    return done


def _finish(notice: Notice, verdict: Notice.Verdict, detail: str, *, stored: bool = False) -> Notice:
    notice.verdict = verdict
    notice.detail = detail[:300]
    notice.acknowledged = verdict in _ACKNOWLEDGED
    if stored:
        return notice
    notice.save(update_fields=["verdict", "detail", "acknowledged"] if notice.pk else None)
    return notice


def _reject(notice: Notice, verdict: Notice.Verdict, detail: str, *, alarming: bool = True) -> Notice:
    """A notice nobody vouches for: kept for the operator to look at, but not more of it than is useful."""
    notice.body = notice.body[:KEEP_REJECTED_CHARS]
    notice.account = None
    notice.verdict = verdict
    notice.detail = detail[:300]
    if ratelimit.hit(KEEP_REJECTED, "rejected-notices", notice.gateway):
        log.warning("A %s notice was rejected and not kept: %s", notice.gateway, detail)
        return notice
    notice.save()
    if verdict == _V.FORGED and alarming:
        raise_alert(
            "forged_notice",
            level="critical",
            title=Text(gettext_noop("A notice with a wrong signature")),
            content=_where_from(notice, detail),
            key=f"forged:{notice.gateway}",
            about=notice,
            platform=notice.gateway,
        )
    return notice


def _alert_mismatch(notice: Notice, problem: str) -> None:
    raise_alert(
        "notice_mismatch",
        level="critical",
        title=Text(gettext_noop("A genuine notice that does not fit")),
        content=_where_from(notice, problem),
        key=f"misfit:{notice.gateway}:{notice.order_no}",
        about=notice if notice.pk else "",
        platform=notice.gateway,
    )


def _where_from(notice: Notice, problem: str) -> Text:
    facts = {"source": notice.source, "order": notice.order_no or "-", "problem": problem}
    return Text(gettext_noop("From %(source)s, for order %(order)s: %(problem)s"), **facts)


def _alert_unknown_order(notice: Notice) -> None:
    """One may be a stray; the provider repeating it means that somebody paid for an order we lost."""
    seen = Notice.objects.filter(gateway=notice.gateway, order_no=notice.order_no).count()
    if seen >= UNKNOWN_ORDER_ALERT_AFTER:
        raise_alert(
            "unknown_order",
            level="critical",
            title=Text(gettext_noop("Payment for an unknown order %(order)s"), order=notice.order_no),
            content=Text(gettext_noop("Genuine notices for it came %(count)s times."), count=seen),
            key=f"unknown-order:{notice.order_no}",
            about=notice if notice.pk else "",
            platform=notice.gateway,
        )


def _as_text(body: bytes) -> str:
    """What a text column can hold: undecodable bytes and NULs replaced. A genuine notice loses nothing."""
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd")
