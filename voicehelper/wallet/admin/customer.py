"""A customer's balance on their page, and how it came about."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper.admin import customer
from voicehelper.admin.base import Action, change_url, list_url, may
from voicehelper.admin.columns import link, moment, signed
from voicehelper.admin.customer import CustomerTable, Heading
from voicehelper.admin.front_page import Card
from voicehelper.numbers import grouped

from ..actors import named
from ..models import Adjustment, Entry, Wallet
from ..worth import in_yuan, list_price

ROWS = 8


def _wallet(user: AbstractUser) -> Wallet | None:
    return Wallet.objects.filter(user_id=user.pk).first()


def balance(request: HttpRequest, user: AbstractUser) -> Iterable[Card]:
    if not may(request, Wallet, "view"):
        return
    wallet = _wallet(user)
    quota = wallet.balance if wallet else 0
    note = f"≈ ¥{in_yuan(quota, list_price().yuan_per_quota)}"
    if wallet and wallet.held:
        note += " · " + _("%(quota)s held now") % {"quota": grouped(wallet.held)}
    yield Card(_("Balance"), grouped(quota), note, change_url(wallet) if wallet else "")


def entries(request: HttpRequest, user: AbstractUser) -> CustomerTable | None:
    if not may(request, Entry, "view"):
        return None
    headings = [
        Heading(_("Time")),
        Heading(_("Kind")),
        Heading(_("Change of quota"), is_figure=True),
        Heading(_("Balance after"), is_figure=True),
        Heading(_("Reference")),
        Heading(_("Who")),
    ]
    rows = [
        (
            link(change_url(entry), moment(entry.created)),
            entry.get_kind_display(),
            signed(entry.amount),
            grouped(entry.balance_after),
            entry.ref,
            " · ".join(filter(None, (named(entry.actor), entry.reason))),
        )
        for entry in Entry.objects.filter(wallet__user_id=user.pk).order_by("-pk")[:ROWS]
    ]
    every, empty = list_url(Entry, username=user.username), _("Nothing was ever credited or spent.")
    return CustomerTable(_("Last changes of the balance"), headings, rows, empty, every)


def give(request: HttpRequest, user: AbstractUser) -> Iterable[Action]:
    wallet = _wallet(user)
    if wallet is None or not (may(request, Adjustment, "add") and may(request, Wallet, "view")):
        return
    yield Action(
        "adjust",
        _("Give or take quota …"),
        hint=_("On a page of its own, with a reason."),
        address=reverse("admin:wallet_wallet_adjust", args=[wallet.pk]),
    )


def join() -> None:
    customer.counts(10, balance)
    customer.shows(10, entries)
    customer.offers(10, give)
