"""Addresses of the stand-ins, mounted under /sandbox/ when settings.SANDBOX is True."""

from django.urls import URLPattern, include, path

from . import (
    alipay_console,
    alipay_refunds,
    browser,
    desks,
    dingtalk,
    inbox,
    moderation,
    phone,
    pwned,
    sms_aliyun,
    sms_tencent,
    views,
    wechat_login,
    wechat_oauth,
    wechat_qr,
)
from .upstream import pages as models
from .wechat_v3 import refunds as wechat_v3_refunds
from .wechat_v3.orders import WAYS


def _call(address: str, operation: str) -> URLPattern:
    return path(address, views.wechat_pay_v3, {"operation": operation})


_orders, _refunds = "pay/transactions", "refund/domestic/refunds"
_v3 = [
    *(path(f"{_orders}/{kind}", views.wechat_pay_v3, {"operation": "create", "kind": kind}) for kind in WAYS),
    _call(f"{_orders}/out-trade-no/<str:out_trade_no>", "query"),
    _call(f"{_orders}/id/<str:transaction_id>", "query"),
    _call(f"{_orders}/out-trade-no/<str:out_trade_no>/close", "close"),
    _call(_refunds, "refund"),
    _call(f"{_refunds}/<str:out_refund_no>", "refund_query"),
    _call("bill/tradebill", "bill"),
    _call("certificates", "certificates"),
    path("billdownload/file", wechat_v3_refunds.bill_file),
]

app_name = "sandbox"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("wechat/pay/unifiedorder", views.wechat_pay, {"operation": "create"}, name="wechat_create"),
    path("wechat/pay/orderquery", views.wechat_pay, {"operation": "query"}, name="wechat_query"),
    path("wechat/pay/closeorder", views.wechat_pay, {"operation": "close"}, name="wechat_close"),
    path("wechat/secapi/pay/refund", views.wechat_pay, {"operation": "refund"}, name="wechat_refund"),
    path("wechat/pay/refundquery", views.wechat_pay, {"operation": "refund_query"}, name="wechat_refund_query"),
    path("wechat/pay/downloadbill", views.wechat_pay, {"operation": "bill"}, name="wechat_bill"),
    path("wechat/v3/", include(_v3)),
    path("wechat/h5", desks.h5, name="wechat_h5"),
    path("wechat/jsapi", desks.jsapi, name="wechat_jsapi"),
    path("wechat/code", wechat_login.issue_code, name="wechat_code"),
    path("weixin/sns/jscode2session", wechat_login.code_to_session, name="wechat_login"),
    path("weixin/cgi-bin/stable_token", wechat_login.stable_token, name="wechat_token"),
    path("weixin/connect/oauth2/authorize", wechat_oauth.authorize, name="wechat_authorize"),
    path("weixin/connect/qrconnect", wechat_qr.qrconnect, name="wechat_qrconnect"),
    path("weixin/connect/confirm", wechat_qr.confirm, name="wechat_confirm"),
    path("weixin/sns/oauth2/access_token", wechat_oauth.access_token, name="wechat_access_token"),
    path("browser", browser.choose, name="browser"),
    path("alipay/bill", alipay_refunds.bill_file, name="alipay_bill"),
    path("alipay/gateway.do", desks.alipay_door, name="alipay_gateway"),
    path("alipay/<int:pk>/mode", alipay_console.change_mode, name="alipay_mode"),
    path("alipay/<int:pk>/rotate", alipay_console.rotate, name="alipay_rotate"),
    path("alipay/<int:pk>/<str:name>", alipay_console.download, name="alipay_certificate"),
    path("dingtalk/robot/send", dingtalk.send, name="dingtalk"),
    path("aliyun-sms/", sms_aliyun.send, name="sms_aliyun"),
    path("tencent-sms/", sms_tencent.send, name="sms_tencent"),
    path("aliyun-green/", moderation.aliyun, name="aliyun_green"),
    path("tencent-tms/", moderation.tencent, name="tencent_tms"),
    path("pwned/range/<str:prefix>", pwned.search, name="pwned"),
    path("messages", inbox.inbox, name="inbox"),
    path("phone", phone.phone, name="phone"),
    path("phone/scan", phone.scan, name="scan"),
    path("phone/pay", phone.pay, name="pay"),
    path("script", views.script, name="script"),
    path("script/<int:pk>/remove", views.remove_script, name="remove_script"),
    path("models", models.overview, name="models"),
    path("models/script", models.script, name="models_script"),
    path("models/script/<int:pk>/remove", models.remove_script, name="remove_models_script"),
    path("deliveries/<int:pk>/send", views.send_again, name="send_again"),
    path("trades/<int:pk>/refund", desks.refund, name="refund"),
    path("trades/<int:pk>/notify", views.notify, name="notify"),
]
