"""Third Bank itself: keeps orders and refunds, signs its answers and notices, without the gateway's code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256
from hmac import digest
from typing import Any, Self

from django.test import Client

from tests.far_side import FarSide, Seen, http
from voicehelper.clock import BEIJING

CONTRACT, KEY = "4711000815", "a key of Third Bank's, known to two"
TIME, SIGN = "X-Bank-Time", "X-Bank-Sign"


@dataclass
class Bank:
    """Orders by number, refunds by number; `asked` is every request's first line."""

    url: str = ""
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    busy: bool = False

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        bank = cls()
        with FarSide(bank.answer) as far:
            bank.url = far.url
            yield bank

    # --- What its customers do ---------------------------------------------------------------------------------------
    def pay(self, order_no: str) -> None:
        self.orders[order_no] |= {"state": "paid", "number": f"TB{order_no}"[:32], "paid_at": _now()}

    def give_back(self, refund_no: str) -> None:
        refund = self.refunds[refund_no]
        refund |= {"state": "succeeded"}
        order = self.orders[refund["order"]]
        order["refunded"] = order.get("refunded", 0) + refund["fen"]
        order["state"] = "refunded" if order["refunded"] == order["fen"] else "paid"

    # --- What it posts -----------------------------------------------------------------------------------------------
    def notice(
        self, order_no: str, event: str = "paid", *, contract: str = CONTRACT, key: str = KEY, **more: Any
    ) -> Any:
        """Tell of an order; the answer."""
        said = {"event": event, "contract": CONTRACT, **self.orders[order_no], **more}
        said["refunded"] = self.orders[order_no].get("refunded", 0)
        body, query, moment = json.dumps(said).encode(), f"contract={contract}&v=1", "1796040000"
        signed = {TIME: moment, SIGN: _sign(query, moment, body, key)}
        address = f"/api/thirdbank/message?{query}"
        return Client().post(address, body, content_type="application/json", headers=signed)

    # --- What it answers ---------------------------------------------------------------------------------------------
    def answer(self, seen: Seen) -> bytes:
        line = seen.line.rsplit(" ", 1)[0]
        self.asked.append(line)
        if self.busy:
            return http(b"busy", status="503 Service Unavailable")
        if seen.headers[SIGN.lower()] != _sign(line, seen.headers[TIME.lower()], seen.body):
            return http(b"{}", status="401 Unauthorized")
        status, said = self._said(line, json.loads(seen.body or b"{}"))
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        moment = seen.headers[TIME.lower()]
        head = f"{TIME}: {moment}\r\n{SIGN}: {_sign(f'{status} {line}', moment, body)}\r\nConnection: close\r\n"
        return http(body, status=f"{status} -", headers=head)

    def _said(self, line: str, asked: dict[str, Any]) -> tuple[int, Any]:
        match line.replace("/", " ").split():
            case ["POST", "orders"]:
                return self._take(asked)
            case ["GET", "orders", number]:
                return (200, self.orders[number]) if number in self.orders else (404, {})
            case ["GET", "orders", number, "refunds"]:
                return 200, {"refunds": [each for each in self.refunds.values() if each["order"] == number]}
            case ["POST", "orders", number, "close"]:
                order = self.orders[number]
                order["state"] = "closed" if order["state"] == "waiting" else order["state"]
                return 200, order
            case ["POST", "refunds"]:
                return 202, self.refunds.setdefault(asked["refund"], asked | {"state": "processing"})
            case ["GET", "refunds", number]:
                return (200, self.refunds[number]) if number in self.refunds else (404, {})
            case ["GET", "bills", day]:
                return 200, self._bill(date.fromisoformat(day))
        return 400, {}

    def _take(self, asked: dict[str, Any]) -> tuple[int, Any]:
        order_no = asked["order"]
        known = self.orders.setdefault(order_no, asked | {"state": "waiting", "contract": CONTRACT})
        return 201, known | {"code": f"third-bank:{order_no}", "page": f"{self.url}/pay/{order_no}"}

    def _bill(self, day: date) -> bytes:
        paid = [each for each in self.orders.values() if each.get("paid_at", "").startswith(str(day))]
        rows = [f"payment,{each['order']},{each['number']},{each['fen']},{each['paid_at']}" for each in paid]
        return "\n".join([*rows, f"sum,,,{sum(each['fen'] for each in paid)},", ""]).encode()


def _sign(first_line: str, moment: str, body: bytes, key: str = KEY) -> str:
    return digest(key.encode(), f"{first_line}\n{moment}\n".encode() + body, sha256).hex()


def _now() -> str:
    return datetime.now(BEIJING).isoformat(timespec="seconds")
