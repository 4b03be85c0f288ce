"""Routes of recharging: the API of mission §1.1 and the pages. Each gateway has its own, by its declaration."""

from collections.abc import Iterator

from django.urls import URLPattern, path, re_path

from .api import notices, options, users
from .gateways import GATEWAYS
from .gateways.base import Gateway
from .pages import colours, inside_wechat, receipt, recharge

app_name = "topup"


def _callbacks(gateway: type[Gateway]) -> Iterator[URLPattern]:
    """Where a provider posts. The first of each kind, which it is told, has a name."""
    facts = {"gateway": gateway.name}
    for paths in (gateway.payment_callbacks, gateway.refund_callbacks):
        for number, tail in enumerate(paths):
            name = None if number else f"{tail.replace('-', '_')}_{gateway.name}"
            yield path(f"api/{gateway.name}/{tail}", notices.notify, facts, name=name)
    yield re_path(rf"^{gateway.callbacks()}\Z", notices.notify, facts)


urlpatterns = [
    *(path(f"api/user/{name}/pay", users.PayView.as_view(gateway=name), name=f"pay_{name}") for name in GATEWAYS),
    path("api/user/amount", users.AmountView.as_view(), name="amount"),
    path("api/user/topup", users.Redeem.as_view(), name="redeem_code"),
    path("api/user/topup/info", users.Info.as_view(), name="info"),
    path("api/user/topup/orders", users.Orders.as_view(), name="orders"),
    path("api/user/topup/orders/<str:order_no>", users.OneOrder.as_view(), name="order"),
    *(route for gateway in GATEWAYS.values() for route in _callbacks(gateway)),
    path("api/option", options.Options.as_view(), name="options"),
    path("gateways.css", colours.stylesheet, name="colours"),
    path("recharge", recharge.recharge, name="recharge"),
    path("recharge/payer", inside_wechat.answer, name="payer"),
    path("recharge/redeem", recharge.redeem, name="redeem"),
    path("recharge/orders", recharge.history, name="history"),
    path("recharge/orders/<str:order_no>", recharge.payment, name="payment"),
    path("recharge/orders/<str:order_no>/card", recharge.card, name="card"),
    path("recharge/orders/<str:order_no>/cancel", recharge.cancel, name="cancel"),
    path("recharge/orders/<str:order_no>/receipt", receipt.receipt, name="receipt"),
    path("recharge/orders/<str:order_no>/open", recharge.open_payment, name="open"),
]
