"""The calls of orders, and how any call is read and answered.

Order of judgement as on the real gateway: headers and clock (400, 401, unsigned), signature (401, unsigned), then
business (4xx with a code; signed unless the merchant's `signs_refusals` is off, because nobody knows for certain).
"""

import json
import random
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils import timezone

from sandbox import wechat
from sandbox.base import Call, Refusal, Said, Unsigned
from sandbox.models import Delivery, GatewayName, Merchant, Refund, RefundState, Trade
from sandbox.wechat_apps import app_of

from . import crypto, orders

NAME = GatewayName.WECHAT
SIGN_TYPE = "RSA"
CONTENT_TYPE = NOTICE_TYPE = "application/json"
SYSTEM_ERROR = Refusal("SYSTEM_ERROR", "系统异常，请稍后重试", 500)
SCHEDULE = wechat.SCHEDULE
AMOUNT_FIELD, APP_FIELD, MERCHANT_FIELD = "total", "appid", "mchid"

MAX_BODY = 64 * 1024
POSTED = {"create", "close", "refund"}
CLOCK = timedelta(minutes=5)
REFUND_WORDS = {
    RefundState.PROCESSING: "PROCESSING",
    RefundState.SUCCEEDED: "SUCCESS",
    RefundState.CLOSED: "CLOSED",
    RefundState.ABNORMAL: "ABNORMAL",
}


# --- Requests and answers --------------------------------------------------------------------------------------------
def refused(code: str, text: str, status: int) -> Unsigned:
    return Unsigned(json.dumps({"code": code, "message": text}, ensure_ascii=False).encode(), status)


def read(request: HttpRequest, operation: str, /) -> Call:
    """Parse and verify one request; what its path says is in `resolver_match`. Raises Unsigned."""
    if request.method != ("POST" if operation in POSTED else "GET"):
        raise Unsigned(b"", 405)
    if not request.headers.get("User-Agent") or request.headers.get("Accept") != "application/json":
        raise refused("INVALID_REQUEST", "Http头缺少Accept或User-Agent", 400)
    if len(request.body) > MAX_BODY:
        raise refused("PARAM_ERROR", "请求体过长", 400)
    merchant = _merchant(request)
    named = request.headers.get("Wechatpay-Serial", "")
    known = {"", merchant.public_key_id}
    if merchant.platform_certificate:
        known.add(crypto.serial_of(merchant.platform_certificate))
    if named not in known:
        # Seen at the real one, which does not say what is wrong.
        raise refused("SYSTEM_ERROR", "未知错误", 500)
    path = request.resolver_match.kwargs if request.resolver_match else {}
    params = {**request.GET.dict(), **_content(request), **{name: path[name] for name in path if name != "operation"}}
    return Call(
        merchant,
        operation,
        params,
        timezone.now(),
        SIGN_TYPE,
        method=named,
        site=f"{request.scheme}://{request.get_host()}",
    )


def _merchant(request: HttpRequest) -> Merchant:
    """Whoever signed the request."""
    try:
        said = crypto.items_of(request.headers.get("Authorization", ""))
    except ValueError as error:
        raise refused("SIGN_ERROR", str(error), 401) from None
    now = timezone.now().timestamp()
    if not re.fullmatch(r"[0-9]{1,11}", said["timestamp"]) or abs(now - int(said["timestamp"])) > CLOCK.total_seconds():
        text = "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        raise refused("SIGN_ERROR", text, 401)
    merchant = Merchant.objects.filter(gateway=NAME, merchant_id=said["mchid"]).first()
    if merchant is None or not merchant.client_certificate:
        raise refused("SIGN_ERROR", "商户未申请过证书。", 401)
    if not merchant.api_v3_key:
        raise refused("SIGN_ERROR", "商户未设置APIv3密钥。", 401)
    if said["serial_no"].upper().zfill(40) != crypto.serial_of(merchant.client_certificate):
        raise refused("SIGN_ERROR", "商户证书序列号有误。请使用签名私钥匹配的证书序列号", 401)
    path = request.get_full_path().encode()
    lines = (str(request.method).encode(), path, said["timestamp"].encode(), said["nonce_str"].encode(), request.body)
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", said["nonce_str"]) or not crypto.is_signed(
        merchant.client_certificate, said["signature"], *lines
    ):
        raise refused("SIGN_ERROR", "签名错误", 401)
    return merchant


def _content(request: HttpRequest) -> dict[str, Any]:
    if not request.body:
        return {}
    if request.content_type != "application/json":
        raise refused("PARAM_ERROR", "Content-Type应为application/json", 400)
    try:
        found = json.loads(request.body.decode(), object_pairs_hook=_once, parse_constant=_no, parse_float=_no)
    except (ValueError, RecursionError):
        raise refused("PARAM_ERROR", "请求体不是合法的JSON", 400) from None
    if not isinstance(found, dict) or re.search("[\U00010000-\U0010ffff]", request.body.decode()):
        raise refused("PARAM_ERROR", "请求体含有不支持的字符", 400)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or None in found.values():
        raise ValueError("a name twice, or null")
    return found


def _no(text: str) -> NoReturn:
    raise ValueError(text)


def answer(call: Call, fields: Any) -> Said:
    """Success: 200 with what there is to say, 204 without."""
    body = json.dumps(fields, ensure_ascii=False).encode() if fields else b""
    return Said(body, 200 if body else 204, _signed(call, body))


def refuse(call: Call, refusal: Refusal) -> Said:
    """A business failure."""
    body = json.dumps({"code": refusal.code, "message": refusal.text}, ensure_ascii=False).encode()
    signs = call.merchant.signs_refusals
    return Said(body, refusal.status, _signed(call, body) if signs else {"Request-ID": secrets.token_hex(12).upper()})


def _signed(call: Call, body: bytes) -> dict[str, str]:
    """By the key that the request names; without a name, and before the switch began, by the platform certificate."""
    merchant = call.merchant
    named = call.method == merchant.public_key_id and merchant.by_public_key_percent > 0
    by_public_key = bool(merchant.public_key_id) and (named or not merchant.platform_certificate)
    return crypto.headers(merchant, body, by_public_key=by_public_key, faults=call.faults)


# --- What the buyer does, and notices --------------------------------------------------------------------------------
scan = wechat.scan
new_transaction_id = wechat.new_transaction_id
format_amount = wechat.format_amount


def notice(trade: Trade) -> dict[str, str]:
    """The fields of a payment notice that a fault may change; `seal` adds the rest."""
    return {
        AMOUNT_FIELD: str(trade.amount_fen),
        APP_FIELD: app_of(trade),
        MERCHANT_FIELD: trade.merchant.merchant_id,
    }


def seal(trade: Trade, fields: Mapping[str, str], *, genuine: bool) -> str:
    """The notice, encrypted for the merchant. Its headers sign it, genuinely or not."""
    content = orders.payment(trade) | {"trade_state_desc": "支付成功", "trade_state": "SUCCESS"}
    total = fields[AMOUNT_FIELD]
    content["amount"] |= {"total": int(total) if re.fullmatch(r"-?[0-9]{1,18}", total) else total}
    content |= {APP_FIELD: fields[APP_FIELD], MERCHANT_FIELD: fields[MERCHANT_FIELD]}
    content |= {"out_trade_no": trade.out_trade_no, "attach": trade.params.get("attach", "")}
    return envelope(trade.merchant, "TRANSACTION.SUCCESS", "transaction", content)


def envelope(merchant: Merchant, event: str, kind: str, content: Mapping[str, Any]) -> str:
    resource = crypto.seal(merchant.api_v3_key, json.dumps(content, ensure_ascii=False).encode(), kind)
    said = {
        "id": f"EV-{secrets.token_hex(16)}",
        "create_time": orders.time_of(timezone.now()),
        "resource_type": "encrypt-resource",
        "event_type": event,
        "summary": "支付成功" if kind == "transaction" else "退款通知",
        "resource": {"original_type": kind, **resource},
    }
    return json.dumps(said, ensure_ascii=False)


def notice_headers(delivery: Delivery) -> dict[str, str]:
    """Fresh with every try. While the merchant switches to the public key, either key signs."""
    merchant, faults = delivery.trade.merchant, dict(delivery.faults)
    if delivery.tries:
        # The honest notice follows what was sent to try the merchant.
        faults.pop("signtest", None)
    percent = merchant.by_public_key_percent if merchant.platform_certificate else 100
    by_public_key = bool(merchant.public_key_id) and random.randrange(100) < percent  # noqa: S311  # no secret
    return crypto.headers(merchant, delivery.body.encode(), by_public_key=by_public_key, faults=faults)


def acknowledged(status: int, _body: str) -> bool:
    """The status alone counts."""
    return 200 <= status < 300


def is_for_app(trade: Trade, arguments: Mapping[str, str]) -> bool:
    """Whether the merchant signed the arguments of wx.requestPayment, and the app's id."""
    lines = [arguments.get(name, "").encode() for name in ("appId", "timeStamp", "nonceStr", "package")]
    certificate = trade.merchant.client_certificate
    right = arguments.get("signType") == SIGN_TYPE and arguments.get("appId") == app_of(trade)
    return right and crypto.is_signed(certificate, arguments.get("paySign", ""), *lines)


def refund_amount(refund: Refund) -> dict[str, Any]:
    total = refund.trade.amount_fen
    return {
        "total": total,
        "refund": refund.amount_fen,
        "payer_total": total - refund.trade.coupon_fen,
        "payer_refund": refund.amount_fen,
        "currency": "CNY",
    }


# --- Operations ------------------------------------------------------------------------------------------------------
def find(call: Call) -> Trade | None:
    """The trade a call names by either number, among those of its merchant."""
    return wechat.find(call)


def certificates(call: Call) -> dict[str, Any]:
    """The platform certificates, each encrypted. Merchants with a public key only have none."""
    pem = call.merchant.platform_certificate
    if not pem:
        text = "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。"
        raise Refusal("RESOURCE_NOT_EXISTS", text, 404)
    sealed = crypto.seal(call.merchant.api_v3_key, pem.encode(), "certificate")
    now = timezone.now()
    return {
        "data": [
            {
                "serial_no": crypto.serial_of(pem),
                "effective_time": orders.time_of(now - timedelta(days=1)),
                "expire_time": orders.time_of(now + timedelta(days=1800)),
                "encrypt_certificate": sealed,
            }
        ]
    }


OPERATIONS: Mapping[str, Callable[[Call], Any]] = {
    "create": orders.create,
    "query": orders.query,
    "close": orders.close,
    "certificates": certificates,
}
