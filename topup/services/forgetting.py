"""What orders, and what was said about them, know of who paid: emptied when the buyer is forgotten.

Order numbers, amounts, states and platform numbers stay. A notice that was emptied proves nothing by its signature any
more; what it said of money is with its order.
"""

import re
from functools import lru_cache

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from voicehelper.accounts.forgetting import Person, batches, unname
from voicehelper.accounts.models import User

from ..gateways import GATEWAYS
from ..models import Difference, GatewayCall, Notice, Order, Refund, SurplusPayment

NOWHERE = "0.0.0.0"  # noqa: S104  # an address that is nobody's
_EMPTIED = "…"


def unfinished_orders(user: User) -> str:
    """Why the account cannot be deleted yet: money may still come, or go back."""
    if Order.objects.filter(user=user, state__in=Order.OPEN).exists():
        return _("You have an order that can still be paid: cancel it, or wait until its time is over.")
    if Refund.objects.filter(order__user=user, state__in=Refund.OPEN).exists():
        return _("A refund of yours is under way: wait until it is finished.")
    return ""


def openids_of(user: User) -> set[str]:
    """Those that the user paid with: WeChat's own browser tells us some that nobody signs in by."""
    return set(Order.objects.filter(user=user).exclude(openid="").values_list("openid", flat=True).distinct())


def forget_buyer(person: Person) -> None:
    """See the module. Raises nothing of its own."""
    for orders in batches(Order.objects.filter(user_id=person.user_id)):
        ids, numbers = [order.pk for order in orders], [order.order_no for order in orders]
        Order.objects.filter(pk__in=ids).update(
            openid="", client_ip=NOWHERE, idempotency_key=None, pay_url="", prepay_id=""
        )
        unname(Order.objects.filter(pk__in=ids), ["review", "failure"], person)
        unname(Refund.objects.filter(order__in=ids), ["reason", "said", "review"], person)
        unname(SurplusPayment.objects.filter(order__in=ids), ["note"], person)
        unname(Difference.objects.filter(order_no__in=numbers), ["note", "text", "problem", "said"], person)
        _empty(Notice.objects.filter(order_no__in=numbers), ("body", "query", "detail"), person)
        _empty(GatewayCall.objects.filter(order_no__in=numbers), ("request", "response"), person)


def _empty(rows: "QuerySet[Notice] | QuerySet[GatewayCall]", fields: tuple[str, ...], person: Person) -> None:
    for found in batches(rows):
        for row in found:
            before = {field: getattr(row, field) for field in fields}
            texts = {field: person.unnamed(without_payer(row.gateway, text)) for field, text in before.items()}
            if texts != before:
                type(row)._default_manager.filter(pk=row.pk).update(**texts)


def without_payer(gateway: str, text: str) -> str:
    """A message of a gateway's, as XML, JSON, or a form, with the fields emptied that name who paid."""
    for pattern in _patterns(gateway):
        text = pattern.sub(lambda found: f"{found['before']}{_EMPTIED}{found['after']}", text)
    return text


@lru_cache
def _patterns(gateway: str) -> tuple["re.Pattern[str]", ...]:
    fields = GATEWAYS[gateway].payer_fields if gateway in GATEWAYS else ()
    if not fields:
        return ()
    names = "|".join(map(re.escape, sorted(fields)))
    return (
        re.compile(rf"(?P<before><({names})>)(?:<!\[CDATA\[.*?\]\]>|[^<]*)(?P<after></)", re.DOTALL),
        re.compile(rf'(?P<before>"({names})"\s*:\s*")(?:[^"\\]|\\.)*(?P<after>")'),
        re.compile(rf"(?P<before>(?:^|[&?\s])({names})=)[^&\s]*(?P<after>)"),
        # JSON within a form.
        re.compile(rf"(?P<before>%22({names})%22%3A(?:\+|%20)?%22).*?(?P<after>%22)", re.IGNORECASE),
    )
