"""How the providers tell a merchant what became of a refund."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from . import alipay
from .alipay_time import text_of
from .base import BEIJING, Fields
from .models import Refund, RefundState, Trade, refunded_fen, yuan
from .wechat_apps import app_of
from .wechat_v3 import orders, protocol
from .wechat_xml import to_xml

STATE_WORDS = {
    RefundState.PROCESSING: "PROCESSING",
    RefundState.SUCCEEDED: "SUCCESS",
    RefundState.CLOSED: "REFUNDCLOSE",
    RefundState.ABNORMAL: "CHANGE",
}


def about(trade: Trade) -> Fields:
    """What WeChat Pay says of the payment that a refund is of."""
    paid = {"transaction_id": trade.transaction_id, "out_trade_no": trade.out_trade_no}
    return paid | {"total_fee": str(trade.amount_fen), "cash_fee": str(trade.amount_fen), "fee_type": "CNY"}


def wechat_facts(each: Refund) -> Fields:
    """What a query and a notice say of one refund."""
    done = each.finished_at if each.state == RefundState.SUCCEEDED else None
    return {
        "out_refund_no": each.out_refund_no,
        "refund_id": each.refund_id,
        "refund_channel": "ORIGINAL",
        "refund_fee": str(each.amount_fen),
        "settlement_refund_fee": str(each.amount_fen),
        "refund_status": STATE_WORDS[RefundState(each.state)],
        "refund_account": "REFUND_SOURCE_UNSETTLED_FUNDS",
        "refund_recv_accout": "支付用户零钱",
        "refund_success_time": f"{done.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}" if done else "",
    }


def wechat_notice(each: Refund) -> str:
    """The encrypted notice. Nothing signs it."""
    merchant, facts = each.trade.merchant, wechat_facts(each)
    inner = {name: facts[name] for name in facts if name != "refund_channel"} | about(each.trade)
    inner["success_time"] = inner.pop("refund_success_time")
    inner["refund_request_source"] = "API" if each.by_call else "VENDOR_PLATFORM"
    plain = to_xml(inner).replace("<xml>", "<root>").replace("</xml>", "</root>").encode()
    key = hashlib.md5(merchant.api_key.encode(), usedforsecurity=False).hexdigest().encode()
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305  # the protocol's
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    fields = {"return_code": "SUCCESS", "appid": app_of(each.trade), "mch_id": merchant.merchant_id}
    return to_xml(fields | {"nonce_str": secrets.token_hex(16), "req_info": base64.b64encode(sealed).decode()})


def alipay_notice(each: Refund) -> str:
    """To the payment's own address: TRADE_SUCCESS once more, or TRADE_CLOSED when all of it went back."""
    trade = each.trade
    if each.state != RefundState.SUCCEEDED:
        return ""
    refunded = refunded_fen(trade)
    fields = alipay.notice(trade) | {
        "refund_fee": yuan(refunded),
        "gmt_refund": f"{text_of(each.finished_at)}.{secrets.randbelow(1000):03d}",
        "out_biz_no": each.out_refund_no,
    }
    if refunded == trade.amount_fen:
        fields["trade_status"] = "TRADE_CLOSED"
    return alipay.seal(trade, fields, genuine=True)


def wechat_v3_notice(each: Refund) -> str:
    """Encrypted, and signed like any notice of v3; it names no app."""
    trade, word = each.trade, protocol.REFUND_WORDS[RefundState(each.state)]
    content = {
        "mchid": trade.merchant.merchant_id,
        "transaction_id": trade.transaction_id,
        "out_trade_no": trade.out_trade_no,
        "out_refund_no": each.out_refund_no,
        "refund_id": each.refund_id,
        "refund_status": word,
        "user_received_account": "支付用户零钱",
        "amount": protocol.refund_amount(each),
    }
    if each.state == RefundState.SUCCEEDED and each.finished_at:
        content["success_time"] = orders.time_of(each.finished_at)
    return protocol.envelope(trade.merchant, f"REFUND.{word}", "refund", content)


NOTICES: Mapping[str, Callable[[Refund], str]] = {"wechat": wechat_notice, "alipay": alipay_notice}
