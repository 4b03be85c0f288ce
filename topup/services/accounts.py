"""Merchant accounts: which one a settings section stands for, whose an order is, and when one may go.

Saving a section brings its account in line in the same transaction (`keep_account`). Whoever saves it holds the lock on
its row, so two never do so at once. What a deployer changes in the environment is noticed at the next use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.secrets import SecretUnreadable

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import NotConfigured
from ..models import GatewaySettings, MerchantAccount, Notice, Order, Refund
from ..models.orders import KEYLESS

# So long after the payment both platforms give money back.
REFUNDABLE_FOR = timedelta(days=365)

# Without what only few have to decrypt.
_LIGHT: QuerySet[MerchantAccount] = MerchantAccount.objects.defer(*MerchantAccount.SECRETS)


# --- Keeping them in line with the settings --------------------------------------------------------------------------
def keep_account(section: GatewaySettings) -> None:
    """Bring the accounts in line with a section as it is saved, in the caller's transaction, which holds the lock on
    the section's row.

    Another identity is another account: made, or used before and active again; the one before is retired. Keys that
    were replaced go on verifying. A section that is not complete keeps the account that it still names.
    """
    if leaving := would_retire(section):
        leaving.active, leaving.retired_at = False, clock.now()
        leaving.save(update_fields=["active", "retired_at"])
    try:
        values = section.config_values()
        gateway = GATEWAYS[section.gateway].from_values(values)
    except (SecretUnreadable, NotConfigured):
        return
    known = MerchantAccount.objects.select_for_update(no_key=True).filter(**identity_of(gateway)).first()
    account = known or MerchantAccount(**identity_of(gateway))
    was_keyless = known is not None and not known.values
    account.keep(values, clock.now())
    account.app_ids = [*account.app_ids, *_new_apps(account, gateway)]
    account.active, account.retired_at = True, None
    account.save()
    if was_keyless:
        noted = orders_of(account).filter(review=KEYLESS)
        noted.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
        noted.update(review="")


def would_retire(section: GatewaySettings) -> MerchantAccount | None:
    """The active account, when a section as it stands is not its own any more: saving it retires that. One that is not
    complete is whose it says, whatever is missing."""
    active = MerchantAccount.objects.filter(gateway=section.gateway, active=True).first()
    if active is None:
        return None
    try:
        values = section.config_values()
        stays = active.identity == identity_of(GATEWAYS[section.gateway].from_values(values))
    except SecretUnreadable:
        stays = True
    except NotConfigured:
        stays = _is_named(values, active)
    return None if stays else active


def identity_of(gateway: Gateway) -> dict[str, Any]:
    """What tells a gateway's account from all others."""
    app_id = "" if gateway.many_apps else gateway.app_id
    facts = {"gateway": gateway.name, "version": gateway.version, "live": gateway.live}
    return {**facts, "merchant_id": gateway.merchant_id, "app_id": app_id}


def _new_apps(account: MerchantAccount, gateway: Gateway) -> list[str]:
    return sorted({gateway.app_id, *gateway.app_ids} - set(account.app_ids))


def _is_named(values: Mapping[str, Any], account: MerchantAccount) -> bool:
    cls, kept = GATEWAYS[account.gateway], account.values
    told = GatewaySettings.of(account.gateway).account_values
    same = all(values.get(name) == kept.get(name) for name in told)
    return same and cls.version_of(values) is cls.version_of(kept)


def account_in_use(section: GatewaySettings, gateway: Gateway, account: MerchantAccount | None) -> int | None:
    """The account of a gateway that was built from its section; `account` is the one that counted as active."""
    if account is None or account.identity != identity_of(gateway):
        # Its address in the environment has changed since, or the section was saved by code that knew no accounts.
        with transaction.atomic():
            keep_account(type(section).locked())
        account = _LIGHT.filter(**identity_of(gateway)).first()
    if account is not None and _new_apps(account, gateway):
        with transaction.atomic():
            row = _LIGHT.select_for_update(no_key=True).get(pk=account.pk)
            row.app_ids = [*row.app_ids, *_new_apps(row, gateway)]
            row.save(update_fields=["app_ids"])
    return account.pk if account is not None else None


# --- Finding them ----------------------------------------------------------------------------------------------------
def active_account(gateway: str) -> MerchantAccount | None:
    """The one that the settings hold, as far as it is known."""
    return _LIGHT.filter(gateway=gateway, active=True).first()


def retired_accounts(gateway: str) -> QuerySet[MerchantAccount]:
    """Those that serve what is theirs to its end, the latest first."""
    return MerchantAccount.objects.filter(gateway=gateway, active=False).order_by("-retired_at", "-pk")


def account_of(order: Order) -> MerchantAccount | None:
    """Whose an order is, for life."""
    if order.account_id is not None:
        return _LIGHT.filter(pk=order.account_id).first()
    # Code that knew no accounts knew one version too, the first.
    facts = {"gateway": order.gateway, "merchant_id": order.merchant_id, "live": order.live}
    return _LIGHT.filter(**facts, app_id__in=["", order.app_id]).order_by("version").first()


# --- What one still serves -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Burden:
    """What refers to an account: orders under way, refunds in flight, orders of the last year that money can still go
    back of, orders and notices at all; and when a notice of it came last."""

    under_way: int
    refunds: int
    refundable: int
    orders: int
    last_notice: datetime | None

    @property
    def is_under_way(self) -> bool:
        """Whether its provider has still to be asked about something."""
        return bool(self.under_way or self.refunds)

    @property
    def nothing(self) -> bool:
        """Whether it may be deleted."""
        return not self.orders and self.last_notice is None


def burden_of(account: MerchantAccount) -> Burden:
    """What an account still serves."""
    orders = orders_of(account)
    since = clock.now() - REFUNDABLE_FOR
    paid = (Order.State.PAID, Order.State.PARTLY_REFUNDED)
    counted = orders.aggregate(
        under_way=Count("pk", filter=Q(next_ask_at__isnull=False)),
        refundable=Count("pk", filter=Q(state__in=paid, credited_at__gt=since)),
        orders=Count("pk"),
    )
    refunds = Refund.objects.filter(order__in=orders, state__in=Refund.OPEN).count()
    last = Notice.objects.filter(account=account).aggregate(last=Max("received"))["last"]
    return Burden(refunds=refunds, last_notice=last, **counted)


def orders_of(account: MerchantAccount) -> QuerySet[Order]:
    """Its orders, also those that were placed by code that knew no accounts."""
    facts = {"gateway": account.gateway, "merchant_id": account.merchant_id, "live": account.live}
    app = {"app_id": account.app_id} if account.app_id else {}
    return Order.objects.filter(Q(account=account) | Q(account=None, **facts, **app))


def delete_account(account: MerchantAccount) -> bool:
    """Forget an account to which nothing refers. False: something does, or it is active."""
    with transaction.atomic():
        row = MerchantAccount.objects.select_for_update().filter(pk=account.pk, active=False).first()
        if row is None or not burden_of(row).nothing:
            return False
        row.delete()
    return True
