"""Alipay's gateway from the provider's side: a signed form in, signed JSON out, RSA2 only.

The answer's signature is over the exact bytes of the `…_response` node, in which every slash is escaped, as on the real
gateway. What is refused before the caller is known (missing, expired, wrongly signed) is not signed. Amounts are yuan
with two decimals, times are Beijing time.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils import timezone

from .alipay_certificates import notice_key, signer, wrong_with
from .alipay_parameters import METHODS, PRODUCTS, as_json, check_parameters, node_of, unsigned
from .alipay_signing import sign, signed_text, verify
from .alipay_time import moment, text_of, timeout
from .base import BEIJING, Call, Fields, Refusal, Said, check_notify_url
from .models import Delivery, GatewayName, Merchant, Trade, TradeState, refunded_fen, yuan

NAME = GatewayName.ALIPAY
CONTENT_TYPE = "text/html;charset=utf-8"
NOTICE_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
SYSTEM_ERROR = Refusal("ACQ.SYSTEM_ERROR", "系统错误")
# 4m/10m/10m/1h/2h/6h/15h: eight sends in about 25 h.
SCHEDULE: tuple[int, ...] = (240, 600, 600, 3600, 7200, 21600, 54000)
AMOUNT_FIELD, APP_FIELD, MERCHANT_FIELD = "total_amount", "app_id", "seller_id"

CODE_LIFE = timedelta(hours=2)
LARGEST = Decimal(100_000_000)
STRINGS = {"body", "passback_params", "seller_id", "time_expire", "timeout_express", "qr_code_timeout_express"}
STATE_WORDS = {
    TradeState.WAITING: "WAIT_BUYER_PAY",
    TradeState.PAID: "TRADE_SUCCESS",
    TradeState.CLOSED: "TRADE_CLOSED",
}
BUYER_ID, BUYER_LOGON_ID = "2088000000000001", "san***@sandbox.test"


# --- Requests and answers --------------------------------------------------------------------------------------------
def read(request: HttpRequest, _operation: str, /) -> Call:
    """Parse and verify one request; its method says the operation. Parameters may be in the query string or the body,
    each once. Raises Unsigned."""
    sent = [(name, value) for form in (request.GET, request.POST) for name, values in form.lists() for value in values]
    params = dict(sent)
    method = params.get("method", "")
    allowed = {"GET", "POST"} if method in PRODUCTS else {"POST"}
    if request.method not in allowed or len(params) != len(sent) or any("\0" in value for value in params.values()):
        raise unsigned(method, "isv.invalid-parameter", "参数无效")
    check_parameters(params, method)
    merchant = _merchant(params, method)
    content = _content(params)
    if content is None:
        raise unsigned(method, "isv.invalid-parameter", "biz_content无效：应为JSON对象")
    call = {name: value for name, value in content.items() if isinstance(value, str)}
    call |= {"app_id": params["app_id"], "notify_url": params.get("notify_url", ""), "biz_content": json.dumps(content)}
    call |= {"return_url": params.get("return_url", "")}
    site = f"{request.scheme}://{request.get_host()}"
    return Call(merchant, METHODS[method], call, timezone.now(), "RSA2", method, site=site)


def _merchant(params: Fields, method: str) -> Merchant:
    """Who asks. Raises Unsigned unless it is he."""
    merchant = Merchant.objects.filter(gateway=NAME, app_id=params["app_id"]).first()
    if merchant is None:
        raise unsigned(method, "isv.invalid-app-id", "无效的AppID参数")
    if (wrong := wrong_with(merchant, params))[0]:
        raise unsigned(method, *wrong)
    if not verify(signed_text(params, without={"sign"}), params["sign"], merchant.app_public_key):
        raise unsigned(method, "isv.invalid-signature", "验签出错，请检查应用私钥与平台上传的应用公钥是否匹配")
    return merchant


def _content(params: Fields) -> dict[str, object] | None:
    """biz_content, if it is a JSON object that PostgreSQL can keep."""
    try:
        content = json.loads(params.get("biz_content") or "{}")
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "\\u0000" not in text else None


def _sealed(call: Call, fields: Fields) -> Said:
    node = as_json(fields)
    signed = node + " " if "wrong_signature" in call.faults else node
    private_key, serial = signer(call)
    named = f'"alipay_cert_sn":"{serial}",' if serial else ""
    return Said(f'{{"{node_of(call.method)}":{node},{named}"sign":"{sign(signed.encode(), private_key)}"}}'.encode())


def answer(call: Call, fields: Fields) -> Said:
    """Success, signed by Alipay."""
    return _sealed(call, {"code": "10000", "msg": "Success"} | fields)


def refuse(call: Call, refusal: Refusal) -> Said:
    """A business failure, signed by Alipay."""
    node = {"code": "40004", "msg": "Business Failed", "sub_code": refusal.code, "sub_msg": refusal.text}
    return _sealed(call, node)


# --- Operations ------------------------------------------------------------------------------------------------------
def create(call: Call) -> Fields:
    """alipay.trade.precreate. The same parameters again give the same code. No trade exists until it is scanned."""
    return {"out_trade_no": call.out_trade_no, "qr_code": ordered(call).code}


def ordered(call: Call) -> Trade:
    """The trade a call orders, new or known with the same parameters."""
    _check_order(call)
    frozen = json.loads(call.params["biz_content"]) | {"notify_url": call.params["notify_url"]}
    trade = _order(call)
    if trade is None:
        trade, _made = Trade.objects.get_or_create(
            merchant=call.merchant,
            out_trade_no=call.out_trade_no,
            defaults={
                "params": frozen,
                "sign_type": "RSA2",
                "amount_fen": int(Decimal(call.params["total_amount"]) * 100),
                "title": call.params["subject"],
                "notify_url": call.params["notify_url"],
                "code": f"https://qr.alipay.com/bax{secrets.token_hex(10)}",
                "created_at": call.now,
                "expires_at": _code_expiry(call),
            },
        )
    if trade.state == TradeState.PAID:
        raise Refusal("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
    if trade.state_at(call.now) == TradeState.CLOSED:
        raise Refusal("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
    if trade.params != frozen:
        raise Refusal("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改：同一订单号的参数不可更改")
    return trade


def query(call: Call) -> Fields:
    """alipay.trade.query, by trade_no or out_trade_no."""
    trade = scanned(call)
    state = TradeState.WAITING if "lie_not_pay" in call.faults else trade.state_at(call.now)
    fields = {"trade_no": trade.transaction_id, "out_trade_no": trade.out_trade_no}
    fields |= {"trade_status": STATE_WORDS[state], "total_amount": trade.amount_yuan}
    if state == TradeState.PAID and refunded_fen(trade) == trade.amount_fen:
        fields["trade_status"] = "TRADE_CLOSED"
    fields |= {"buyer_logon_id": BUYER_LOGON_ID, "buyer_user_id": BUYER_ID, "point_amount": "0.00"}
    if state != TradeState.PAID:
        return fields | {"receipt_amount": "0.00", "buyer_pay_amount": "0.00", "invoice_amount": "0.00"}
    return fields | _paid_amounts(trade) | {"send_pay_date": text_of(trade.paid_at)}


def close(call: Call) -> Fields:
    """alipay.trade.close: only a trade that exists and waits."""
    trade = scanned(call)
    if not trade.close(call.now):
        raise Refusal("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    return {"trade_no": trade.transaction_id, "out_trade_no": trade.out_trade_no}


OPERATIONS: Mapping[str, Callable[[Call], Fields]] = {"create": create, "query": query, "close": close}


def find(call: Call) -> Trade | None:
    """The order a call names by trade_no or out_trade_no, scanned or not."""
    if call.params.get("trade_no"):
        return Trade.objects.filter(merchant=call.merchant, transaction_id=call.params["trade_no"]).first()
    return _order(call)


def _order(call: Call) -> Trade | None:
    return Trade.objects.filter(merchant=call.merchant, out_trade_no=call.out_trade_no).first()


def scanned(call: Call) -> Trade:
    if not call.out_trade_no and not call.params.get("trade_no"):
        raise Refusal("ACQ.INVALID_PARAMETER", "参数无效：out_trade_no和trade_no不能同时为空")
    trade = find(call)
    if trade is None or trade.scanned_at is None:
        raise Refusal("ACQ.TRADE_NOT_EXIST", "交易不存在")
    return trade


def _check_order(call: Call) -> None:
    """Everything about a new order that does not depend on the clock."""
    params = call.params
    wrong = check_notify_url(params["notify_url"]) if params["notify_url"] else ""
    if not re.fullmatch(r"[0-9A-Za-z_]{1,64}", params.get("out_trade_no", "")):
        wrong = "out_trade_no：1到64个字母、数字、下划线"
    amount = params.get("total_amount", "")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", amount) or not Decimal("0.01") <= Decimal(amount) <= LARGEST:
        wrong = "total_amount：字符串，0.01到100000000，最多两位小数"
    subject = params.get("subject", "")
    if not subject or len(subject) > 256 or set(subject) & set("/=&"):
        wrong = "subject：1到256个字符，不可包含 / = &"
    if len(params.get("body", "")) > 128:
        wrong = "body：最多128个字符"
    if params.get("seller_id", call.merchant.merchant_id) != call.merchant.merchant_id:
        wrong = "seller_id：与应用不匹配"
    for name in STRINGS & json.loads(params["biz_content"]).keys() - params.keys():
        wrong = f"{name}：应为字符串"
    if wrong:
        raise Refusal("ACQ.INVALID_PARAMETER", f"参数无效：{wrong}")


def _code_expiry(call: Call) -> datetime:
    """Until when the code can be scanned: two hours at most, and not after the trade's own end."""
    params, ends = call.params, [call.now + CODE_LIFE]
    if "timeout_express" in params:
        timeout(params["timeout_express"], call.now, "timeout_express")
    if "qr_code_timeout_express" in params:
        ends.append(call.now + timeout(params["qr_code_timeout_express"], call.now, "qr_code_timeout_express"))
    if "time_expire" in params:
        end = moment(params["time_expire"])
        if end is None or end <= call.now:
            raise Refusal("ACQ.INVALID_PARAMETER", "参数无效：time_expire应为将来的北京时间yyyy-MM-dd HH:mm:ss")
        ends.append(end)
    return min(ends)


# --- What the buyer does, and notices --------------------------------------------------------------------------------
def scan(trade: Trade, now: datetime) -> bool:
    """The trade comes into being. timeout_express is counted from here, time_expire is absolute."""
    ends = []
    if "timeout_express" in trade.params:
        ends.append(now + timeout(trade.params["timeout_express"], now, "timeout_express"))
    if end := moment(trade.params.get("time_expire", "")):
        ends.append(end)
    return trade.scan(now, expires_at=min(ends, default=trade.expires_at), transaction_id=new_transaction_id(now))


def new_transaction_id(now: datetime) -> str:
    """28 digits: the Beijing date, 22001, fifteen more."""
    return f"{now.astimezone(BEIJING):%Y%m%d}22001{secrets.randbelow(10**15):015d}"


def format_amount(fen: int) -> str:
    """Notices are in yuan."""
    return yuan(fen)


def notice(trade: Trade) -> Fields:
    """The fields of a TRADE_SUCCESS notice."""
    merchant, params = trade.merchant, trade.params
    fields = {
        "notify_time": text_of(timezone.now()),
        "notify_type": "trade_status_sync",
        "notify_id": secrets.token_hex(17),
        "app_id": merchant.app_id,
        "auth_app_id": merchant.app_id,
        "charset": "utf-8",
        "version": "1.0",
        "trade_no": trade.transaction_id,
        "out_trade_no": trade.out_trade_no,
        "buyer_id": BUYER_ID,
        "buyer_logon_id": BUYER_LOGON_ID,
        "seller_id": merchant.merchant_id,
        "seller_email": "seller@sandbox.test",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": trade.amount_yuan,
        "point_amount": "0.00",
        "subject": trade.title,
        "gmt_create": text_of(trade.scanned_at),
        "gmt_payment": text_of(trade.paid_at),
    }
    funds = [{"amount": _paid_amounts(trade)["buyer_pay_amount"], "fundChannel": "ALIPAYACCOUNT"}]
    fields |= _paid_amounts(trade) | {"fund_bill_list": json.dumps(funds, separators=(",", ":"))}
    return fields | {name: params[name] for name in ("body", "passback_params") if params.get(name)}


def seal(trade: Trade, fields: Fields, *, genuine: bool) -> str:
    """Sign a notice, over everything but sign and sign_type, and encode it as a form."""
    text = signed_text(fields, without={"sign", "sign_type"})
    signature = sign(text if genuine else text + b" ", notice_key(trade.merchant))
    return urlencode(fields | {"sign_type": "RSA2", "sign": signature})


def notice_headers(_delivery: Delivery) -> Fields:
    """Its body holds the signature."""
    return {}


def acknowledged(status: int, body: str) -> bool:
    """HTTP 200 and exactly `success`."""
    return status == 200 and body == "success"


def _paid_amounts(trade: Trade) -> Fields:
    """The merchant receives it all; a coupon of Alipay's lowers what the buyer paid."""
    cash = yuan(trade.amount_fen - trade.coupon_fen)
    return {"receipt_amount": trade.amount_yuan, "buyer_pay_amount": cash, "invoice_amount": cash}
