"""The gateways, each for one merchant account: for new orders as the settings have it, for others as theirs was."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic_ns
from typing import Any

from django.utils.translation import gettext_noop

from notifications.services import raise_alert, resolve_passed
from notifications.texts import Text
from voicehelper import clock, rows
from voicehelper.api import ratelimit
from voicehelper.net.http import Limits
from voicehelper.secrets import SecretUnreadable

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import GatewayError, NotConfigured
from ..gateways.exchanges import Exchange
from ..gateways.ways import Place
from ..models import GatewayCall, GatewaySettings, MerchantAccount, Order, ProviderCertificate
from ..models.orders import KEYLESS
from .accounts import account_in_use, account_of, active_account, burden_of, retired_accounts
from .certificates import keep_certificate, may_fetch_certificate
from .configured import Configured, configured
from .errors import GatewayOff, TopupError, UnknownGateway

log = logging.getLogger(__name__)

UNREACHABLE_AFTER = 5
# Outcomes of a call that say nothing about the order.
NO_ANSWER = ("unknown", "retryable")
EXPIRES_SOON = timedelta(days=30)


def section_of(name: str) -> GatewaySettings:
    """A gateway's settings row. Raises UnknownGateway."""
    if name not in GATEWAYS:
        raise UnknownGateway(name)
    return GatewaySettings.of(name).load()


def open_gateway(
    name: str, *, app_id: str = "", limits: Limits | None = None, now: Configured | None = None
) -> Gateway:
    """The gateway as configured `now`, for orders of another app of the same account with `app_id`. Switched off or
    not, it serves what is under way. Raises UnknownGateway, or GatewayOff unless it is complete."""
    now = now or configured()
    kept = now.gateways.get((name, app_id))
    if kept is None:
        kept = _opened(now.section(name), app_id)
        if kept.account is not None:
            now.gateways[name, app_id] = kept
    return _within(limits, copy(kept))


def _opened(section: GatewaySettings, app_id: str) -> Gateway:
    name = section.gateway
    account = active_account(name)
    apps = account.app_ids if account else ()
    try:
        gateway = build_gateway(section, app_id=app_id, app_ids=apps)
    except NotConfigured as error:
        if section.enabled:
            log.warning("%s is enabled but not usable: %s", name, error)
            _report_not_ready(name, error)
        raise GatewayOff(name) from error
    gateway.account = account_in_use(section, gateway, account)
    return gateway


def gateway_for_new_orders(name: str, *, app_id: str = "", now: Configured | None = None) -> Gateway:
    """The gateway, for an order that is yet to be placed. Raises UnknownGateway, or GatewayOff unless it is complete
    and switched on."""
    now = now or configured()
    if not takes_orders(name, now=now):
        raise GatewayOff(name)
    return open_gateway(name, app_id=app_id, now=now)


def takes_orders(name: str, *, now: Configured | None = None) -> bool:
    """Whether it is switched on. Off means no new orders, and no more than that. Raises UnknownGateway."""
    return (now or configured()).section(name).enabled


def open_account(account: MerchantAccount, *, app_id: str = "", limits: Limits | None = None) -> Gateway:
    """The gateway that speaks for an account: as the settings have it while it is active, else as it was then. Raises
    UnknownGateway, GatewayOff, or NotConfigured when nobody knows the keys of a retired one any more."""
    if account.active:
        gateway = open_gateway(account.gateway, app_id=app_id, limits=limits)
        if gateway.account == account.pk:
            return gateway
    if account.gateway not in GATEWAYS:
        raise UnknownGateway(account.gateway)
    values = account.values
    if not values:
        raise NotConfigured(f"The keys of {account} are not known any more.")
    return _for_account(account, values, app_id=app_id, limits=limits)


def with_former_keys(gateway: Gateway) -> Iterator[Gateway]:
    """The same account with the keys it had, as far as they verify still; for nothing but that."""
    for account in MerchantAccount.objects.filter(pk__in=[gateway.account]):
        for values in account.keys_until(clock.now()):
            yield _for_account(account, values)


def open_gateway_of(order: Order, *, limits: Limits | None = None) -> Gateway | None:
    """The gateway of the account that an order was placed with, on or off, active or retired; None when nobody knows
    its keys any more. Raises GatewayOff."""
    account = account_of(order)
    if account is None:
        return None
    try:
        return open_account(account, app_id=order.app_id, limits=limits)
    except NotConfigured:
        return None


def gateway_for(order: Order, *, limits: Limits | None = None) -> Gateway | None:
    """`open_gateway_of` for whoever goes on without: also None when it is not complete; lost keys are noted."""
    try:
        gateway = open_gateway_of(order, limits=limits)
    except TopupError as error:
        log.warning("Order %s cannot be asked about: gateway %s is not complete.", order.order_no, error)
        return None
    if gateway is None:
        note_keyless(order)
    return gateway


def note_keyless(order: Order) -> None:
    """Nobody can be asked about it: a person has to look."""
    Order.objects.filter(pk=order.pk, review="").update(review=KEYLESS)


class Service(StrEnum):
    """What becomes of an order under way: served like any, served although no new ones are taken, or nobody to ask."""

    OPEN = "open"
    TO_ITS_END = "to_its_end"
    NONE = "none"


def place_of(order: Order) -> Place:
    """Where an order is paid."""
    gateway = GATEWAYS.get(order.gateway)
    return gateway.place(order.trade_type) if gateway else Place.CODE


def service_of(order: Order) -> Service:
    """How an order's gateway serves it now."""
    try:
        gateway = open_gateway_of(order)
    except TopupError:
        gateway = None
    if gateway is None:
        return Service.NONE
    return Service.OPEN if takes_orders(order.gateway) else Service.TO_ITS_END


def _report_not_ready(name: str, error: NotConfigured) -> None:
    """Not every time: whoever opens the recharge page comes by here."""
    if not ratelimit.hit("1 per minute", "gateway-not-ready", name):
        raise_alert(
            "gateway_not_ready",
            level="critical",
            title=Text(gettext_noop("%(gateway)s is switched on and cannot work"), gateway=GATEWAYS[name].label),
            content=str(error),
            key=f"not-ready:{name}",
            about=GatewaySettings.of(name).load(),
            platform=name,
        )


def build_gateway(
    section: GatewaySettings, *, app_id: str = "", app_ids: Sequence[str] = (), limits: Limits | None = None
) -> Gateway:
    """A gateway from a settings row, saved or not; `app_ids` are further apps whose notices are its own. Raises
    NotConfigured. Its calls are kept in GatewayCall. `limits` are those of each call, and their `total_s` that of all
    calls together, from now on."""
    try:
        values = section.config_values()
    except SecretUnreadable as error:
        raise NotConfigured(str(error)) from error
    return _build(section.gateway, values, app_id, app_ids, limits)


def _for_account(
    account: MerchantAccount, values: Mapping[str, Any], *, app_id: str = "", limits: Limits | None = None
) -> Gateway:
    gateway = _build(account.gateway, values, app_id, account.app_ids, limits)
    gateway.account = account.pk
    return gateway


def _build(name: str, values: Mapping[str, Any], app_id: str, app_ids: Sequence[str], limits: Limits | None) -> Gateway:
    cls = GATEWAYS[name]
    if cls.many_apps:
        ours = (values["app_id"], *values["other_app_ids"], *app_ids)
        values = {**values, "app_id": app_id or values["app_id"], "other_app_ids": ours}
    gateway = cls.from_values(values)
    gateway.record = lambda exchange: _keep_call(gateway, exchange)
    gateway.keep_certificate = lambda pem: keep_certificate(name, gateway.merchant_id, pem)
    gateway.may_fetch_certificate = lambda serial: may_fetch_certificate(name, gateway.merchant_id, serial)
    if gateway.fetches_certificates:
        gateway.use_certificates(ProviderCertificate.good_ones(name, gateway.merchant_id))
    return _within(limits, gateway)


def _within(limits: Limits | None, gateway: Gateway) -> Gateway:
    """With these limits, counted from now."""
    if limits is not None:
        gateway.limits = limits
        gateway.until_ns = monotonic_ns() + int(limits.total_s * 1_000_000_000)
    return gateway


def _keep_call(gateway: Gateway, exchange: Exchange) -> None:
    call = GatewayCall(
        gateway=gateway.name,
        account_id=gateway.account,
        operation=exchange.operation,
        order_no=exchange.order_no,
        request=exchange.request,
        response=exchange.response,
        outcome=exchange.outcome,
        elapsed_ms=exchange.elapsed_ms,
    )
    rows.insert(call)
    if exchange.outcome in NO_ANSWER:
        _report_unreachable(gateway.name)


def _report_unreachable(name: str) -> None:
    """One call without an answer is nothing; so many in a row are."""
    calls = GatewayCall.objects.filter(gateway=name).order_by("-pk").values_list("outcome", flat=True)
    latest = list(calls[:UNREACHABLE_AFTER])
    if len(latest) == UNREACHABLE_AFTER and set(latest) <= set(NO_ANSWER):
        raise_alert(
            "gateway_unreachable",
            title=Text(gettext_noop("%(gateway)s does not answer"), gateway=GATEWAYS[name].label),
            content=Text(gettext_noop("The last calls came to nothing: see the log of gateway calls.")),
            key=f"unreachable:{name}",
            platform=name,
        )


def report_reachable(name: str) -> None:
    """It answers again: nobody has to look any more."""
    resolve_passed(f"unreachable:{name}")


def refund_readiness(section: GatewaySettings) -> tuple[str, datetime | None]:
    """What keeps this configuration from refunding ("": nothing), and when what refunds want expires."""
    try:
        gateway = build_gateway(section)
    except NotConfigured:
        return "", None
    return gateway.why_no_refunds, gateway.refunds_until


def remarks_of(section: GatewaySettings) -> Sequence[str]:
    """What looks odd about a section that may work all the same."""
    try:
        return build_gateway(section).remarks
    except NotConfigured:
        return ()


def expires_soon(moment: datetime) -> bool:
    """Within thirty days, or already."""
    return moment < clock.now() + EXPIRES_SOON


def warn_of_expiry() -> int:
    """Raise an alert for each merchant account at work whose certificate expires soon, or has; returns how many."""
    warned = 0
    for name in GATEWAYS:
        for account, gateway in _at_work(name):
            expires = gateway.refunds_until
            if expires is not None and expires_soon(expires):
                warned += 1
                _warn_of_expiry(name, expires, account)
    return warned


def _at_work(name: str) -> Iterator[tuple[MerchantAccount | None, Gateway]]:
    """A gateway for each account that takes orders, or has some under way all the same: None for the settings' own,
    or which of the retired ones it is."""
    section, active = section_of(name), active_account(name)
    if section.enabled or (active and burden_of(active).is_under_way):
        with suppress(NotConfigured):
            yield None, build_gateway(section)
    for account in retired_accounts(name):
        if burden_of(account).is_under_way:
            with suppress(NotConfigured):
                yield account, open_account(account)


def _warn_of_expiry(name: str, expires: datetime, account: MerchantAccount | None) -> None:
    """An account that was retired gets another certificate by being the settings' own for a moment."""
    facts = {"gateway": GATEWAYS[name].label, "day": f"{expires:%Y-%m-%d}"}
    title = Text(gettext_noop("%(gateway)s: the certificate expires on %(day)s"), **facts)
    key = f"certificate:{name}"
    stops = Text(gettext_noop("Refunds stop then, and all that it signs: get a new one in the provider’s console."))
    mend = Text(gettext_noop("Upload it in the settings."))
    if account is not None:
        retired = gettext_noop("%(gateway)s, %(account)s (retired): the certificate expires on %(day)s")
        title = Text(retired, **facts, account=account)
        key = f"certificate:{name}:{account.pk}"
        mend = Text(
            gettext_noop(
                "Save it in the settings together with this account’s number and keys, then save there again what they "
                "are now. Orders or refunds of this account are under way still."
            )
        )
    raise_alert(
        "certificate_expires",
        level="warning" if expires > clock.now() else "critical",
        title=title,
        content=[stops, mend],
        key=key,
        about=GatewaySettings.of(name).load(),
        platform=name,
    )


def refresh_certificates() -> int:
    """Fetch the providers' certificates anew for every account whose settings say so; how many there are. Raises
    GatewayError when one gives none, so that the job is seen to fail; the others were asked all the same."""
    count, failed = 0, None
    for name in GATEWAYS:
        try:
            count += build_gateway(section_of(name)).refresh_certificates()
        except NotConfigured:
            continue
        except GatewayError as error:
            log.warning("%s gives no certificates: %s", name, error)
            failed = error
    if failed is not None:
        raise failed
    return count
