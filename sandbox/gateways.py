"""The providers that are played here."""

from collections.abc import Mapping

from . import alipay, wechat
from .base import Gateway

GATEWAYS: Mapping[str, Gateway] = {"wechat": wechat, "alipay": alipay}
