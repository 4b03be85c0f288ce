"""The apps a merchant number is bound to, and who somebody is in one."""

import base64
import hashlib

from .base import Call, Refusal
from .models import GatewayName, Merchant, Trade


def check_app(call: Call) -> None:
    if call.params["appid"] in (call.merchant.app_id, *call.merchant.other_app_ids):
        return
    if Merchant.objects.filter(gateway=GatewayName.WECHAT, app_id=call.params["appid"]).exists():
        raise Refusal("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    raise Refusal("APPID_NOT_EXIST", "APPID不存在")


def app_of(trade: Trade) -> str:
    """The app an order was placed in."""
    return str(trade.params.get("appid") or trade.merchant.app_id)


def openid_of(person: str, app_id: str) -> str:
    """Always the same for a person in an app: 28 characters that begin with o."""
    return "o" + base64.urlsafe_b64encode(hashlib.sha256(f"{app_id} {person}".encode()).digest()).decode()[:27]
