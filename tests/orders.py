"""Orders as `place_order` leaves them, without a provider: for tests that begin when the payment does."""

from datetime import timedelta
from typing import Any

from topup.models import MerchantAccount, Order, RechargeSettings
from topup.pricing import quote
from voicehelper import clock
from voicehelper.accounts.models import User

from .merchants import AlipayMerchant, WeChatMerchant


def pending_order(user: User, merchant: WeChatMerchant | AlipayMerchant, amount: int = 10, **changes: Any) -> Order:
    """A pending order of `amount` units at this merchant, in the database."""
    price = quote(RechargeSettings.load().terms(), amount, user.group)
    wechat = isinstance(merchant, WeChatMerchant)
    now = clock.now()
    facts = {
        "order_no": Order.new_number(now),
        "user": user,
        "state": Order.State.PENDING,
        "gateway": "wechat" if wechat else "alipay",
        "trade_type": "NATIVE" if wechat else "PRECREATE",
        "app_id": merchant.app_id,
        "merchant_id": merchant.mch_id if isinstance(merchant, WeChatMerchant) else merchant.seller_id,
        "live": False,
        "sign_type": merchant.sign_type if isinstance(merchant, WeChatMerchant) else "RSA2",
        "amount": price.amount,
        "amount_fen": price.amount_fen,
        "quota": price.quota,
        "bonus_quota": price.bonus_quota,
        "unit_price": price.unit_price,
        "ratio": price.ratio,
        "discount": price.discount,
        "quota_per_unit": price.quota_per_unit,
        "in_tokens": price.in_tokens,
        "expires_at": (now + timedelta(minutes=30)).replace(microsecond=0),
        "pay_url": "weixin://wxpay/bizpayurl?pr=test",
        "client_ip": "127.0.0.1",
        "next_ask_at": now + timedelta(seconds=60),
    } | changes
    whose = {name: facts[name] for name in ("gateway", "merchant_id", "live")}
    account = MerchantAccount.objects.filter(**whose, app_id__in=["", facts["app_id"]]).order_by("-active").first()
    return Order.objects.create(**{"account": account} | facts)
