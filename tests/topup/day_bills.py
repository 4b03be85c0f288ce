"""A day's bill at both providers, byte by byte, who hands it out, and our books beside it."""

import base64
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.core.management import call_command

from sandbox import alipay_refunds, wechat_refunds
from tests.far_side import FarSide, Seen, http
from tests.merchants import ALIPAY, WECHAT
from tests.orders import pending_order
from topup.models import Difference, Order, Refund
from voicehelper.accounts.models import User

DAY = date(2026, 1, 2)
NOON = "2026-01-02 12:00:00"


def wechat_row(order_no: str, transaction_id: str, *, state: str = "SUCCESS", at: str = NOON, **more: str) -> str:
    values = {
        "at": at, "app": WECHAT.app_id, "merchant": WECHAT.mch_id, "sub": "0", "device": "",
        "transaction": transaction_id, "order": order_no, "buyer": "o", "type": "NATIVE", "state": state,
        "bank": "OTHERS", "currency": "CNY", "paid": "73.00", "coupon": "0.00", "refund_id": "0", "refund_no": "0",
        "refund": "0.00", "refund_coupon": "0.00",
        "refund_type": "", "refund_state": "", "title": "AI, 额度", "attach": "", "fee": "0.44000", "rate": "0.60%",
        "amount": "73.00", "asked": "0.00", "note": "",
    } | more  # fmt: skip
    return "`" + ",`".join(values.values())


def refund_row(order_no: str, refund_no: str, amount_fen: int, state: str = "SUCCESS", **more: str) -> str:
    money = f"{Decimal(amount_fen) / 100:.2f}"
    nothing = {"paid": "0.00", "amount": "0.00", "fee": "0.00000"}
    facts = {"refund_no": refund_no, "refund_id": "50", "refund": money, "asked": money, "refund_state": state}
    return wechat_row(order_no, "4200", **{"state": "REFUND"} | nothing | facts | more)


def wechat_bill(rows: Sequence[str]) -> bytes:
    def total(column: int) -> Decimal:
        return sum((Decimal(row.split(",`")[column]) for row in rows), Decimal(0))

    paid, refunded, fees, amount, asked = (total(column) for column in (12, 16, 22, 24, 25))
    summary = f"`{len(rows)},`{paid:.2f},`{refunded:.2f},`0.00,`{fees:.5f},`{amount:.2f},`{asked:.2f}"
    return ("\ufeff" + "\r\n".join([wechat_refunds.HEADER, *rows, wechat_refunds.SUMMARY, summary, ""])).encode()


def alipay_bill(
    rows: Sequence[tuple[str, str]], at: str = NOON, seller: str = ALIPAY.seller_id, minus: int | None = None
) -> bytes:
    """Order and transaction numbers → the ZIP file, every payment of 73.00 yuan; one may have an impossible sign."""
    lines = [
        ",".join(
            [f"{text}\t" for text in (number, order, "交易", "AI, 额度", at, at, "", "", "", "", "*")]
            + [f"{'-' * (place == minus)}73.00"] * 2
            + [*["0.00"] * 5, "\t", "0.00", "0.00", "\t", "0.00", "0.00", "\t"]
        )
        for place, (order, number) in enumerate(rows)
    ]
    money = f"{73 * len(rows)}.00"
    tail = [
        f"#{'-' * 9}业务明细列表结束{'-' * 9}",
        f"#交易合计：{len(rows)}笔，商家实收共{money}元，商家优惠共0.00元",
        "#退款合计：0笔，商家实收退款共0.00元，商家优惠退款共0.00元",
    ]
    detail = "\r\n".join([f"#账号：[{seller}0156]", alipay_refunds.HEADER, *lines, *tail, ""])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("业务明细.csv", detail.encode("gbk"))
    return out.getvalue()


class Provider:
    """Hands out one bill; whatever else it is asked, it does not answer."""

    def __init__(self, far: FarSide, settings: Any) -> None:
        self.far, self.content = far, b""
        self.no_bill = ("isp.bill_not_exist", "账单不存在")
        settings.WECHAT_PAY_BASE_URL, settings.ALIPAY_GATEWAY_URL = far.url, f"{far.url}/gateway.do"
        far.answer = self._answer

    def _answer(self, seen: Seen) -> bytes:
        if "downloadbill" in seen.line or seen.line.startswith("GET"):
            return http(self.content)
        if b"bill.downloadurl" not in seen.body:
            return http(b"busy", status="500 Internal Server Error")
        said = {"code": "10000", "msg": "Success", "bill_download_url": f"{self.far.url}/bill"}
        if not self.content:
            sub_code, words = self.no_bill
            said = {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": words}
        node = json.dumps(said, ensure_ascii=False).replace("/", "\\/")
        signature = base64.b64encode(ALIPAY.alipay_key.sign(node.encode(), padding.PKCS1v15(), hashes.SHA256()))
        name = "alipay_data_dataservice_bill_downloadurl_query_response"
        return http(f'{{"{name}":{node},"sign":"{signature.decode()}"}}'.encode())


def run(gateway: str, day: date = DAY) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("reconcile", "--gateway", gateway, "--date", str(day), stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def paid(buyer: User, merchant: Any, transaction_id: str, **more: Any) -> Order:
    at = f"{NOON}+08:00"
    facts = {"state": "paid", "transaction_id": transaction_id, "paid_at": at, "credited_at": at} | more
    return pending_order(buyer, merchant, **facts)


def given_back(order: Order, amount_fen: int, state: str = "succeeded", at: str = NOON) -> Refund:
    """A refund in our books, whatever the provider has."""
    number = order.refunds.count() + 1
    over = f"{at}+08:00" if state in ("succeeded", "failed") else None
    facts = {"state": state, "finished_at": over, "succeeded_at": over if state == "succeeded" else None}
    names = {"ref": f"R{order.order_no}{number:02d}", "refund_no": f"R{order.order_no}{number:02d}"}
    return Refund.objects.create(
        order=order, number=number, amount_fen=amount_fen, quota_due=0, quota=0, requested_by="test", **names, **facts
    )


def kinds() -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in Difference.objects.values_list("kind", flat=True):
        found[kind] = found.get(kind, 0) + 1
    return found
