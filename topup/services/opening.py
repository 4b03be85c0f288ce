"""Opening a notice: the merchant account that it names, the keys that verify it, the order that it claims."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

from voicehelper import rows
from voicehelper.net.http import Limits

from ..gateways.base import Gateway
from ..gateways.errors import BadSignature, NotConfigured, WrongRecipient
from ..gateways.notices import IncomingNotice, OpenedNotice
from ..models import Notice, Order
from .accounts import account_of, retired_accounts
from .configured import Configured
from .errors import GatewayOff
from .gateways import open_account, open_gateway, with_former_keys

# A notice must be answered within 5 s, so the confirming query gets 3 s in all.
CONFIRM_LIMITS = Limits(connect_s=1, read_s=2, total_s=3)


def addressed(name: str, incoming: IncomingNotice, now: Configured | None = None) -> Gateway:
    """The account that a notice names: the active one first, then those that were retired. When it names none, the
    active one says so. Raises GatewayOff or UnknownGateway."""
    active, latest = None, None
    try:
        active = open_gateway(name, limits=CONFIRM_LIMITS, now=now)
        if not incoming.body or active.is_named_by(incoming):
            return active
    except GatewayOff:
        pass
    for account in retired_accounts(name):
        try:
            gateway = open_account(account, limits=CONFIRM_LIMITS)
        except NotConfigured:
            continue
        if gateway.is_named_by(incoming):
            return gateway
        latest = latest or gateway
    if found := active or latest:
        return found
    raise GatewayOff(name)


def account_behind(notice: Notice) -> Gateway:
    """The account that vouched for a stored notice; of one that none did, the account that it names. Raises
    GatewayOff."""
    if notice.account is None:
        return addressed(notice.gateway, as_it_came(notice))
    try:
        return open_account(notice.account, limits=CONFIRM_LIMITS)
    except NotConfigured as error:
        raise GatewayOff(notice.gateway) from error


def open_notice(gateway: Gateway, incoming: IncomingNotice, notice: Notice) -> tuple[Gateway, OpenedNotice]:
    """A notice opened and verified, and whose it is: of two accounts that it names, that of the order it claims. When
    the keys of both open it, it may be about a payment to the other: then it only makes us ask. Raises what opening
    does."""
    try:
        opened = _verified(gateway, incoming, notice)
    except (BadSignature, WrongRecipient):
        if its_own := _orders_own(gateway, incoming, notice.order):
            return its_own, _verified(its_own, incoming, notice)
        raise
    if its_own := _orders_own(gateway, incoming, notice.order):
        opened = _verified(its_own, incoming, notice)
        hint = replace(opened.refund, refunded_fen=0) if opened.refund else None
        return its_own, replace(opened, refund=hint, signed=False)
    return gateway, opened


def _verified(gateway: Gateway, incoming: IncomingNotice, notice: Notice) -> OpenedNotice:
    """Opened with the keys of an account, or with those it had until lately. What it signs is kept."""
    notice.account_id = gateway.account
    notice.headers = {name: incoming.headers[name] for name in gateway.signed_headers if name in incoming.headers}
    notice.query = incoming.query if gateway.signs_query else ""
    try:
        return gateway.open(incoming, partial(_claimed, notice))
    except BadSignature:
        for former in with_former_keys(gateway):
            with suppress(BadSignature):
                return former.open(incoming, partial(_claimed, notice))
        raise


def _orders_own(gateway: Gateway, incoming: IncomingNotice, order: Order | None) -> Gateway | None:
    """The account of an order, when that is another than the notice was opened for, and the notice names it too."""
    if order is None or order.gateway != gateway.name or order.account_id == gateway.account:
        return None
    account = account_of(order)
    if account is None or account.pk == gateway.account:
        return None
    try:
        its_own = open_account(account, limits=CONFIRM_LIMITS)
    except (NotConfigured, GatewayOff):
        return None
    return its_own if its_own.is_named_by(incoming) else None


def _claimed(notice: Notice, order_no: str) -> str:
    """Put the order beside the notice that claims it. The algorithm recorded with it counts."""
    notice.order_no = order_no
    (notice.order,) = rows.first(Order, "WHERE order_no = %s", [order_no]) or (None,)
    return notice.order.sign_type if notice.order and notice.order.gateway == notice.gateway else ""


def as_it_came(notice: Notice) -> IncomingNotice:
    """As it came, and when: its signature is as old as it was then, however often it is replayed."""
    first = notice
    while first.replay_of:
        first = first.replay_of
    return IncomingNotice(notice.body.encode(), notice.headers, notice.query, first.received)
