"""Merchant accounts as operators see them: beside a gateway's settings, and with the orders that are theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from voicehelper.admin.base import Report, list_url, may
from voicehelper.admin.columns import link, moment
from voicehelper.numbers import grouped

from ..gateways import GATEWAYS, label_of
from ..models import MerchantAccount, Order
from ..services.accounts import burden_of, delete_account, retired_accounts


@dataclass(frozen=True)
class Retired:
    """An account that takes no new orders, and what it serves still; `delete_url` only when that is nothing. `keyless`:
    it has orders, and nobody can be asked about them."""

    title: str
    keyless: bool
    facts: Sequence[tuple[str, object]]
    delete_url: str


def retired(gateway: str, request: HttpRequest, delete: str) -> list[Retired]:
    """Those of a gateway, the latest first; `delete` names the address of the button that forgets one."""
    return [_retired(account, request, delete) for account in retired_accounts(gateway)]


def _retired(account: MerchantAccount, request: HttpRequest, delete: str) -> Retired:
    burden = burden_of(account)
    orders: str | SafeString = grouped(burden.orders)
    if burden.orders and may(request, Order, "view"):
        orders = link(list_url(Order, account=str(account.pk)), orders)
    facts = [
        (gettext("Retired"), moment(account.retired_at)),
        (gettext("Orders under way"), grouped(burden.under_way)),
        (gettext("Refunds in flight"), grouped(burden.refunds)),
        (gettext("Refundable, of the last year"), grouped(burden.refundable)),
        (gettext("Last notice"), moment(burden.last_notice)),
        (gettext("All orders"), orders),
    ]
    address = reverse(f"admin:{delete}", args=[account.pk]) if burden.nothing else ""
    return Retired(title(account), bool(burden.orders) and not account.values, facts, address)


def title(account: MerchantAccount) -> str:
    """Its number, app and protocol as far as they tell it from others, and that it is the sandbox's."""
    mark = "" if account.live else gettext("Sandbox")
    return " · ".join(filter(None, [str(account), mark]))


def forget(gateway: str, pk: int) -> Report:
    """Delete a retired account to which nothing refers."""
    account = MerchantAccount.objects.filter(gateway=gateway, pk=pk).first()
    if account is None:
        return Report(False, gettext("There is no such account."))
    if not delete_account(account):
        return Report(False, gettext("Orders or notices refer to this account: it stays."))
    return Report(True, gettext("Deleted: %(account)s") % {"account": title(account)})


def choices() -> list[tuple[str, str]]:
    """What a list of orders can be narrowed to."""
    found = MerchantAccount.objects.filter(gateway__in=GATEWAYS).defer(*MerchantAccount.SECRETS)
    return [(str(account.pk), f"{label_of(account.gateway)} {title(account)}") for account in found]


def state_of(account: MerchantAccount) -> str:
    """Whether it takes new orders."""
    if account.active:
        return gettext("active")
    return gettext("retired since %(day)s") % {"day": moment(account.retired_at)[:10]}
