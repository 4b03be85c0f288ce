"""What the recharge page and `topup/info` offer a user: ways to pay, amounts, discounts."""

from typing import Any

from voicehelper.accounts.models import User

from ..gateways import GATEWAYS
from ..models import RechargeSettings
from . import TopupError, gateway_for_new_orders, section_of


def pay_methods(recharge: RechargeSettings) -> list[dict[str, Any]]:
    """The gateways that work now: name, type, colour and the least amount in what users type."""
    return [
        {
            "name": str(gateway.label),
            "type": name,
            "color": gateway.colour,
            "min_topup": least_amount(recharge, name),
        }
        for name, gateway in GATEWAYS.items()
        if gateway_works(name)
    ]


def least_amount(recharge: RechargeSettings, gateway: str) -> int:
    """The smallest recharge through a gateway, in what users type."""
    return recharge.shown_amount(section_of(gateway).min_topup)


def gateway_works(gateway: str) -> bool:
    """Enabled and completely configured."""
    try:
        gateway_for_new_orders(gateway)
    except TopupError:
        return False
    return True


def recharge_offer(user: User) -> dict[str, Any]:
    """The data of GET /api/user/topup/info. Amounts are what users type; discounts are keyed by such amounts."""
    recharge = RechargeSettings.load()
    methods = pay_methods(recharge)
    on = {method["type"] for method in methods}
    return {
        **{f"enable_{name}_topup": name in on for name in GATEWAYS},
        **{f"{name}_min_topup": least_amount(recharge, name) for name in GATEWAYS},
        "pay_methods": methods,
        "amount_options": [recharge.shown_amount(units) for units in recharge.amount_options],
        "discount": {str(recharge.shown_amount(int(units))): rate for units, rate in recharge.amount_discounts.items()},
        "bonus": {str(least): bonus for least, bonus in recharge.shown_bonuses()},
        "display_type": recharge.display_type,
        "price": str(recharge.price.normalize()),
        "quota_per_unit": recharge.quota_per_unit,
        "group_ratio": str(recharge.terms().ratios.get(user.group) or 1),
    }
