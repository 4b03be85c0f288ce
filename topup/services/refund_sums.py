"""What an order's refunds come to: money and quota, taken and left; their numbers. No provider is asked."""

from django.db.models import Max, QuerySet, Sum

from voicehelper.wallet.services import wallet_of

from ..models import Order, Refund


def refundable_fen(order: Order) -> int:
    """What was paid and is neither refunded nor under way."""
    return order.amount_fen - taken(of_payment(order))[0]


def next_number(order: Order) -> int:
    """The number of an order's next refund: what a form carries, so that sending it twice makes one refund."""
    return (order.refunds.aggregate(last=Max("number"))["last"] or 0) + 1


def quota_due(order: Order, amount_fen: int) -> int:
    """The share of the order's quota that a refund takes back: rounded down, and the last one takes the rest."""
    return share(order, amount_fen, taken(of_payment(order)))


def unspent_fen(order: Order) -> int:
    """How much can be refunded without taking quota that the user has spent or has in use."""
    refunded_fen, due = taken(of_payment(order))
    available = wallet_of(order.user).available
    most = (due + available + 1) * order.amount_fen - 1
    return max(0, min(order.amount_fen, most // order.quota) - refunded_fen)


def ref_of(order: Order, number: int) -> str:
    """35 characters that both providers accept; the ledger's reference as well."""
    return f"R{order.order_no}{number:02d}"


def share(order: Order, amount_fen: int, before: tuple[int, int]) -> int:
    refunded_fen, due = before
    return max(0, order.quota * min(refunded_fen + amount_fen, order.amount_fen) // order.amount_fen - due)


def taken(refunds: QuerySet[Refund]) -> tuple[int, int]:
    """Their fen and their quota."""
    sums = refunds.aggregate(fen=Sum("amount_fen"), due=Sum("quota_due"))
    return sums["fen"] or 0, sums["due"] or 0


def of_payment(order: Order) -> QuerySet[Refund]:
    """Those of the payment that credited the order; a surplus payment's are none of them."""
    return alive(order).filter(surplus=None)


def alive(order: Order) -> QuerySet[Refund]:
    """Those that succeeded or may yet."""
    return order.refunds.exclude(state=Refund.State.FAILED)
