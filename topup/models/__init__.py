"""Facts, constraints and the guarded moves of one row."""

from .notices import GatewayCall, Notice
from .orders import Order
from .refunds import Refund
from .sections import AlipaySettings, RechargeSettings, WeChatSettings

__all__ = ["AlipaySettings", "GatewayCall", "Notice", "Order", "RechargeSettings", "Refund", "WeChatSettings"]
