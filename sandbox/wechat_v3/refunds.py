"""Refunds and bills in v3. Nothing but the signature is wanted for them."""

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse

from sandbox import refunds, wechat_refunds
from sandbox.base import Call, Refusal, Unsigned, check_notify_url
from sandbox.models import Refund, RefundState, TradeState

from . import orders, protocol

TOKEN_LIFE_S = 300
MEMBERS = {"transaction_id", "out_trade_no", "out_refund_no", "reason", "notify_url", "funds_account", "amount"}


def refund(call: Call) -> dict[str, Any]:
    """The same number with the same amounts is the same refund."""
    body = call.params
    unknown = body.keys() - MEMBERS
    if unknown or len(str(body.get("reason", ""))) > 80:
        raise Refusal("PARAM_ERROR", f"输入源“/body/{next(iter(unknown), 'reason')}”校验失败")
    number, url = str(body.get("out_refund_no", "")), str(body.get("notify_url", ""))
    if not re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", number) or (url and check_notify_url(url)):
        raise Refusal("PARAM_ERROR", "输入源“/body/out_refund_no”或“/body/notify_url”校验失败")
    amount = body.get("amount")
    wanted = [amount.get(name) for name in ("refund", "total", "currency")] if isinstance(amount, dict) else []
    if len(wanted) != 3 or type(wanted[0]) is not int or type(wanted[1]) is not int or wanted[2] != "CNY":
        raise Refusal("PARAM_ERROR", "输入源“/body/amount”校验失败")
    fen, total = wanted[0], wanted[1]
    trade = protocol.find(call)
    if trade is None or trade.state != TradeState.PAID:
        raise Refusal("RESOURCE_NOT_EXISTS", "订单不存在", 404)
    known = Refund.objects.filter(trade__merchant=call.merchant, out_refund_no=number).first()
    if known is None:
        _maybe_refuse(call)
        if total != trade.amount_fen:
            raise Refusal("INVALID_REQUEST", "您的请求参数与订单信息不一致")
        try:
            reason = str(body.get("reason", ""))
            known = refunds.accept(trade, number, fen, notify_url=url, reason=reason, faults=call.faults)
        except refunds.CannotRefund as error:
            raise Refusal("INVALID_REQUEST", str(error)) from None
    if (known.trade_id, known.amount_fen, total) != (trade.pk, fen, trade.amount_fen):
        raise Refusal("INVALID_REQUEST", "您的请求参数与订单信息不一致")
    return _about(known)


def _maybe_refuse(call: Call) -> None:
    if "not_enough" in call.faults:
        raise Refusal("NOT_ENOUGH", "基本账户余额不足，请充值后重新发起", 403)
    if "frequency_limited" in call.faults:
        raise Refusal("FREQUENCY_LIMITED", "频率限制，请降低申请频率再重试", 429)


def refund_query(call: Call) -> dict[str, Any]:
    """By the merchant's number of the refund."""
    found = Refund.objects.select_related("trade__merchant").filter(trade__merchant=call.merchant)
    one = found.filter(out_refund_no=call.params["out_refund_no"]).first()
    if one is None:
        raise Refusal("RESOURCE_NOT_EXISTS", "退款单不存在", 404)
    return _about(refunds.look(one))


def _about(refund: Refund) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": refund.trade.transaction_id,
        "out_trade_no": refund.trade.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": orders.time_of(refund.created_at),
        "status": protocol.REFUND_WORDS[RefundState(refund.state)],
        "funds_account": "AVAILABLE",
        "amount": protocol.refund_amount(refund),
    }
    if refund.state == RefundState.SUCCEEDED and refund.finished_at:
        fields["success_time"] = orders.time_of(refund.finished_at)
    return fields


def bill(call: Call) -> dict[str, str]:
    """Where the file is, and the SHA-1 of its text. Any day, today as well."""
    text = call.params.get("bill_date", "")
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) or call.params.get("bill_type", "ALL") != "ALL":
            raise ValueError(text)
        day = date.fromisoformat(text)
    except ValueError:
        raise Refusal("INVALID_REQUEST", "请检查bill_date，并重新调用") from None
    if "bill_not_ready" in call.faults:
        raise Refusal("STATEMENT_CREATING", "账单生成中")
    how = {"wrong": "wrong_bill_sums" in call.faults, "odd": "odd_bill_rows" in call.faults}
    content = wechat_refunds.bill_text(call.merchant, day, **how).encode()
    if not content:
        raise Refusal("NO_STATEMENT_EXIST", "账单文件不存在")
    facts = {"merchant": call.merchant.pk, "day": text, "how": how, "cut": "truncated_bill" in call.faults}
    token = "spent" if "spent_token" in call.faults else signing.dumps(facts)
    return {
        "hash_type": "SHA1",
        "hash_value": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "download_url": f"{call.site}/sandbox/wechat/v3/billdownload/file?token={token}",
    }


def bill_file(request: HttpRequest) -> HttpResponse:
    """The file behind the address: compressed, and not signed."""
    try:
        content = _file(protocol.read(request, "bill"))
    except Unsigned as no:
        return HttpResponse(no.body, status=no.status, content_type=protocol.CONTENT_TYPE)
    return HttpResponse(content, content_type="application/x-gzip")


def _file(call: Call) -> bytes:
    try:
        facts = signing.loads(call.params.get("token", ""), max_age=TOKEN_LIFE_S)
    except signing.BadSignature:
        raise protocol.refused("INVALID_REQUEST", "参数错误", 400) from None
    if facts["merchant"] != call.merchant.pk:
        raise protocol.refused("NO_AUTH", "权限异常", 403)
    text = wechat_refunds.bill_text(call.merchant, date.fromisoformat(facts["day"]), **facts["how"])
    content = gzip.compress(text.encode())
    return content[: len(content) // 2] if facts["cut"] else content


OPERATIONS: Mapping[str, Callable[[Call], Any]] = {"refund": refund, "refund_query": refund_query, "bill": bill}
