"""Where the buyer is, and where an order of a trade type can be paid."""

from enum import Enum
from typing import NewType

# What a browser can do to pay: DESKTOP shows a code, PHONE opens the app it runs beside; any other is the name of the
# gateway in whose app the browser is.
Device = NewType("Device", str)
DESKTOP = Device("desktop")
PHONE = Device("phone")


class Place(Enum):
    """Where an order of a trade type is paid."""

    # A code, which another device scans.
    CODE = "code"
    # A page of the provider's, in any browser but one of another gateway's app; or in a phone's only.
    BROWSER = "browser"
    PHONE = "phone"
    # Inside the gateway's own app, by the person the order names.
    APP = "app"

    @property
    def is_page(self) -> bool:
        """Whether the buyer's browser is sent to an address of the provider's."""
        return self in (Place.BROWSER, Place.PHONE)
