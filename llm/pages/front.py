"""What is read before anything is bought: the front page with all prices, and the first steps of a new user."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper.accounts.models import User
from voicehelper.accounts.services import api_keys_of, user_of
from voicehelper.numbers import grouped
from voicehelper.wallet.services import wallet_of
from voicehelper.wallet.worth import in_yuan, list_price

from .. import services
from ..capability_names import CAPABILITY_NAMES
from ..kind_names import name_of
from ..relay.billing import Rate
from .display import example_model

# For how many of a kind its price is shown: see Rate in relay/billing.py.
_PER_TOKENS = _("per million tokens")
_MEASURES = {
    "image": _("per picture"),
    "second": _("per second"),
    "character": _("per 1,000 characters"),
    "web_search": _("per 1,000 searches"),
}
# The group of everybody to whom an operator has given no other.
_EVERYBODY = str(User._meta.get_field("group").default)


@dataclass(frozen=True)
class PublicPrice:
    """A price in words: what for, how much, for how many."""

    kind: str
    yuan: str
    per: str


@dataclass(frozen=True)
class PricedModel:
    """A model with all its prices, the most asked for capabilities first."""

    name: str
    capabilities: Sequence[str]
    prices: Sequence[PublicPrice]


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is and what it costs; whoever is signed in knows, and goes on to recharging."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return prices(request)


@never_cache
@require_safe
def prices(request: HttpRequest) -> HttpResponse:
    """The same for everybody, in the prices of the reader's own group."""
    return render(request, "llm/front.html", _facts(user_of(request).group if request.user.is_authenticated else ""))


@never_cache
@login_required
@require_safe
def first_steps(request: HttpRequest) -> HttpResponse:
    """Where a new user lands: recharge, make a key, call; and what of it is done."""
    user = user_of(request)
    wallet = wallet_of(user)
    facts = {
        "balance": grouped(wallet.balance),
        "worth": in_yuan(wallet.balance, list_price().yuan_per_quota),
        "recharged": wallet.balance > 0 or wallet.used > 0,
        "has_key": bool(api_keys_of(user)),
        "base_url": f"{settings.SERVER_ADDRESS}/v1",
        "model": example_model([each.model.name for each in services.offers_now(user, "chat")]),
    }
    return render(request, "llm/first_steps.html", facts)


def _facts(group: str) -> dict[str, object]:
    price, models = list_price(), services.price_list_now(group or _EVERYBODY)
    return {
        "models": [
            PricedModel(
                offer.model.name,
                [str(name) for key, name in CAPABILITY_NAMES.items() if key in offer.model.capabilities],
                [_shown(rate, price.yuan_per_quota) for rate in offer.rates],
            )
            for offer in sorted(models, key=lambda each: (-len(each.model.capabilities), each.model.name))
        ],
        "unit": grouped(price.quota_per_unit),
        "unit_yuan": in_yuan(price.quota_per_unit, price.yuan_per_quota),
        "base_url": f"{settings.SERVER_ADDRESS}/v1",
        "model": example_model([each.model.name for each in models if "chat" in each.model.capabilities]),
    }


def _shown(rate: Rate, yuan_per_quota: Fraction) -> PublicPrice:
    kind = name_of(rate.kind, rate.variant, rate.from_tokens)
    return PublicPrice(kind, in_yuan(rate.quota, yuan_per_quota), str(_MEASURES.get(rate.kind, _PER_TOKENS)))
