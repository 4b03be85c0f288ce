"""Whose bills there are: one for each merchant number, however many accounts of ours it has had."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from ... import services
from ...gateways.base import Gateway
from ...gateways.errors import NotConfigured
from ...models import MerchantAccount, Order, Refund

# An order that is paid or given back on a day was placed so long before it at the most; older ones are met by chance.
_PLACED_BEFORE = timedelta(hours=26)


class NoBill(Exception):
    """There is no usable bill; the text says why in plain words."""


@dataclass(frozen=True)
class Merchant:
    """A merchant at a gateway, with real money or in its sandbox."""

    gateway: str
    merchant_id: str
    live: bool

    @property
    def facts(self) -> dict[str, Any]:
        """As orders, accounts and reconciliations have them."""
        return asdict(self)

    def accounts(self) -> QuerySet[MerchantAccount]:
        """Ours with it: the active one first, then the latest."""
        return MerchantAccount.objects.filter(**self.facts).order_by("-active", "-pk")

    def had_part(self, start: datetime, end: datetime) -> bool:
        """Whether orders or refunds of it may stand in bills of that time."""
        accounts = self.accounts().values("pk")
        orders = Order.objects.filter(account__in=accounts, created__gte=start - _PLACED_BEFORE, created__lt=end)
        during = Q(created__gte=start, created__lt=end) | Q(finished_at__gte=start, finished_at__lt=end)
        return orders.exists() or Refund.objects.filter(during, order__account__in=accounts).exists()


def merchant_of(row: Any) -> Merchant:
    """Whose a reconciliation, an account or a gateway is."""
    name = row.name if isinstance(row, Gateway) else row.gateway
    return Merchant(name, row.merchant_id, row.live)


def merchants_of(gateway: str) -> list[Merchant]:
    """Every one that a gateway has had, the active one first."""
    accounts = MerchantAccount.objects.filter(gateway=gateway).defer(*MerchantAccount.SECRETS)
    return list(dict.fromkeys(map(merchant_of, accounts.order_by("-active", "-pk"))))


def merchant_in_use(gateway: str) -> Merchant:
    """The one that takes new orders. Raises NoBill."""
    try:
        return merchant_of(services.open_gateway(gateway))
    except services.GatewayOff as error:
        raise NoBill(f"{gateway} is not completely configured: {error.__cause__}") from error


def gateway_of(merchant: Merchant) -> Gateway:
    """Any account of a merchant whose keys are known; they share its bills. Raises NoBill."""
    for account in merchant.accounts():
        try:
            return services.open_account(account)
        except (NotConfigured, services.TopupError):
            continue
    raise NoBill(f"The keys of merchant {merchant.merchant_id} at {merchant.gateway} are not known any more.")
