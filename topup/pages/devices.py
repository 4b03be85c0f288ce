"""Which way to pay fits the browser in front of us. A wrong guess costs a detour, never money."""

import re
from dataclasses import dataclass
from enum import StrEnum

from ..gateways import GATEWAYS
from ..gateways.ways import DESKTOP, PHONE, Device, Place
from ..models import Order
from ..services import QR_CODE, Way, place_of

_PC = re.compile(r"Windows NT|Macintosh|X11|WindowsWechat|MacWechat")
# Phones of Apple, Google and Huawei. A tablet may well have no gateway's app: it is shown the code.
_PHONE = re.compile(r"iPhone|iPod|Android.+\bMobile\b|\(Phone; |Windows Phone")


def device_of(user_agent: str) -> Device:
    """The apps' own browsers on a PC are desktops: they have a screen to show a code on."""
    if _PC.search(user_agent):
        return DESKTOP
    apps = [name for name, gateway in GATEWAYS.items() if re.search(gateway.app_browser, user_agent)]
    if apps:
        return Device(apps[0])
    return PHONE if _PHONE.search(user_agent) else DESKTOP


class Step(StrEnum):
    """What the buyer does to pay an order."""

    SCAN = "scan"
    OPEN = "open"
    IN_APP = "in_app"
    # Not in this browser.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Browser:
    """What a page is shown in; `payer` is how the app around it pays, without openid while that is not known."""

    device: Device = DESKTOP
    payer: Way = QR_CODE

    def way(self, name: str) -> Way:
        """How it pays: by the QR code unless it can open the app. What the app around it does not open is opened in
        the phone's browser, with a copied address."""
        gateway = GATEWAYS.get(name)
        if gateway is None:
            return QR_CODE
        phones = gateway.ways.get(PHONE, "") if self.device != DESKTOP else ""
        trade_type = gateway.ways.get(self.device, phones)
        if gateway.place(trade_type) is not Place.APP:
            return Way(trade_type)
        return self.payer if self.payer.openid else QR_CODE

    def takes(self, name: str) -> bool:
        """One gateway's app does not open another's."""
        return self.device in (DESKTOP, PHONE, name)

    def step(self, order: Order) -> Step:
        """How an order that waits can be paid here, wherever it was placed."""
        place = place_of(order)
        if place is Place.CODE:
            return Step.SCAN
        if place is Place.APP:
            mine = (self.payer.app_id, self.payer.openid) == (order.app_id, order.openid)
            return Step.IN_APP if self.device == order.gateway and mine else Step.ELSEWHERE
        fits = self.device == PHONE if place is Place.PHONE else self.takes(order.gateway)
        return Step.OPEN if fits else Step.ELSEWHERE
