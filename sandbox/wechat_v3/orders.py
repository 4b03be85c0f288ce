"""Orders in v3: create, query, close."""

import ipaddress
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from sandbox import wechat
from sandbox.base import BEIJING, Call, Refusal, check_notify_url
from sandbox.models import Merchant, Trade, TradeState
from sandbox.wechat_apps import app_of, openid_of

WAYS = {"native": "NATIVE", "jsapi": "JSAPI", "h5": "MWEB"}
# All that an order may hold; what v2 wants besides is refused.
MEMBERS = {
    "appid", "mchid", "description", "out_trade_no", "time_expire", "attach", "notify_url", "goods_tag",
    "support_fapiao", "amount", "detail", "scene_info", "settle_info", "payer",
}  # fmt: skip
REQUIRED = ("appid", "mchid", "description", "out_trade_no", "notify_url", "amount")
# In characters.
LONGEST = {"description": 127, "attach": 128, "goods_tag": 32, "time_expire": 64}
LONGEST_LIFE = timedelta(days=7)
SHORTEST_LIFE = timedelta(minutes=1)


def create(call: Call) -> dict[str, str]:
    """The same parameters again give the same code; any other, and an order made in v2, are refused."""
    kind, body = call.params["kind"], {name: value for name, value in call.params.items() if name != "kind"}
    _check_merchant(call)
    _check(body)
    _check_app(call)
    openid = _check_way(kind, body)
    frozen = body | {"trade_type": WAYS[kind], "openid": openid}
    trade, _made = Trade.objects.get_or_create(
        merchant=call.merchant,
        out_trade_no=body["out_trade_no"],
        defaults={
            "params": frozen,
            "sign_type": call.sign_type,
            "amount_fen": body["amount"]["total"],
            "title": body["description"],
            "notify_url": body["notify_url"],
            "code": f"weixin://wxpay/bizpayurl?pr={secrets.token_urlsafe(7)}",
            "prepay_id": f"wx{call.now:%d%H%M%S}{secrets.token_hex(13)}",
            "created_at": call.now,
            "expires_at": _expiry(call, body),
        },
    )
    if trade.state == TradeState.PAID or (trade.sign_type, trade.params) != (call.sign_type, frozen):
        raise Refusal("OUT_TRADE_NO_USED", "商户订单号重复", 403)
    if trade.state_at(call.now) == TradeState.CLOSED:
        raise Refusal("ORDER_CLOSED", "订单已关闭")
    if kind == "native":
        return {"code_url": trade.code}
    if kind == "jsapi":
        return {"prepay_id": trade.prepay_id}
    # Good for five minutes from now; asking again makes a new one.
    made = int(call.now.timestamp())
    return {"h5_url": f"{call.site}/sandbox/wechat/h5?prepay_id={trade.prepay_id}&package={made}"}


def query(call: Call) -> dict[str, Any]:
    """By either number; the merchant's number stands in the query string."""
    _check_merchant(call)
    trade = existing(call)
    state = TradeState.WAITING if "lie_not_pay" in call.faults else trade.state_at(call.now)
    fields = {
        "appid": app_of(trade),
        "mchid": trade.merchant.merchant_id,
        "out_trade_no": trade.out_trade_no,
        "trade_state": wechat.STATE_WORDS[state],
        "trade_state_desc": wechat.STATE_TEXTS[state],
        "attach": trade.params.get("attach", ""),
    }
    if state != TradeState.PAID:
        return fields
    if trade.refunds.exists():
        fields |= {"trade_state": "REFUND", "trade_state_desc": "转入退款"}
    return fields | payment(trade)


def close(call: Call) -> None:
    """204; again as well. The merchant's number stands in the body."""
    _check_merchant(call)
    trade = existing(call)
    if not trade.close(call.now):
        trade.refresh_from_db()
        if trade.state == TradeState.PAID:
            raise Refusal("ORDER_PAID", "订单已支付")


def existing(call: Call) -> Trade:
    trade = wechat.find(call)
    if trade is None:
        raise Refusal("ORDER_NOT_EXIST", "订单不存在", 404)
    return trade


def payment(trade: Trade) -> dict[str, Any]:
    """What a paid trade says in a query and in a notice."""
    app = app_of(trade)
    fields = {
        "transaction_id": trade.transaction_id,
        "trade_type": trade.params.get("trade_type", "NATIVE"),
        "bank_type": "OTHERS",
        "success_time": time_of(trade.paid_at or trade.created_at),
        "payer": {"openid": trade.params.get("openid") or openid_of("demo", app)},
        "amount": {
            "total": trade.amount_fen,
            "payer_total": trade.amount_fen - trade.coupon_fen,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    }
    if trade.coupon_fen:
        fields["promotion_detail"] = [{"coupon_id": "10000", "amount": trade.coupon_fen, "currency": "CNY"}]
    return fields


def time_of(moment: datetime) -> str:
    """RFC 3339, Beijing time."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def _check_merchant(call: Call) -> None:
    if call.params.get("mchid") != call.merchant.merchant_id:
        raise Refusal("PARAM_ERROR", "http header中的mchid与post payload中的mchid不匹配")


def _check_app(call: Call) -> None:
    app = call.params["appid"]
    if app in (call.merchant.app_id, *call.merchant.other_app_ids):
        return
    known = Merchant.objects.filter(gateway="wechat", app_id=app).exists()
    code = "APPID_MCHID_NOT_MATCH" if known else "PARAM_ERROR"
    raise Refusal(code, "appid和mch_id不匹配，请检查后再试" if known else "appid不存在")


def _check(body: dict[str, Any]) -> None:
    """Everything about a new order that does not depend on the clock."""
    unknown, missing = body.keys() - MEMBERS, [name for name in REQUIRED if not body.get(name)]
    if unknown or missing:
        raise Refusal("PARAM_ERROR", f"输入源“/body/{(*sorted(unknown), *missing)[0]}”校验失败")
    for name, longest in LONGEST.items():
        if not isinstance(body.get(name, ""), str) or len(body.get(name, "")) > longest:
            raise Refusal("PARAM_ERROR", f"输入源“/body/{name}”长度有误")
    if not re.fullmatch(r"[0-9A-Za-z_\-|*]{6,32}", str(body["out_trade_no"])):
        raise Refusal("PARAM_ERROR", "输入源“/body/out_trade_no”格式有误")
    if wrong := check_notify_url(str(body["notify_url"])):
        raise Refusal("PARAM_ERROR", wrong)
    amount = body["amount"]
    total = amount.get("total") if isinstance(amount, dict) else None
    if type(total) is not int or not 0 < total < 10**11 or amount.get("currency", "CNY") != "CNY":
        raise Refusal("PARAM_ERROR", "输入源“/body/amount/total”映射到数值字段“总金额”规则校验失败，值低于最小值 1")


def _check_way(kind: str, body: dict[str, Any]) -> str:
    """What this way to pay wants besides; the buyer's openid, if it names one."""
    if kind == "jsapi":
        payer = body.get("payer")
        openid = payer.get("openid") if isinstance(payer, dict) else None
        if not isinstance(openid, str) or not 0 < len(openid) <= 128:
            raise Refusal("PARAM_ERROR", "输入源“/body/payer/openid”校验失败")
        return openid
    if kind == "h5":
        scene: Any = body.get("scene_info")
        try:
            ipaddress.ip_address(scene["payer_client_ip"])
            known = scene["h5_info"]["type"] in ("Wap", "iOS", "Android")
        except (TypeError, KeyError, ValueError):
            known = False
        if not known:
            raise Refusal("PARAM_ERROR", "输入源“/body/scene_info”校验失败")
    return ""


def _expiry(call: Call, body: dict[str, Any]) -> datetime:
    """Until when a new order can be paid. What is nearer than a minute is moved there, as the real one does."""
    text = body.get("time_expire")
    if not text:
        return call.now + LONGEST_LIFE
    try:
        expires = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("PARAM_ERROR", "输入源“/body/time_expire”格式有误") from None
    if expires.tzinfo is None or expires > call.now + LONGEST_LIFE:
        raise Refusal("PARAM_ERROR", "输入源“/body/time_expire”格式有误，应带时区且不超过7天")
    return max(expires, call.now + SHORTEST_LIFE)
