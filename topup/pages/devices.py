"""Which way to pay fits the browser in front of us. A wrong guess costs a detour, never money."""

import re
from dataclasses import dataclass
from enum import StrEnum

from ..models import Order
from ..services import JSAPI, OPENED_IN_A_BROWSER, QR_CODE, Way


class Device(StrEnum):
    """What a browser can do to pay: only a phone's can open the app it runs beside."""

    DESKTOP = "desktop"
    PHONE = "phone"
    WECHAT = "wechat"
    ALIPAY = "alipay"


_PC = re.compile(r"Windows NT|Macintosh|X11|WindowsWechat|MacWechat")
# Phones of Apple, Google and Huawei. A tablet may well have neither app: it is shown the code.
_PHONE = re.compile(r"iPhone|iPod|Android.+\bMobile\b|\(Phone; |Windows Phone")
_WAYS: dict[Device, dict[str, str]] = {
    Device.DESKTOP: {},
    Device.PHONE: {"wechat": "MWEB", "alipay": "WAP"},
    # What the app itself does not open is opened in the phone's browser, with a copied address.
    Device.WECHAT: {"wechat": JSAPI, "alipay": "WAP"},
    Device.ALIPAY: {"wechat": "MWEB", "alipay": "WAP"},
}


def device_of(user_agent: str) -> Device:
    """WeChat's and Alipay's own browsers on a PC are desktops: they have a screen to show a code on."""
    if _PC.search(user_agent):
        return Device.DESKTOP
    # WeCom says MicroMessenger too, and cannot tell who its user is in WeChat.
    if "MicroMessenger/" in user_agent and "wxwork/" not in user_agent:
        return Device.WECHAT
    if "AlipayClient/" in user_agent:
        return Device.ALIPAY
    return Device.PHONE if _PHONE.search(user_agent) else Device.DESKTOP


class Step(StrEnum):
    """What the buyer does to pay an order."""

    SCAN = "scan"
    OPEN = "open"
    IN_WECHAT = "in_wechat"
    # Not in this browser.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Browser:
    """What a page is shown in; `payer` is how the WeChat around it pays, without openid while that is not known."""

    device: Device = Device.DESKTOP
    payer: Way = QR_CODE

    def way(self, gateway: str) -> Way:
        """How it pays: by the QR code unless it can open the app."""
        trade_type = _WAYS[self.device].get(gateway, "")
        if trade_type != JSAPI:
            return Way(trade_type)
        return self.payer if self.payer.openid else QR_CODE

    def takes(self, gateway: str) -> bool:
        """WeChat does not open Alipay, nor Alipay WeChat."""
        return self.device not in (Device.WECHAT, Device.ALIPAY) or self.device == gateway

    def step(self, order: Order) -> Step:
        """How an order that waits can be paid here, wherever it was placed."""
        if order.trade_type == JSAPI:
            mine = (self.payer.app_id, self.payer.openid) == (order.app_id, order.openid)
            return Step.IN_WECHAT if self.device == Device.WECHAT and mine else Step.ELSEWHERE
        if order.trade_type not in OPENED_IN_A_BROWSER:
            return Step.SCAN
        # WeChat's page for phones wants a phone; Alipay's pages open anywhere but in WeChat.
        fits = self.device == Device.PHONE if order.trade_type == "MWEB" else self.device != Device.WECHAT
        return Step.OPEN if fits else Step.ELSEWHERE
