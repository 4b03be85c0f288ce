"""Facts, constraints and the guarded moves of one row."""

from .accounts import MerchantAccount
from .certificates import ProviderCertificate
from .codes import CodeBatch, RedemptionCode
from .notices import GatewayCall, Notice
from .orders import Order
from .reconciliation import LINE_MARK, Difference, Reconciliation
from .refunds import Refund
from .sections import GatewaySettings, RechargeSettings
from .sums import OrderDay, OrderDayChange, OrderDaySum
from .surplus import SurplusPayment
