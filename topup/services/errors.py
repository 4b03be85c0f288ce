"""What can keep a recharge from happening."""

from ..models import Order


class TopupError(Exception):
    """Base of what can keep a recharge from happening; each edge words it for its reader."""


class UnknownGateway(TopupError):
    """No gateway has this name."""


class GatewayOff(TopupError):
    """The gateway is not completely configured: it does not exist. Or, for new orders only, it is switched off."""

    def __init__(self, gateway: str) -> None:
        super().__init__(gateway)
        self.gateway = gateway


class AmountTooSmall(TopupError):
    def __init__(self, minimum: int) -> None:
        super().__init__(minimum)
        self.minimum = minimum


class AmountInvalid(TopupError):
    """Not an amount that can be priced."""


class UnknownWay(TopupError):
    """The gateway has no such trade type."""


class NobodyPays(TopupError):
    """A payment inside WeChat wants to know whose WeChat it is, and this user never signed in through it."""


class PriceChanged(TopupError):
    """What the buyer was quoted is not what the order costs (`pay`, in yuan), or not what it brings (`quota`, when it
    is that alone)."""

    def __init__(self, pay: str, quota: int | None = None) -> None:
        super().__init__(pay)
        self.pay = pay
        self.quota = quota


class IdempotencyConflict(TopupError):
    """The idempotency key was used for a different order."""


class NoSuchOrder(TopupError):
    """This user has no such order."""


class PaymentNotOffered(TopupError):
    """The provider refused or did not answer; `order` tells which order, `unknown` whether it may yet exist there."""

    def __init__(self, order: Order, *, unknown: bool) -> None:
        super().__init__(order.order_no)
        self.order = order
        self.unknown = unknown


class CompletionRefused(TopupError):
    """This order cannot be completed by hand; the text says why, in the reader's language."""


class RefundRefused(TopupError):
    """This refund cannot be made; the text says why, in the reader's language."""
