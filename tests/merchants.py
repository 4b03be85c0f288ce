"""Two invented merchants and how their providers sign, without our gateway code, so that each checks the other."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from topup.models import Order
from topup.services.options import write_options


def wechat_sign(values: Mapping[str, str], key: str, sign_type: str) -> str:
    """WeChat Pay's signature of version 2, over all values that are not empty."""
    text = "&".join(f"{name}={values[name]}" for name in sorted(values) if values[name] and name != "sign")
    text += f"&key={key}"
    if sign_type == "MD5":
        return hashlib.md5(text.encode()).hexdigest().upper()
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest().upper()


@dataclass(frozen=True)
class WeChatMerchant:
    """A merchant at WeChat Pay, and WeChat's side of the key."""

    app_id: str = "wx8888888888888888"
    mch_id: str = "1900000109"
    key: str = "Kq7Zt3Vw9Lx2Rm5Yn8Pb4Hd6Jf1Sg0Tc"
    sign_type: str = "HMAC-SHA256"

    def configure(self, **options: Any) -> None:
        write_options(
            {
                "WechatAppId": self.app_id,
                "WechatMchId": self.mch_id,
                "WechatApiV2Key": self.key,
                "WechatSignType": self.sign_type,
                "WechatEnabled": True,
                # A certificate is of one merchant.
                "WechatClientCert": None,
                "WechatClientKey": None,
            }
            | options
        )

    def sign(self, values: Mapping[str, str], *, key: str | None = None, sign_type: str | None = None) -> str:
        return wechat_sign(values, self.key if key is None else key, sign_type or self.sign_type)

    def notice(self, order: Order, **changes: str | None) -> bytes:
        """A payment notice for an order, signed after `changes`; a change to None leaves the element out."""
        values = self.notice_values(order) | changes
        return self.xml({name: value for name, value in values.items() if value is not None})

    def notice_values(self, order: Order) -> dict[str, str | None]:
        return {
            "return_code": "SUCCESS",
            "result_code": "SUCCESS",
            "appid": self.app_id,
            "mch_id": self.mch_id,
            "nonce_str": "5d2b6c2a8db53831f7eda20af46e531c",
            "openid": "oUpF8uMEb4qRXf22hE3X68TekukE",
            "is_subscribe": "N",
            "trade_type": "NATIVE",
            "bank_type": "OTHERS",
            "total_fee": str(order.amount_fen),
            "cash_fee": str(order.amount_fen),
            "fee_type": "CNY",
            "transaction_id": f"42000{order.pk:023d}",
            "out_trade_no": order.order_no,
            "time_end": "20261121120000",
        }

    def xml(self, values: Mapping[str, str], *, sign: str | None = None) -> bytes:
        signed = dict(values) | {"sign": self.sign(values) if sign is None else sign}
        return ("<xml>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in signed.items()) + "</xml>").encode()


@dataclass
class AlipayMerchant:
    """An application at Alipay, and Alipay's side of the keys."""

    app_id: str = "2021000000000001"
    seller_id: str = "2088102146225135"

    @cached_property
    def alipay_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def app_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    def configure(self, **options: Any) -> None:
        private = self.app_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = self.alipay_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_options(
            {
                "AlipayAppId": self.app_id,
                "AlipaySellerId": self.seller_id,
                "AlipayPrivateKey": base64.b64encode(private).decode(),
                "AlipayPublicKey": base64.b64encode(public).decode(),
                "AlipayEnabled": True,
            }
            | options
        )

    def sign(self, values: Mapping[str, str], *, key: rsa.RSAPrivateKey | None = None, sha1: bool = False) -> str:
        text = "&".join(f"{k}={values[k]}" for k in sorted(values) if k not in ("sign", "sign_type"))
        digest = hashes.SHA1() if sha1 else hashes.SHA256()
        return base64.b64encode((key or self.alipay_key).sign(text.encode(), padding.PKCS1v15(), digest)).decode()

    def notice(self, order: Order, **changes: str | None) -> bytes:
        """A payment notice for an order, signed after `changes`; a change to None leaves the parameter out."""
        values = self.notice_values(order) | changes
        return self.form({name: value for name, value in values.items() if value is not None})

    def notice_values(self, order: Order) -> dict[str, str | None]:
        money = f"{order.amount_fen // 100}.{order.amount_fen % 100:02d}"
        return {
            "charset": "utf-8",
            "version": "1.0",
            "notify_type": "trade_status_sync",
            "app_id": self.app_id,
            "auth_app_id": self.app_id,
            "seller_id": self.seller_id,
            "buyer_id": "2088102116773037",
            "sign_type": "RSA2",
            "notify_time": "2026-11-21 12:00:01",
            "notify_id": "2026112100222120001030801234567890",
            "gmt_create": "2026-11-21 11:59:50",
            "gmt_payment": "2026-11-21 12:00:00",
            "out_trade_no": order.order_no,
            "trade_no": f"20261121{order.pk:020d}",
            "subject": "AI服务充值",
            "total_amount": money,
            "receipt_amount": money,
            "trade_status": "TRADE_SUCCESS",
        }

    def form(self, values: Mapping[str, str], *, sign: str | None = None) -> bytes:
        signed = dict(values) | {"sign": self.sign(values) if sign is None else sign}
        return urlencode(signed).encode()


WECHAT = WeChatMerchant()
ALIPAY = AlipayMerchant()
