"""The parameters that every request to Alipay has, and how one without them is refused: unsigned."""

import json
from datetime import timedelta

from django.utils import timezone

from .alipay_time import moment
from .base import Fields, Unsigned

# How far a request's timestamp may be off; the real tolerance is not published.
TOLERANCE = timedelta(minutes=15)
METHODS = {
    "alipay.trade.precreate": "create",
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "refund_query",
    "alipay.data.dataservice.bill.downloadurl.query": "bill",
    "alipay.open.app.alipaycert.download": "certificate",
    "alipay.trade.wap.pay": "open",
    "alipay.trade.page.pay": "open",
}
# A browser opens these.
PRODUCTS = {"alipay.trade.wap.pay": "QUICK_WAP_WAY", "alipay.trade.page.pay": "FAST_INSTANT_TRADE_PAY"}
REQUIRED = {
    "sign_type": "isv.missing-signature-type",
    "sign": "isv.missing-signature",
    "app_id": "isv.missing-app-id",
    "timestamp": "isv.missing-timestamp",
    "version": "isv.missing-version",
}
# The only values of the common parameters.
COMMON = (
    ("sign_type", {"RSA2"}, "isv.invalid-signature-type", "无效签名类型：仅支持RSA2"),
    ("charset", {"utf-8", "UTF-8"}, "isv.invalid-charset", "字符集错误：仅支持utf-8"),
    ("format", {"JSON", "json", ""}, "isv.invalid-format", "无效数据格式"),
    ("version", {"1.0"}, "isv.invalid-parameter", "version无效"),
)


def node_of(method: str) -> str:
    """The member of an answer that holds what is said."""
    return f"{method.replace('.', '_')}_response" if method in METHODS else "error_response"


def as_json(fields: Fields) -> str:
    """As the real gateway writes it: every slash escaped."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")


def unsigned(method: str, sub_code: str, text: str) -> Unsigned:
    """A refusal before it is known who asks."""
    missing = sub_code.startswith("isv.missing")
    code = ("40001", "Missing Required Arguments") if missing else ("40002", "Invalid Arguments")
    node = {"code": code[0], "msg": code[1], "sub_code": sub_code, "sub_msg": text}
    return Unsigned(f'{{"{node_of(method)}":{as_json(node)}}}'.encode())


def check_parameters(params: Fields, method: str) -> None:
    """Whatever is wrong whoever asks. Raises Unsigned."""
    if not method:
        raise unsigned(method, "isv.missing-method", "缺少方法名参数")
    if method not in METHODS:
        raise unsigned(method, "isv.invalid-method", "不存在的方法名")
    for name, sub_code in REQUIRED.items():
        if not params.get(name):
            raise unsigned(method, sub_code, f"缺少参数{name}")
    for name, allowed, sub_code, text in COMMON:
        if params.get(name, "") not in allowed:
            raise unsigned(method, sub_code, text)
    sent = moment(params["timestamp"])
    if sent is None or abs(timezone.now() - sent) > TOLERANCE:
        raise unsigned(method, "isv.invalid-timestamp", "非法的时间戳参数：应为北京时间yyyy-MM-dd HH:mm:ss")
