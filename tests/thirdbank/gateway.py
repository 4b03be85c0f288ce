"""Third Bank: JSON over HTTP, every message signed with HMAC-SHA256 over its first line, its time and its body. The
status of an answer counts: 404 knows no such order, 409 took the number already, 5xx is busy. Amounts are fen.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import IO, Any
from urllib.parse import parse_qs

from topup.gateways.base import Gateway
from topup.gateways.bill_sums import BillSums
from topup.gateways.bills import Bill, BillDamaged, BillKind, BillRow, fetched
from topup.gateways.configuration import Problem, first_problems, is_unset, is_web_address
from topup.gateways.errors import (
    BadSignature,
    Malformed,
    NumberTaken,
    Refused,
    Retryable,
    WronglySigned,
    WrongRecipient,
)
from topup.gateways.exchanges import Outgoing, into_200
from topup.gateways.notices import Claimed, IncomingNotice, OpenedNotice, Reply, any_algorithm
from topup.gateways.orders import ORDER_NO, NewOrder, Offer, Receipt, Trade, TradeState
from topup.gateways.refunds import NewRefund, RefundHint, RefundState, RefundStatus
from topup.gateways.ways import PHONE, Place
from voicehelper.net.http import HTTPAnswer

HMAC, TIME, SIGN = "HMAC", "x-bank-time", "x-bank-sign"
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class ThirdBankConfig:
    """A merchant's contract with Third Bank."""

    contract: str
    key: str = field(repr=False)
    address: str = ""

    def problems(self) -> list[Problem]:
        return first_problems(
            (is_unset(self.contract), "contract", "Enter the number of the contract."),
            (is_unset(self.key), "key", "Enter the key."),
            (not is_web_address(self.address), "address", "Enter the bank's address."),
        )

    def refund_problems(self) -> list[Problem]:
        return []


def signature(key: str, first_line: str, moment: str, body: bytes) -> str:
    return hmac.new(key.encode(), b"\n".join((first_line.encode(), moment.encode(), body)), hashlib.sha256).hexdigest()


def rows(file: IO[bytes]) -> Iterator[BillRow]:
    sums = BillSums()
    file.seek(0)
    for line in file.read().decode().splitlines():
        kind, order_no, number, fen, moment = line.split(",")
        if kind == "sum":
            return sums.check("fen", fen, "sum")
        sums.add({"fen": fen})
        yield BillRow(BillKind(kind), order_no, number, int(fen), datetime.fromisoformat(moment), kind)
    raise BillDamaged("The bill has no sum.")


class ThirdBank(Gateway):
    """One contract with Third Bank."""

    name, label, app_label, off = "thirdbank", "Third Bank", "Third Wallet", "Third Bank is not enabled!"
    colour, on_colour, icon = "#C8102E", "#FFFFFF", "plug"

    trade_types = {"CODE": Place.CODE, "PAGE": Place.BROWSER}
    ways = {PHONE: "PAGE"}
    app_browser, pay_addresses = "ThirdWallet/", {"CODE": ("third-bank:",)}

    payment_callbacks, notice_types = ("message",), ("application/json",)
    signed_headers = (TIME, SIGN)
    signs_query = True

    config_class = ThirdBankConfig
    lists_refunds, sign_type = True, HMAC

    def __init__(self, config: ThirdBankConfig, *more: Any) -> None:
        super().__init__(config, *more)
        self.app_id = self.merchant_id = config.contract
        self.address, self._key, self.live = config.address.rstrip("/"), config.key, False

    # --- Orders ------------------------------------------------------------------------------------------------------
    def create(self, order: NewOrder) -> Offer:
        asked = {"order": order.order_no, "fen": order.amount_fen, "title": order.subject, "notify": order.notify_url}
        said = self._call("create", order.order_no, "POST /orders", asked)
        return Offer(said["page"] if order.trade_type == "PAGE" else said["code"])

    def query(self, order_no: str) -> Trade:
        said = self._call("query", order_no, f"GET /orders/{order_no}", absent={"state": "absent"})
        state = TradeState(said["state"])
        paid = state in (TradeState.PAID, TradeState.REFUNDED)
        return Trade(state, state, self._receipt(said) if paid else None, said.get("refunded", 0))

    def close(self, order_no: str) -> TradeState:
        said = self._call("close", order_no, f"POST /orders/{order_no}/close", absent={"state": "absent"})
        return TradeState(said["state"])

    def _receipt(self, said: Fields) -> Receipt:
        paid_at = datetime.fromisoformat(said["paid_at"])
        facts = {"app_id": self.app_id, "merchant_id": said["contract"], "live": self.live, "paid_at": paid_at}
        return Receipt(self.name, said["order"], said["number"], said["fen"], "CNY", **facts)

    # --- Refunds -----------------------------------------------------------------------------------------------------
    def refund(self, new: NewRefund) -> RefundStatus:
        asked = {"order": new.order_no, "refund": new.refund_no, "fen": new.amount_fen}
        return self._status(new.order_no, self._call("refund", new.order_no, "POST /refunds", asked))

    def query_refund(self, order_no: str, refund_no: str, _transaction_id: str = "", /) -> RefundStatus:
        absent = {"refund": refund_no, "state": "absent"}
        said = self._call("refund query", order_no, f"GET /refunds/{refund_no}", absent=absent)
        return self._status(order_no, said)

    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        said = self._call("refund query", order_no, f"GET /orders/{order_no}/refunds", absent={"refunds": []})
        return [self._status(order_no, each) for each in said["refunds"]]

    def _status(self, order_no: str, said: Fields) -> RefundStatus:
        return RefundStatus(order_no, said["refund"], RefundState(said["state"]), said["state"], said.get("fen", 0))

    # --- Bills -------------------------------------------------------------------------------------------------------
    def bill(self, day: date) -> Bill:
        def get(file: IO[bytes]) -> Bill:
            request = self._signed(f"GET /bills/{day}", b"", into=file)
            return self.exchange("bill", f"{day}", request, lambda answer: Bill(day, rows(into_200(answer, file))))

        return fetched(get)

    # --- Notices -----------------------------------------------------------------------------------------------------
    def open(self, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
        said = self.notice_fields(notice.body)
        order_no = str(said.get("order"))
        if not ORDER_NO.fullmatch(order_no):
            raise Malformed("The notice names no order.")
        claimed(order_no)
        wanted = signature(self._key, notice.query, notice.headers.get(TIME, ""), notice.body)
        if not hmac.compare_digest(wanted, notice.headers.get(SIGN, "")):
            raise BadSignature("The notice is not signed with our key.")
        if said["contract"] != self.merchant_id or parse_qs(notice.query).get("contract") != [self.merchant_id]:
            raise WrongRecipient(f"The notice is for {said['contract']}.")
        if said["event"] == "refunded":
            return OpenedNotice(order_no, refund=RefundHint(order_no, said["refund"], said["refunded"]))
        return OpenedNotice(order_no, self._receipt(said) if said["event"] == "paid" else None)

    def is_named_by(self, notice: IncomingNotice) -> bool:
        return self.notice_fields(notice.body).get("contract") == self.merchant_id

    def acknowledge(self, ok: bool, reason: str = "", status: int = 500) -> Reply:
        return Reply(json.dumps({"ok": ok}), "application/json", 200 if ok else 503)

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        try:
            said = json.loads(body)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    # --- A call ------------------------------------------------------------------------------------------------------
    def _call(
        self, what: str, order_no: str, line: str, asked: Fields | None = None, absent: Fields | None = None
    ) -> Any:
        """`absent` is what 404 says."""
        request = self._signed(line, json.dumps(asked).encode() if asked else b"")
        return self.exchange(what, order_no, request, partial(self._verified, line=line, absent=absent))

    def _signed(self, line: str, body: bytes, **more: Any) -> Outgoing:
        method, path = line.split()
        moment = str(int(time.time()))
        headers = {"Content-Type": "application/json", TIME: moment, SIGN: signature(self._key, line, moment, body)}
        return Outgoing(self.address + path, body, f"{line}\n{body.decode()}", headers, method=method, **more)

    def _verified(self, answer: HTTPAnswer, *, line: str, absent: Fields | None) -> Fields:
        wanted = signature(self._key, f"{answer.status} {line}", answer.headers.get(TIME, ""), answer.body)
        if answer.status >= 500:
            raise Retryable(f"The bank is busy: {answer.status}.")
        if not hmac.compare_digest(wanted, answer.headers.get(SIGN, "")):
            raise WronglySigned("The answer is not signed with our key.")
        if answer.status == 404 and absent is not None:
            return absent
        if answer.status >= 400:
            raise (NumberTaken if answer.status == 409 else Refused)(str(answer.status), answer.body.decode())
        return json.loads(answer.body)  # type: ignore[no-any-return]

    def _redact(self, text: str) -> str:
        return text
