"""WeChat Pay: one package for each version of its protocol. The merchant account says which it speaks."""

from .brand import WeChatPay
from .v2 import WeChatPayV2
from .v3 import WeChatPayV3

__all__ = ["WeChatPay"]

WeChatPay.versions = {"v2": WeChatPayV2, "v3": WeChatPayV3}
