"""Routes of recharging: the API of mission §1.1 and the pages."""

from django.urls import path, re_path

from .api import notices, options, users
from .pages import inside_wechat, recharge

app_name = "topup"

urlpatterns = [
    path("api/user/wechat/pay", users.PayView.as_view(gateway="wechat"), name="pay_wechat"),
    path("api/user/alipay/pay", users.PayView.as_view(gateway="alipay"), name="pay_alipay"),
    path("api/user/amount", users.AmountView.as_view(), name="amount"),
    path("api/user/topup", users.Redeem.as_view(), name="redeem_code"),
    path("api/user/topup/info", users.Info.as_view(), name="info"),
    path("api/user/topup/orders", users.Orders.as_view(), name="orders"),
    path("api/user/topup/orders/<str:order_no>", users.OneOrder.as_view(), name="order"),
    path("api/wechat/notify", notices.notify, {"gateway": "wechat"}, name="notify_wechat"),
    path("api/wechat/webhook", notices.notify, {"gateway": "wechat"}),
    path("api/wechat/refund-notify", notices.refund_notify, {"gateway": "wechat"}, name="refund_notify_wechat"),
    path("api/alipay/notify", notices.notify, {"gateway": "alipay"}, name="notify_alipay"),
    path("api/alipay/webhook", notices.notify, {"gateway": "alipay"}),
    # As operators type the callback's address into a provider's console: with slashes too many.
    re_path(r"^/*api/+(?P<gateway>wechat|alipay)/+(?:notify|webhook)/*$", notices.notify),
    re_path(r"^/*api/+(?P<gateway>wechat)/+refund-notify/*$", notices.refund_notify),
    path("api/option", options.Options.as_view(), name="options"),
    path("recharge", recharge.recharge, name="recharge"),
    path("recharge/payer", inside_wechat.answer, name="payer"),
    path("recharge/redeem", recharge.redeem, name="redeem"),
    path("recharge/orders", recharge.history, name="history"),
    path("recharge/orders/<str:order_no>", recharge.payment, name="payment"),
    path("recharge/orders/<str:order_no>/card", recharge.card, name="card"),
    path("recharge/orders/<str:order_no>/open", recharge.open_payment, name="open"),
]
