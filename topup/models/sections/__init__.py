"""The settings sections operators edit: recharging, and one of each gateway."""

from .alipay import AlipaySettings
from .gateway import GatewaySettings, SettingsCard
from .recharge import RechargeSettings, default_amount_discounts, default_amount_options, default_group_ratios
from .wechat import WeChatSettings
