"""Alipay: signed forms to one gateway, JSON answers, RSA2. Amounts are yuan in text.

Source: opendocs.alipay.com. The official SDK's classes build the requests; the rest is ours (wire.py says why).
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from urllib.parse import urlsplit

from voicehelper.net.http import HTTP, TRUSTED

from .. import rsa
from ..base import Gateway, NewOrder, NotSupported, Offer, Receipt, Reply, Trade, TradeState
from ..bills import Bill
from ..exchanges import Exchange, forget
from ..refunds import NewRefund, RefundHint, RefundStatus
from . import bills, orders, refunds
from .config import KNOWN_MISTAKES, AlipayConfig
from .wire import RSA2, AlipayWire, string_to_sign

__all__ = ["RSA2", "Alipay", "AlipayConfig", "string_to_sign"]

ADDRESS = "https://openapi.alipay.com/gateway.do"
SANDBOX_ADDRESS = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"


class Alipay(Gateway):
    """One application at Alipay."""

    name = "alipay"
    config_class = AlipayConfig
    known_mistakes = KNOWN_MISTAKES
    trade_types = ("PRECREATE", "WAP", "PAGE")
    closes_refunded = True

    def __init__(self, config: AlipayConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.seller_id
        self.sign_type = RSA2
        self.address = config.gateway_url or (SANDBOX_ADDRESS if config.sandbox else ADDRESS)
        self.live = urlsplit(self.address).hostname == urlsplit(ADDRESS).hostname
        keys = rsa.private_key(config.private_key), rsa.public_key(config.public_key)
        self._wire = AlipayWire(self.app_id, self.merchant_id, self.address, self.live, *keys, self._exchange)

    def create(self, order: NewOrder) -> Offer:
        return orders.create(self._wire, order)

    def query(self, order_no: str) -> Trade:
        return orders.query(self._wire, order_no)

    def close(self, order_no: str) -> TradeState:
        return orders.close(self._wire, order_no)

    def refund(self, refund: NewRefund) -> RefundStatus:
        return refunds.refund(self._wire, refund)

    def query_refund(self, order_no: str, refund_no: str) -> RefundStatus:
        return refunds.query_refund(self._wire, order_no, refund_no)

    def refunds_of(self, order_no: str) -> Sequence[RefundStatus]:
        raise NotSupported("Alipay lists no refunds: ask with their numbers, or read the bill.")

    def refund_hint(self, body: bytes) -> RefundHint | None:
        return refunds.refund_hint(self._wire, body)

    def bill(self, day: date) -> Bill:
        return bills.download(self._wire, day)

    def order_no_in(self, body: bytes) -> str:
        return orders.number_in(orders.parsed(body))

    def read_notice(self, body: bytes, *, sign_type: str = "") -> Receipt | None:
        return orders.read_notice(self._wire, body, sign_type)

    def acknowledge(self, ok: bool, reason: str = "") -> Reply:
        return Reply("success" if ok else "fail", "text/plain")

    def _redact(self, text: str) -> str:
        return re.sub(r'("sign"\s*:\s*")[^"]*', r"\1…", text)
