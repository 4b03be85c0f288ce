"""Refunds and bills of WeChat Pay from the provider's side.

The real gateway hears refunds only over mutual TLS. Here, whoever ends TLS in front of this stand-in puts the client's
certificate into SSL_CLIENT_CERT, and it must be the merchant's own; over plain HTTP, as in the demo, nobody can show
one, and refunds are taken without.
"""

import gzip
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime

from cryptography import x509

from . import refunds
from .base import BEIJING, Call, Fields, Refusal, Unsigned
from .models import Merchant, Refund, RefundState, Trade, TradeState, yuan
from .refund_notices import STATE_WORDS, about, wechat_facts
from .wechat import existing
from .wechat_apps import app_of, check_app
from .wechat_xml import fail, to_xml

PAGE = 10
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,"
    "代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


def refund(call: Call) -> Fields:
    """refund. The same number with the same amounts is the same refund."""
    _check_certificate(call)
    check_app(call)
    number, params = call.params.get("out_refund_no", ""), call.params
    if not re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", number):
        raise Refusal("PARAM_ERROR", "out_refund_no参数格式有误")
    trade = existing(call)
    if not re.fullmatch(r"[1-9][0-9]{0,10}", params.get("refund_fee", "")) or params.get("total_fee") != str(
        trade.amount_fen
    ):
        raise Refusal("PARAM_ERROR", "订单金额或退款金额与之前请求不一致，请核实后再试")
    if len(params.get("refund_desc", "").encode()) > 80:
        raise Refusal("PARAM_ERROR", "refund_desc参数长度有误")
    amount_fen = int(params["refund_fee"])
    known = Refund.objects.filter(trade__merchant=call.merchant, out_refund_no=number).first()
    if known is None:
        _maybe_refuse(call)
        if trade.state != TradeState.PAID:
            raise Refusal("TRADE_STATE_ERROR", "订单状态错误：未支付")
        try:
            url, reason = params.get("notify_url", ""), params.get("refund_desc", "")
            known = refunds.accept(trade, number, amount_fen, notify_url=url, reason=reason, faults=call.faults)
        except refunds.CannotRefund as error:
            raise Refusal("ERROR", str(error)) from None
    if (known.trade_id, known.amount_fen) != (trade.pk, amount_fen):
        raise Refusal("PARAM_ERROR", "订单金额或退款金额与之前请求不一致，请核实后再试")
    return about(trade) | {
        "out_refund_no": known.out_refund_no,
        "refund_id": known.refund_id,
        "refund_fee": str(known.amount_fen),
        "cash_refund_fee": str(known.amount_fen),
    }


def _maybe_refuse(call: Call) -> None:
    if "not_enough" in call.faults:
        raise Refusal("NOTENOUGH", "基本账户余额不足，请充值后重新发起")
    if "frequency_limited" in call.faults:
        raise Refusal("FREQUENCY_LIMITED", "频率限制，请1分钟后重试")


def _check_certificate(call: Call) -> None:
    """Over TLS the client must be known by the certificate that was issued to the merchant."""
    if call.certificate is None:
        return
    shown = x509.load_der_x509_certificate(call.certificate) if call.certificate else None
    issued = x509.load_pem_x509_certificate(call.merchant.client_certificate.encode())
    if shown != issued:
        raise fail("证书验证失败")


def refund_query(call: Call) -> Fields:
    """refundquery, by refund_id, out_refund_no, transaction_id or out_trade_no, in this order."""
    check_app(call)
    params = call.params
    found = Refund.objects.select_related("trade__merchant").filter(trade__merchant=call.merchant).order_by("pk")
    if params.get("refund_id"):
        found = found.filter(refund_id=params["refund_id"])
    elif params.get("out_refund_no"):
        found = found.filter(out_refund_no=params["out_refund_no"])
    else:
        found = found.filter(trade=existing(call))
    total = found.count()
    if not total:
        raise Refusal("REFUNDNOTEXIST", "不存在退款单")
    offset = int(params["offset"]) if re.fullmatch(r"[0-9]{1,4}", params.get("offset", "")) else 0
    page = [refunds.look(each) for each in found[offset : offset + PAGE]]
    fields = about(found[0].trade) | {"refund_count": str(len(page)), "total_refund_count": str(total)}
    for number, each in enumerate(page):
        fields |= {f"{name}_{number}": value for name, value in wechat_facts(each).items()}
    return fields


def bill(call: Call) -> bytes:
    """downloadbill, ALL: text, gzip when asked; complaints are XML and unsigned. Any day, today as well."""
    check_app(call)
    try:
        day = datetime.strptime(call.params.get("bill_date", ""), "%Y%m%d").replace(tzinfo=BEIJING).date()
    except ValueError:
        raise fail("data format error") from None
    if call.params.get("bill_type", "ALL") != "ALL":
        raise fail("invalid bill_type")
    if "bill_not_ready" in call.faults:
        raise fail("Bill Creating")
    wrong, odd = ("wrong_bill_sums" in call.faults, "odd_bill_rows" in call.faults)
    content = bill_text(call.merchant, day, wrong=wrong, odd=odd).encode()
    if not content:
        answer = {"return_code": "FAIL", "return_msg": "No Bill Exist", "error_code": "20002"}
        raise Unsigned(to_xml(answer).encode())
    if call.params.get("tar_type") == "GZIP":
        content = gzip.compress(content)
    return content[: len(content) // 2] if "truncated_bill" in call.faults else content


def bill_text(merchant: Merchant, day: date, *, wrong: bool, odd: bool) -> str:
    """The same in both versions of the protocol; empty when nothing happened on that day."""
    trades, backs = refunds.trades_of(merchant, day), refunds.refunds_of(merchant, day)
    if not trades and not backs:
        return ""
    rows = [*(_row(trade, None) for trade in trades), *(_row(each.trade, each) for each in backs)]
    if odd:
        rows += _odd_rows(merchant, day)
    others = 200 if odd else 0
    paid = yuan(sum(trade.amount_fen for trade in trades) + others + (1 if wrong else 0))
    refunded = yuan(sum(each.amount_fen for each in backs))
    total = "`" + ",`".join([str(len(rows)), paid, refunded, "0.00", "0.00000", paid, refunded])
    return "\ufeff" + "\r\n".join([HEADER, *rows, SUMMARY, total, ""])


def _odd_rows(merchant: Merchant, day: date) -> list[str]:
    """Another app's under a title of two lines, a sub-merchant's at a full-width time, and one without an amount."""
    ours, title = merchant.app_id, "衣服,`大号\r\n红色"
    rows = [("12:00:00", "wxOTHERAPP", "0", "1.00"), ("12:00:02", ours, "0", "?")]
    rows.append(("12：00：01", ours, "1600000001", "1.00"))
    return [
        f"`{day} {at},`{app},`{merchant.merchant_id},`{sub},`,`4200{at[-1]}{day:%Y%m%d},`SHOP{at[-1]},`oSandboxBuyer,"
        f"`NATIVE,`SUCCESS,`OTHERS,`CNY,`{paid},`0.00,`0,`0,`0.00,`0.00,`,`,`{title},`,`0.00000,`0.00%,`{paid},`0.00,`"
        for at, app, sub, paid in rows
    ]


def _row(trade: Trade, each: Refund | None) -> str:
    at = each.created_at if each else trade.paid_at or trade.created_at
    paid, refunded = ("0.00", yuan(each.amount_fen)) if each else (trade.amount_yuan, "0.00")
    values = [
        f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}", app_of(trade), trade.merchant.merchant_id, "0", "",
        trade.transaction_id, trade.out_trade_no, "oSandboxBuyer", trade.params.get("trade_type", "NATIVE"),
        "REFUND" if each else "SUCCESS", "OTHERS", "CNY", paid, "0.00", each.refund_id if each else "0",
        each.out_refund_no if each else "0", refunded, "0.00", "ORIGINAL" if each else "",
        STATE_WORDS[RefundState(each.state)] if each else "", trade.title, trade.params.get("attach", ""), "0.00000",
        "0.00%", paid, refunded, "",
    ]  # fmt: skip
    return "`" + ",`".join(values)


OPERATIONS: Mapping[str, Callable[[Call], Fields | bytes]] = {
    "refund": refund,
    "refund_query": refund_query,
    "bill": bill,
}
