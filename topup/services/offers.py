"""What the recharge page and `topup/info` offer a user: ways to pay, amounts, discounts."""

from typing import Any

from django.utils.translation import gettext as _

from voicehelper.accounts.models import User

from ..models import RechargeSettings
from . import SECTIONS, TopupError, gateway_for_new_orders

COLORS = {"wechat": "#07C160", "alipay": "#1677FF"}


def pay_methods(recharge: RechargeSettings) -> list[dict[str, Any]]:
    """The gateways that work now: name, type, colour and the least amount in what users type."""
    names = {"wechat": _("WeChat Pay"), "alipay": _("Alipay")}
    return [
        {
            "name": names[gateway],
            "type": gateway,
            "color": COLORS[gateway],
            "min_topup": recharge.shown_amount(section.load().min_topup),
        }
        for gateway, section in SECTIONS.items()
        if gateway_works(gateway)
    ]


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
        "enable_wechat_topup": "wechat" in on,
        "enable_alipay_topup": "alipay" in on,
        "wechat_min_topup": recharge.shown_amount(SECTIONS["wechat"].load().min_topup),
        "alipay_min_topup": recharge.shown_amount(SECTIONS["alipay"].load().min_topup),
        "pay_methods": methods,
        "amount_options": [recharge.shown_amount(units) for units in recharge.amount_options],
        "discount": {str(recharge.shown_amount(int(units))): rate for units, rate in recharge.amount_discounts.items()},
        "bonus": {str(least): bonus for least, bonus in recharge.shown_bonuses()},
        "display_type": recharge.display_type,
        "price": str(recharge.price.normalize()),
        "quota_per_unit": recharge.quota_per_unit,
        "group_ratio": str(recharge.terms().ratios.get(user.group) or 1),
    }
