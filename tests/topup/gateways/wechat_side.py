"""WeChat Pay v2's side in the tests: an invented merchant, and the signatures, written a second time."""

from collections.abc import Mapping
from datetime import UTC, datetime

from tests.merchants import wechat_sign
from topup.gateways.notices import IncomingNotice, OpenedNotice
from topup.gateways.orders import NewOrder, Receipt
from topup.gateways.wechat.v2 import WeChatConfig, WeChatPayV2

KEY = "VoiceHelperTestApiV2Key012345678"
CONFIG = WeChatConfig(app_id="wx8888888888888888", mch_id="1900000109", api_key=KEY)
GATEWAY = WeChatPayV2(CONFIG)
ORDER_NO = "20260102150405abcdef0123456789AB"
ORDER = NewOrder(
    order_no=ORDER_NO,
    amount_fen=1990,
    subject="AI服务充值",
    expires_at=datetime(2030, 1, 2, 7, 34, 5, tzinfo=UTC),
    notify_url="https://pay.example.com/api/wechat/notify",
    client_ip="203.0.113.7",
)
NOTICE = {
    "return_code": "SUCCESS",
    "result_code": "SUCCESS",
    "appid": CONFIG.app_id,
    "mch_id": CONFIG.mch_id,
    "nonce_str": "5d2b6c2a8db53831f7eda20af46e531c",
    "total_fee": "1990",
    "cash_fee": "1890",
    "coupon_fee": "100",
    "fee_type": "CNY",
    "transaction_id": "4200000008201712143733500001",
    "out_trade_no": ORDER_NO,
    "attach": "",
    "time_end": "20260102150512",
    "a_field_of_tomorrow": "]]> & <新>",
}
RECEIPT = Receipt(
    gateway="wechat",
    order_no=ORDER_NO,
    transaction_id="4200000008201712143733500001",
    amount_fen=1990,
    currency="CNY",
    app_id=CONFIG.app_id,
    merchant_id=CONFIG.mch_id,
    live=True,
    paid_at=datetime(2026, 1, 2, 7, 5, 12, tzinfo=UTC),
)


def signed(fields: Mapping[str, str | None], *, key: str = KEY, md5: bool = False) -> bytes:
    """A document as WeChat writes it, by a second implementation of the signature. None leaves an element out."""
    present = {name: value for name, value in fields.items() if value is not None}
    return document({**present, "sign": wechat_sign(present, key, "MD5" if md5 else "HMAC-SHA256")})


def document(fields: Mapping[str, str]) -> bytes:
    cdata = {name: value.replace("]]>", "]]]]><![CDATA[>") for name, value in fields.items()}
    return (
        "<xml>" + "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in cdata.items()) + "</xml>"
    ).encode()


def opened(body: bytes, *, sign_type: str = "", by: WeChatPayV2 = GATEWAY) -> OpenedNotice:
    """What a notice says; `sign_type` is what was recorded with the order it claims."""
    return by.open(IncomingNotice(body), lambda _order_no: sign_type)


def paid(body: bytes, *, sign_type: str = "", by: WeChatPayV2 = GATEWAY) -> Receipt | None:
    return opened(body, sign_type=sign_type, by=by).receipt


def notice(**changes: str | None) -> bytes:
    return signed({**NOTICE, **changes})
