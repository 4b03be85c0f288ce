"""The stand-in of WeChat Pay API v3, against a strict client that shares no code with it or with the product."""

import base64
import json
import secrets
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from django.test import Client

from sandbox.models import Merchant, Trade

from .clients import NOTIFY_URL, beijing, new_number

pytestmark = pytest.mark.django_db
NATIVE = "/v3/pay/transactions/native"


class Caller:
    """Signs, sends, and verifies what is signed."""

    def __init__(self, account: dict[str, str]) -> None:
        self.account = account
        self.key: Any = serialization.load_pem_private_key(account["client_key"].encode(), None)
        self.serial = f"{x509.load_pem_x509_certificate(account['client_cert'].encode()).serial_number:X}"

    def send(
        self, method: str, path: str, content: Any = None, *, lie: dict[str, str] | None = None, **more: Any
    ) -> Any:
        """`lie` changes an item of Authorization, `headers` are added, None leaves one out."""
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        said = {"mchid": self.account["mch_id"], "nonce_str": secrets.token_hex(16), "serial_no": self.serial}
        said |= {"timestamp": str(int(time.time()))} | (lie or {})
        text = f"{method}\n/sandbox/wechat{path}\n{said['timestamp']}\n{said['nonce_str']}\n".encode() + body + b"\n"
        said = {"signature": base64.b64encode(self.key.sign(text, PKCS1v15(), hashes.SHA256())).decode()} | said
        items = ",".join(f'{name}="{value}"' for name, value in (said | (lie or {})).items())
        headers = {"Accept": "application/json", "User-Agent": "tests"}
        headers |= {
            "Authorization": f"WECHATPAY2-SHA256-RSA2048 {items}",
            "Wechatpay-Serial": self.account["public_key_id"],
        }
        kept = {name: value for name, value in (headers | more.get("headers", {})).items() if value is not None}
        address = f"/sandbox/wechat{path}"
        kind = more.get("kind", "application/json")
        return Client().generic(method, address, body, content_type=kind if body else "", headers=kept)

    def order(self, **changes: Any) -> dict[str, Any]:
        facts = {"appid": self.account["app_id"], "mchid": self.account["mch_id"], "description": "AI服务充值"}
        facts |= {"out_trade_no": new_number(), "notify_url": NOTIFY_URL, "amount": {"total": 7300, "currency": "CNY"}}
        return facts | {"time_expire": beijing(minutes=30).isoformat(timespec="seconds")} | changes


@pytest.fixture
def caller(accounts: dict[str, dict[str, str]]) -> Caller:
    return Caller(accounts["wechat"])


def test_what_is_not_rightly_signed_is_told_unsigned_and_does_nothing(caller: Caller) -> None:
    order = caller.order()
    for how, status, words in (
        ({"headers": {"User-Agent": None}}, 400, "User-Agent"),
        ({"headers": {"Accept": None}}, 400, "Accept"),
        ({"headers": {"Authorization": None}}, 401, "认证类型"),
        ({"headers": {"Authorization": "WECHATPAY2-SHA256-RSA2048 mchid=1"}}, 401, "格式错误"),
        ({"headers": {"Wechatpay-Serial": "PUB_KEY_ID_01"}}, 500, "未知错误"),
        ({"lie": {"timestamp": str(int(time.time()) - 301)}}, 401, "不得超过5分钟"),
        ({"lie": {"timestamp": str(int(time.time() * 1000))}}, 401, "不得超过5分钟"),
        ({"lie": {"serial_no": "7A"}}, 401, "证书序列号有误"),
        ({"lie": {"mchid": "1900000001"}}, 401, "未申请过证书"),
        ({"lie": {"signature": base64.b64encode(bytes(256)).decode()}}, 401, "签名错误"),
    ):
        answer = caller.send("POST", NATIVE, order, **how)
        assert (answer.status_code, words in answer.json()["message"]) == (status, True), how
        assert "Wechatpay-Signature" not in answer.headers
    assert caller.send("GET", NATIVE).status_code == 405
    assert not Trade.objects.exists()


def test_an_order_that_is_not_as_it_must_be_is_refused(caller: Caller) -> None:
    for changes in (
        {"mchid": "1900000001"},
        {"appid": "wx0000000000000000"},
        {"description": "x" * 128},
        {"description": ""},
        {"out_trade_no": "short"},
        {"notify_url": f"{NOTIFY_URL}?a=1"},
        {"amount": {"total": 0, "currency": "CNY"}},
        {"amount": {"total": "7300", "currency": "CNY"}},
        {"amount": {"total": 7300, "currency": "USD"}},
        {"time_expire": "2026-01-02T15:40:05"},
        {"time_expire": beijing(days=8).isoformat(timespec="seconds")},
        {"attach": None},
        {"spbill_create_ip": "127.0.0.1"},
    ):
        answer = caller.send("POST", NATIVE, caller.order(**changes))
        assert (answer.status_code, answer.json()["code"]) in {(400, "PARAM_ERROR")}, changes
    emoji = json.dumps(caller.order(description="🎁"), ensure_ascii=False).encode()
    for body, kind in ((emoji, "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")):
        assert caller.send("POST", NATIVE, body, kind=kind).status_code == 400
    for way, more in (("jsapi", {}), ("h5", {"scene_info": {"payer_client_ip": "x", "h5_info": {"type": "Wap"}}})):
        assert caller.send("POST", f"/v3/pay/transactions/{way}", caller.order(**more)).status_code == 400
    assert not Trade.objects.exists()


def test_the_same_order_again_is_the_same_and_another_is_not(caller: Caller, wechat: Any) -> None:
    order = caller.order()
    first, again = caller.send("POST", NATIVE, order), caller.send("POST", NATIVE, order)
    assert (first.status_code, first.json()) == (200, again.json())
    changed = {"amount": {"total": 1, "currency": "CNY"}}, {"time_expire": beijing(minutes=31).isoformat()}
    for changes in changed:
        assert caller.send("POST", NATIVE, order | changes).json()["code"] == "OUT_TRADE_NO_USED"
    by_v2 = wechat.create()["out_trade_no"]
    assert caller.send("POST", NATIVE, caller.order(out_trade_no=by_v2)).status_code == 403
    number = order["out_trade_no"]
    path = f"/v3/pay/transactions/out-trade-no/{number}"
    assert caller.send("GET", path).status_code == 400
    query = caller.send("GET", f"{path}?mchid={caller.account['mch_id']}")
    assert query.json()["trade_state"] == "NOTPAY"
    assert caller.send("POST", f"{path}/close", {"mchid": "1"}).status_code == 400
    for _time in range(2):
        assert caller.send("POST", f"{path}/close", {"mchid": caller.account["mch_id"]}).status_code == 204
    assert caller.send("POST", NATIVE, order).json()["code"] == "ORDER_CLOSED"


def test_answers_are_signed_by_the_key_that_is_asked_for(caller: Caller) -> None:
    merchant = Merchant.objects.get(gateway="wechat")
    keys: dict[str, Any] = {
        caller.account["public_key_id"]: serialization.load_pem_public_key(merchant.public_key.encode()),
        "": x509.load_pem_x509_certificate(merchant.platform_certificate.encode()).public_key(),
    }
    for asked, key in keys.items():
        answer = caller.send("POST", NATIVE, caller.order(), headers={"Wechatpay-Serial": asked or None})
        said = {name: answer.headers[f"Wechatpay-{name}"] for name in ("Timestamp", "Nonce", "Signature", "Serial")}
        text = f"{said['Timestamp']}\n{said['Nonce']}\n".encode() + answer.content + b"\n"
        key.verify(base64.b64decode(said["Signature"]), text, PKCS1v15(), hashes.SHA256())
        assert said["Serial"] == asked or len(said["Serial"]) == 40
