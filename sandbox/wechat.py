"""WeChat Pay API v2 from the provider's side: XML in, XML out, signed with the merchant's API key.

Order of judgement as on the real gateway: transport and signature (`return_code` FAIL, unsigned), then business
(`result_code` FAIL with `err_code`, signed). Amounts are fen, times are Beijing time.
"""

import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone

from .base import BEIJING, Call, Fields, Refusal, Said, check_notify_url
from .models import Delivery, GatewayName, Merchant, Trade, TradeState
from .wechat_apps import app_of, check_app, openid_of
from .wechat_xml import fail, from_xml, sign, to_xml

NAME = GatewayName.WECHAT
CONTENT_TYPE = NOTICE_TYPE = "text/xml; charset=utf-8"
SYSTEM_ERROR = Refusal("SYSTEMERROR", "系统错误，请用相同参数再次调用")
# 15s/15s/30s/3m/10m/20m/30m/30m/30m/60m/3h/3h/3h/6h/6h: 24 h 4 min in all.
SCHEDULE: tuple[int, ...] = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
AMOUNT_FIELD, APP_FIELD, MERCHANT_FIELD = "total_fee", "appid", "mch_id"

MAX_BODY = 64 * 1024
CODE_LIFE = timedelta(hours=2)
SHORTEST_EXPIRY = timedelta(minutes=5)
CLOSE_AFTER = timedelta(minutes=5)
SIGN_TYPES = ("MD5", "HMAC-SHA256")
REQUIRED = ("body", "out_trade_no", "total_fee", "spbill_create_ip", "notify_url", "trade_type")
# What each way to pay wants besides.
WANTED = {"NATIVE": "product_id", "JSAPI": "openid", "MWEB": "scene_info"}
# In UTF-8 bytes.
LONGEST = {
    "device_info": 32, "body": 127, "detail": 6000, "attach": 127, "out_trade_no": 32, "fee_type": 16,
    "spbill_create_ip": 64, "goods_tag": 32, "product_id": 32, "limit_pay": 32, "openid": 128, "receipt": 8,
    "scene_info": 256,
}  # fmt: skip
FORMATS = {
    "out_trade_no": (r"[0-9A-Za-z_\-|*]{6,32}", "6到32个数字、字母、_-|*"),
    "total_fee": (r"[1-9][0-9]{0,10}", "应为正整数，单位为分"),
    "fee_type": (r"(CNY)?", "仅支持CNY"),
    "trade_type": (r"NATIVE|JSAPI|MWEB", "此沙箱支持NATIVE、JSAPI、MWEB"),
}
STATE_WORDS = {TradeState.WAITING: "NOTPAY", TradeState.PAID: "SUCCESS", TradeState.CLOSED: "CLOSED"}
STATE_TEXTS = {TradeState.WAITING: "订单未支付", TradeState.PAID: "支付成功", TradeState.CLOSED: "订单已关闭"}


# --- Requests and answers --------------------------------------------------------------------------------------------
def read(request: HttpRequest, operation: str, /) -> Call:
    """Parse and verify one request. Raises Unsigned, with the words of the real gateway where they are known."""
    if request.method != "POST":
        raise fail("请使用post方法")
    if not request.body:
        raise fail("post数据为空")
    if len(request.body) > MAX_BODY:
        raise fail("XML格式错误")
    try:
        request.body.decode()
    except UnicodeDecodeError:
        raise fail("编码格式错误") from None
    try:
        params = from_xml(request.body)
    except ValueError:
        raise fail("XML格式错误") from None
    # Over TLS: the certificate that the client showed (DER), b"" for none; see wechat_refunds.py.
    certificate = request.META.get("SSL_CLIENT_CERT", b"") if request.is_secure() else None
    return Call(
        _merchant(params),
        operation,
        params,
        timezone.now(),
        params.get("sign_type") or "MD5",
        site=f"{request.scheme}://{request.get_host()}",
        certificate=certificate,
    )


def _merchant(params: Fields) -> Merchant:
    for name in ("appid", "mch_id", "nonce_str", "sign"):
        if not params.get(name):
            raise fail(f"缺少参数{name}")
        if len(params[name]) > (64 if name == "sign" else 32):
            raise fail(f"{name}参数长度有误")
    merchant = Merchant.objects.filter(gateway=NAME, merchant_id=params["mch_id"]).first()
    if merchant is None:
        raise fail("商户号mch_id不存在")
    sign_type = params.get("sign_type") or "MD5"
    if sign_type not in SIGN_TYPES:
        raise fail("签名类型sign_type有误")
    if not hmac.compare_digest(sign(params, merchant.api_key, sign_type).encode(), params["sign"].encode()):
        raise fail("签名错误")
    return merchant


def _sealed(call: Call, fields: Fields) -> Said:
    fields = {"return_code": "SUCCESS", "return_msg": "OK"} | fields
    fields |= {"appid": call.params["appid"], "mch_id": call.merchant.merchant_id, "nonce_str": secrets.token_hex(16)}
    if device := call.params.get("device_info"):
        fields["device_info"] = device
    key = call.merchant.api_key
    if "wrong_signature" in call.faults:
        key = key[::-1]
    return Said(to_xml(fields | {"sign": sign(fields, key, call.sign_type)}).encode())


def answer(call: Call, fields: Fields) -> Said:
    """Success, signed with the algorithm of the request."""
    return _sealed(call, {"result_code": "SUCCESS"} | fields)


def refuse(call: Call, refusal: Refusal) -> Said:
    """A business failure, signed with the algorithm of the request."""
    return _sealed(call, {"result_code": "FAIL", "err_code": refusal.code, "err_code_des": refusal.text})


# --- Operations ------------------------------------------------------------------------------------------------------
def create(call: Call) -> Fields:
    """unifiedorder. The same parameters again give the same code."""
    check_app(call)
    _check_order(call.params)
    frozen = {name: value for name, value in call.params.items() if name not in {"sign", "nonce_str"} and value}
    trade = find(call)
    if trade is None:
        trade, _made = Trade.objects.get_or_create(
            merchant=call.merchant,
            out_trade_no=call.params["out_trade_no"],
            defaults={
                "params": frozen,
                "sign_type": call.sign_type,
                "amount_fen": int(call.params["total_fee"]),
                "title": call.params["body"],
                "notify_url": call.params["notify_url"],
                "code": f"weixin://wxpay/bizpayurl?pr={secrets.token_urlsafe(7)}",
                "prepay_id": f"wx{call.now.astimezone(BEIJING):%d%H%M%S}{secrets.token_hex(13)}",
                "created_at": call.now,
                "expires_at": _expiry(call),
            },
        )
    if trade.state == TradeState.PAID:
        raise Refusal("ORDERPAID", "该订单已支付")
    if trade.state_at(call.now) == TradeState.CLOSED:
        raise Refusal("ORDERCLOSED", "该订单已关闭")
    if trade.params != frozen:
        raise Refusal("OUT_TRADE_NO_USED", "商户订单号重复：同一订单号的参数不可更改")
    fields = {"trade_type": trade.params["trade_type"], "prepay_id": trade.prepay_id}
    if fields["trade_type"] == "NATIVE":
        fields["code_url"] = trade.code
    if fields["trade_type"] == "MWEB":
        # Good for five minutes from now; asking again makes a new one.
        made = int(call.now.timestamp())
        fields["mweb_url"] = f"{call.site}/sandbox/wechat/h5?prepay_id={trade.prepay_id}&package={made}"
    return fields


def query(call: Call) -> Fields:
    """orderquery, by transaction_id or out_trade_no; the former wins."""
    check_app(call)
    trade = existing(call)
    state = TradeState.WAITING if "lie_not_pay" in call.faults else trade.state_at(call.now)
    fields = {"out_trade_no": trade.out_trade_no, "attach": trade.params.get("attach", "")}
    fields |= {"trade_state": STATE_WORDS[state], "trade_state_desc": STATE_TEXTS[state]}
    if state == TradeState.PAID and trade.refunds.exists():
        fields |= {"trade_state": "REFUND", "trade_state_desc": "转入退款"}
    return _filled(fields | _payment(trade) if state == TradeState.PAID else fields)


def close(call: Call) -> Fields:
    """closeorder. Not in the first five minutes of an order."""
    check_app(call)
    trade = existing(call)
    too_early = call.now < trade.created_at + CLOSE_AFTER and trade.state_at(call.now) == TradeState.WAITING
    if too_early:
        raise Refusal("TRADE_STATE_ERROR", "订单生成后不能马上调用关单接口，最短调用时间间隔为5分钟")
    if trade.close(call.now):
        return {}
    trade.refresh_from_db()
    if trade.state == TradeState.PAID:
        raise Refusal("ORDERPAID", "订单已支付，不能发起关单")
    raise Refusal("ORDERCLOSED", "订单已关闭，无法重复关闭")


OPERATIONS: Mapping[str, Callable[[Call], Fields]] = {"create": create, "query": query, "close": close}


def find(call: Call) -> Trade | None:
    """The trade a call names by transaction_id or out_trade_no, among those of its merchant."""
    trades = Trade.objects.select_related("merchant").filter(merchant=call.merchant)
    if call.params.get("transaction_id"):
        return trades.filter(transaction_id=call.params["transaction_id"]).first()
    return trades.filter(out_trade_no=call.out_trade_no).first()


def existing(call: Call) -> Trade:
    if not call.out_trade_no and not call.params.get("transaction_id"):
        raise Refusal("LACK_PARAMS", "缺少参数out_trade_no")
    trade = find(call)
    if trade is None:
        raise Refusal("ORDERNOTEXIST", "此交易订单号不存在")
    return trade


def _check_order(params: Fields) -> None:
    """Everything about a new order that does not depend on the clock."""
    for name in REQUIRED:
        if not params.get(name):
            raise Refusal("LACK_PARAMS", f"缺少参数{name}")
    for name, longest in LONGEST.items():
        if len(params.get(name, "").encode()) > longest:
            raise Refusal("INVALID_REQUEST", f"{name}参数长度有误")
    for name, (pattern, rule) in FORMATS.items():
        if not re.fullmatch(pattern, params.get(name, "")):
            raise Refusal("INVALID_REQUEST", f"{name}参数格式有误：{rule}")
    try:
        address = ipaddress.ip_address(params["spbill_create_ip"])
        if address.version == 6 and address.ipv4_mapped:
            raise ValueError
    except ValueError:
        raise Refusal("INVALID_REQUEST", "spbill_create_ip参数格式有误") from None
    if wrong := check_notify_url(params["notify_url"]):
        raise Refusal("INVALID_REQUEST", wrong)
    _check_way(params)
    _moment(params, "time_start")
    _moment(params, "time_expire")


def _check_way(params: Fields) -> None:
    """What this way to pay wants besides."""
    wanted = WANTED[params["trade_type"]]
    if not params.get(wanted):
        raise Refusal("LACK_PARAMS", f"缺少参数{wanted}")
    if wanted == "scene_info" and not _is_scene(params["scene_info"]):
        raise Refusal("INVALID_REQUEST", "scene_info参数格式有误")


def _is_scene(text: str) -> bool:
    """{"h5_info": {"type", "wap_url", "wap_name"}}."""
    try:
        info = json.loads(text)["h5_info"]
        return isinstance(info, dict) and info.get("type") == "Wap" and str(info.get("wap_url", "")).startswith("http")
    except (ValueError, TypeError, KeyError):
        return False


def _moment(params: Fields, name: str) -> datetime | None:
    """A `yyyyMMddHHmmss` parameter, Beijing time."""
    text = params.get(name, "")
    if not text:
        return None
    try:
        if not re.fullmatch(r"[0-9]{14}", text):
            raise ValueError(text)
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        raise Refusal("INVALID_REQUEST", f"{name}参数格式有误：应为yyyyMMddHHmmss") from None


def _expiry(call: Call) -> datetime:
    """When a new order can no longer be paid: its own time_expire, at most the life of a code."""
    expires, start = _moment(call.params, "time_expire"), _moment(call.params, "time_start")
    if expires is None:
        return call.now + CODE_LIFE
    if expires < call.now + SHORTEST_EXPIRY or (start and expires <= start):
        raise Refusal("INVALID_REQUEST", "time_expire时间过短，刷卡至少1分钟，其他5分钟")
    return min(expires, call.now + CODE_LIFE)


# --- What the buyer does, and notices --------------------------------------------------------------------------------
def scan(trade: Trade, now: datetime) -> bool:
    """Opening the code changes nothing but that it was seen."""
    return trade.scan(now, expires_at=trade.expires_at)


def new_transaction_id(now: datetime) -> str:
    """28 digits: 4200, four of the acquirer, the Beijing date, twelve more."""
    return f"4200{secrets.randbelow(10**4):04d}{now.astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**12):012d}"


def format_amount(fen: int) -> str:
    """Notices are in fen."""
    return str(fen)


def notice(trade: Trade) -> Fields:
    """The fields of a payment notice. As on the real gateway there is no sign_type in it, whatever signs it."""
    fields = {"return_code": "SUCCESS", "result_code": "SUCCESS", "appid": app_of(trade)}
    fields |= {"mch_id": trade.merchant.merchant_id, "nonce_str": secrets.token_hex(16)}
    fields |= {name: trade.params.get(name, "") for name in ("out_trade_no", "attach", "device_info")}
    return _filled(fields | _payment(trade))


def seal(trade: Trade, fields: Fields, *, genuine: bool) -> str:
    """Sign a notice with the algorithm of the order."""
    key = trade.merchant.api_key
    if not genuine:
        key = key[::-1]
    return to_xml(fields | {"sign": sign(fields, key, trade.sign_type)})


def notice_headers(_delivery: Delivery) -> Fields:
    """Its body holds the signature."""
    return {}


def acknowledged(status: int, body: str) -> bool:
    """HTTP 200 and return_code SUCCESS."""
    try:
        return status == 200 and from_xml(body.encode()).get("return_code") == "SUCCESS"
    except ValueError:
        return False


def _payment(trade: Trade) -> Fields:
    """What a paid trade says in a query and in a notice."""
    fields = {
        "openid": trade.params.get("openid") or openid_of("demo", app_of(trade)),
        "is_subscribe": "N",
        "trade_type": trade.params.get("trade_type", "NATIVE"),
        "bank_type": "OTHERS",
        "total_fee": str(trade.amount_fen),
        "fee_type": "CNY",
        "cash_fee": str(trade.amount_fen - trade.coupon_fen),
        "cash_fee_type": "CNY",
        "transaction_id": trade.transaction_id,
        "time_end": f"{(trade.paid_at or trade.created_at).astimezone(BEIJING):%Y%m%d%H%M%S}",
    }
    if trade.coupon_fen:
        fields |= {"coupon_fee": str(trade.coupon_fen), "coupon_count": "1", "coupon_fee_0": str(trade.coupon_fen)}
        fields |= {"coupon_id_0": "10000", "coupon_type_0": "CASH", "settlement_total_fee": fields["cash_fee"]}
    return fields


def _filled(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value}
