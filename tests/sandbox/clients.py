"""A merchant's strict clients, written from the protocols alone, and a merchant's server for notices."""

import base64
import itertools
import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from django.test import Client

from tests.far_side import FarSide, Seen, http
from tests.merchants import wechat_sign

BEIJING = ZoneInfo("Asia/Shanghai")
NOTIFY_URL = "http://127.0.0.1:9/notify"
WECHAT_OK = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"


def beijing(**ahead: float) -> datetime:
    """Now in Beijing, or so much later."""
    return datetime.now(BEIJING) + timedelta(**ahead)


def new_number() -> str:
    return f"{beijing():%Y%m%d}{secrets.token_hex(12)}"


def xml_fields(body: bytes | str) -> dict[str, str]:
    root = ET.fromstring(body)
    assert root.tag == "xml"
    return {child.tag: child.text or "" for child in root}


@dataclass
class WeChatClient:
    """Signs, posts, and refuses every answer whose signature is not right."""

    app_id: str
    mch_id: str
    key: str
    sign_type: str = "HMAC-SHA256"
    http: Client = field(default_factory=Client)

    def raw(self, path: str, body: bytes | str) -> Any:
        return self.http.post(f"/sandbox/wechat/pay/{path}", data=body, content_type="text/xml")

    def send(self, path: str, values: dict[str, str | None], *, key: str | None = None) -> dict[str, str]:
        """Post signed values and read the answer. Unverified: `call` verifies."""
        return xml_fields(self.post(path, values, key=key).content)

    def post(self, path: str, values: dict[str, str | None], *, key: str | None = None) -> Any:
        """Post signed values; None leaves one out."""
        common = {"appid": self.app_id, "mch_id": self.mch_id, "nonce_str": secrets.token_hex(16)}
        merged = common | {"sign_type": self.sign_type} | values
        sent = {name: value for name, value in merged.items() if value is not None}
        if "sign" not in values:
            sent["sign"] = wechat_sign(sent, key or self.key, sent.get("sign_type") or "MD5")
        root = ET.Element("xml")
        for name, value in sent.items():
            ET.SubElement(root, name).text = value
        return self.raw(path, ET.tostring(root, encoding="unicode").encode())

    def verified(self, answer: dict[str, str], sign_type: str) -> dict[str, str]:
        assert answer["return_code"] == "SUCCESS", answer
        assert answer["sign"] == wechat_sign(answer, self.key, sign_type)
        assert (answer["appid"], answer["mch_id"]) == (self.app_id, self.mch_id)
        return answer

    def call(self, path: str, **values: str | None) -> dict[str, str]:
        return self.verified(self.send(path, values), values.get("sign_type", self.sign_type) or "MD5")

    def order(self, **changes: str | None) -> dict[str, str | None]:
        values: dict[str, str | None] = {
            "body": "AI服务充值",
            "out_trade_no": new_number(),
            "total_fee": "7300",
            "spbill_create_ip": "127.0.0.1",
            "notify_url": NOTIFY_URL,
            "trade_type": "NATIVE",
            "product_id": "topup",
            "time_expire": f"{beijing(minutes=30):%Y%m%d%H%M%S}",
        }
        return values | changes

    def create(self, **changes: str | None) -> dict[str, str]:
        """A new order; the answer, with its number."""
        order = self.order(**changes)
        answer = self.call("unifiedorder", **order)
        assert answer["result_code"] == "SUCCESS", answer
        return answer | {"out_trade_no": str(order["out_trade_no"])}

    def state(self, number: str) -> str:
        answer = self.call("orderquery", out_trade_no=number)
        return answer.get("trade_state") or answer["err_code"]


# Loading a key proves its primes: a hundred times the work of a signature.
@lru_cache(maxsize=16)
def _private(text: str) -> Any:
    return serialization.load_der_private_key(base64.b64decode(text), None)


@dataclass
class AlipayClient:
    """Signs, posts, and refuses every answer whose signature over the raw bytes is not right."""

    app_id: str
    seller_id: str
    private_key: str
    public_key: str
    http: Client = field(default_factory=Client)

    def sign(self, values: dict[str, str], private_key: str | None = None, hash_: Any = None) -> str:
        text = "&".join(f"{name}={values[name]}" for name in sorted(values) if values[name] and name != "sign")
        key = _private(private_key or self.private_key)
        return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hash_ or hashes.SHA256())).decode()

    def verify(self, signed: bytes, signature: str) -> None:
        key: Any = serialization.load_der_public_key(base64.b64decode(self.public_key))
        key.verify(base64.b64decode(signature), signed, padding.PKCS1v15(), hashes.SHA256())

    def common(self, method: str, content: Any, /, **changes: str | None) -> dict[str, str]:
        values: dict[str, str | None] = {
            "app_id": self.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{beijing():%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
            "biz_content": content if isinstance(content, str) else json.dumps(content, ensure_ascii=False),
        }
        return {name: value for name, value in (values | changes).items() if value is not None}

    def post(self, values: dict[str, str], *, in_query: bool = True) -> bytes:
        """The SDK's way by default: biz_content in the body, everything else in the query string."""
        body = {"biz_content": values["biz_content"]} if in_query else values
        query = {name: value for name, value in values.items() if name not in body}
        address = f"/sandbox/alipay/gateway.do?{urlencode(query)}"
        form = "application/x-www-form-urlencoded;charset=utf-8"
        content: bytes = self.http.post(address, data=urlencode(body), content_type=form).content
        return content

    def send(self, method: str, content: Any, /, *, in_query: bool = True, **changes: str | None) -> bytes:
        values = self.common(method, content, **changes)
        return self.post(values | {"sign": self.sign(values)}, in_query=in_query)

    def verified(self, method: str, body: bytes) -> dict[str, str]:
        """The node, its signature checked over the bytes as they came."""
        head = b'{"' + method.replace(".", "_").encode() + b'_response":'
        assert body.startswith(head), body
        raw, _, tail = body[len(head) :].rpartition(b',"sign":"')
        self.verify(raw, tail.removesuffix(b'"}').decode())
        node: dict[str, str] = json.loads(raw)
        return node

    def call(self, operation: str, content: Any, **changes: str | None) -> dict[str, str]:
        method = f"alipay.trade.{operation}"
        return self.verified(method, self.send(method, content, **changes))

    def order(self, **changes: Any) -> dict[str, Any]:
        return {"out_trade_no": new_number(), "total_amount": "73.00", "subject": "AI服务充值"} | changes

    def create(self, **changes: Any) -> dict[str, str]:
        answer = self.call("precreate", self.order(**changes), notify_url=NOTIFY_URL)
        assert answer["code"] == "10000", answer
        return answer

    def state(self, number: str) -> str:
        answer = self.call("query", {"out_trade_no": number})
        return answer.get("trade_status") or answer["sub_code"]


class MerchantServer:
    """Listens for notices; `reply` decides what it answers to the n-th (from 0)."""

    def __init__(self, reply: Callable[[int], tuple[int, str]] = lambda _n: (200, WECHAT_OK)) -> None:
        self._reply, self._numbers = reply, itertools.count()
        self._far_side = FarSide(self._answer).__enter__()
        self.url = f"{self._far_side.url}/notify"

    @property
    def got(self) -> list[bytes]:
        return [seen.body for seen in self._far_side.seen]

    @property
    def paths(self) -> list[str]:
        return [seen.line.split()[1] for seen in self._far_side.seen]

    def _answer(self, _seen: Seen) -> bytes:
        status, text = self._reply(next(self._numbers))
        return http(text.encode(), status=f"{status} Said", headers="Location: /elsewhere\r\nConnection: close\r\n")

    def stop(self) -> None:
        self._far_side.__exit__()
