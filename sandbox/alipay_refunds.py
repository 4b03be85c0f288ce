"""Refunds and bills of Alipay from the provider's side."""

import io
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import refunds
from .alipay import scanned
from .alipay_time import text_of
from .base import BEIJING, Call, Fields, Refusal
from .models import Merchant, Refund, RefundState, Trade, TradeState, refunded_fen, yuan

# How long a bill's address lives, in seconds.
ADDRESS_LIFE_S = 30
HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,"
    "卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SUMMARY = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,服务费（元）,分润（元）,"
    "实收净额（元）"
)


def refund(call: Call) -> Fields:
    """alipay.trade.refund. The same out_request_no again moves nothing: fund_change N."""
    params, trade = call.params, scanned(call)
    amount = params.get("refund_amount", "")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", amount) or not Decimal(amount):
        raise Refusal("ACQ.INVALID_PARAMETER", "参数无效：refund_amount")
    number = params.get("out_request_no") or trade.out_trade_no
    if not re.fullmatch(r"[0-9A-Za-z_\-]{1,64}", number):
        raise Refusal("ACQ.INVALID_PARAMETER", "参数无效：out_request_no")
    amount_fen = int(Decimal(amount) * 100)
    known = trade.refunds.filter(out_refund_no=number).first()
    moved = known is None
    if known is None:
        if "not_enough" in call.faults:
            raise Refusal("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")
        if "frequency_limited" in call.faults:
            raise Refusal("ACQ.SYSTEM_ERROR", "请求过于频繁")
        if trade.state != TradeState.PAID:
            raise Refusal("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        try:
            reason = params.get("refund_reason", "")
            known = refunds.accept(trade, number, amount_fen, notify_url="", reason=reason, faults=call.faults)
        except refunds.CannotRefund:
            raise Refusal("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效：超过可退金额") from None
    elif known.amount_fen != amount_fen:
        raise Refusal("ACQ.DISCORDANT_REPEAT_REQUEST", "不一致的请求：同一退款请求号的金额不可更改")
    moved = moved and known.state == RefundState.SUCCEEDED
    return {
        "trade_no": trade.transaction_id,
        "out_trade_no": trade.out_trade_no,
        "fund_change": "Y" if moved else "N",
        "refund_fee": yuan(refunded_fen(trade)),
        "gmt_refund_pay": text_of(known.finished_at),
    }


def refund_query(call: Call) -> Fields:
    """alipay.trade.fastpay.refund.query. A bare success for a refund that is not known."""
    trade = scanned(call)
    known = trade.refunds.filter(out_refund_no=call.params.get("out_request_no", "")).first()
    if known is None or RefundState(refunds.look(known).state) in (RefundState.CLOSED,):
        return {}
    fields = {"out_trade_no": trade.out_trade_no, "out_request_no": known.out_refund_no}
    if known.state != RefundState.SUCCEEDED:
        return fields | {"refund_status": "REFUND_PROCESSING"}
    fields |= {"trade_no": trade.transaction_id, "total_amount": trade.amount_yuan}
    fields |= {"refund_amount": yuan(known.amount_fen), "refund_status": "REFUND_SUCCESS"}
    return fields | {"gmt_refund_pay": text_of(known.finished_at)}


# --- Bills -----------------------------------------------------------------------------------------------------------
def bill(call: Call) -> Fields:
    """alipay.data.dataservice.bill.downloadurl.query: an address for thirty seconds. Any day, today as well."""
    try:
        day = datetime.strptime(call.params.get("bill_date", ""), "%Y-%m-%d").replace(tzinfo=BEIJING).date()
    except ValueError:
        raise Refusal("isv.invalid-arguments", "bill_date无效") from None
    none = not refunds.trades_of(call.merchant, day) and not refunds.refunds_of(call.merchant, day)
    if none or "bill_not_ready" in call.faults:
        raise Refusal("isp.bill_not_exist", "账单不存在")
    spoilt = [name for name in ("truncated_bill", "wrong_bill_sums", "odd_bill_rows") if name in call.faults]
    token = signing.dumps([call.merchant.pk, day.isoformat(), spoilt], salt="bill")
    return {"bill_download_url": f"{call.site}/sandbox/alipay/bill?token={token}"}


def bill_file(request: HttpRequest) -> HttpResponse:
    """What is behind a bill's address."""
    try:
        pk, day, spoilt = signing.loads(request.GET.get("token", ""), salt="bill", max_age=ADDRESS_LIFE_S)
    except signing.BadSignature:
        return HttpResponse("The address has expired.", status=403, content_type="text/plain")
    content = _zip(Merchant.objects.get(pk=pk), date.fromisoformat(day), spoilt=spoilt)
    if "truncated_bill" in spoilt:
        content = content[: len(content) // 2]
    return HttpResponse(content, content_type="application/zip")


def _zip(merchant: Merchant, day: date, *, spoilt: Collection[str]) -> bytes:
    """Two CSV files in GBK under names in GBK."""
    trades, backs = refunds.trades_of(merchant, day), refunds.refunds_of(merchant, day)
    paid, refunded = sum(trade.amount_fen for trade in trades), sum(each.amount_fen for each in backs)
    odd = _odd_rows(day) if "odd_bill_rows" in spoilt else []
    # Of the odd ones, the first is in the sums.
    count, paid = len(trades) + len(odd), paid + (100 if odd else 0)
    told = yuan(paid + ("wrong_bill_sums" in spoilt))
    head = [f"#账号：[{merchant.merchant_id}0156]", f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]"]
    detail = [
        "#支付宝业务明细查询", *head, f"#{'-' * 40}业务明细列表{'-' * 40}", HEADER,
        *[_row(trade, None) for trade in trades], *[_row(each.trade, each) for each in backs], *odd,
        f"#{'-' * 40}业务明细列表结束{'-' * 40}",
        f"#交易合计：{count}笔，商家实收共{told}元，商家优惠共0.00元",
        f"#退款合计：{len(backs)}笔，商家实收退款共{yuan(-refunded)}元，商家优惠退款共0.00元",
        f"#导出时间：[{text_of(timezone.now())}]", "",
    ]  # fmt: skip
    net = yuan(paid - refunded)
    total = f"合计\t,\t,{count},{len(backs)},{net},{net},0.00,0.00,{net}"
    summary = ["#支付宝业务汇总查询", *head, SUMMARY, total, "#业务汇总列表结束", ""]
    out, name = io.BytesIO(), f"{merchant.merchant_id}0156_{day:%Y%m%d}_业务明细"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix, lines in ((".csv", detail), ("(汇总).csv", summary)):
            # As the real one writes it: bytes of GBK, no flag.
            raw = (name + suffix).encode("gbk").decode("cp437")
            archive.writestr(_Plain(raw), "\r\n".join(lines).encode("gb18030"))
    return out.getvalue()


class _Plain(zipfile.ZipInfo):
    """A member whose name is written byte for byte."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  # zipfile's own hook
        return self.filename.encode("cp437"), self.flag_bits


def _odd_rows(day: date) -> list[str]:
    """As real ones are, with no tab behind texts: another shop's, its title with commas, and one of a wrong sign."""
    row = "{n}{day:%Y%m%d}22001\t,SHOP{n}\t,交易\t,衣服,大号,{day} 12:00:00,{day} 12:00:01,,,,,*\t,{yuan},{yuan},"
    row += "0.00,0.00,0.00,0.00,0.00,,0.00,0.00,,0.00,0.00,"
    return [row.format(n=n, day=day, yuan=amount) for n, amount in enumerate(("1.00", "-1.00"), 1)]


def _row(trade: Trade, each: Refund | None) -> str:
    amount = yuan(-each.amount_fen if each else trade.amount_fen)
    done = (each.finished_at or each.created_at) if each else trade.paid_at
    texts = [
        trade.transaction_id, trade.out_trade_no, "退款" if each else "交易", trade.title, text_of(trade.scanned_at),
        text_of(done), "", "", "", "", "*晓(159****5620)",
    ]  # fmt: skip
    zeros = ["0.00"] * 5
    values = [*(f"{text}\t" for text in texts), amount, amount, *zeros, "\t", "0.00", "0.00"]
    return ",".join([*values, f"{each.out_refund_no if each else ''}\t", "0.00", "0.00", "\t"])


OPERATIONS: Mapping[str, Callable[[Call], Fields]] = {"refund": refund, "refund_query": refund_query, "bill": bill}
