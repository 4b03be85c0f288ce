"""Us as operators: who pays us at which account, and what is switched on."""

import random
from collections.abc import Mapping
from typing import Any

from sandbox.management.commands import open_sandbox_accounts
from sandbox.models import Merchant
from topup.services.options import write_options

from .plan import GATEWAYS

MOST_ACCOUNTS = 4
ENABLED = {"wechat": "WechatEnabled", "alipay": "AlipayEnabled"}
_WECHAT = {
    "WechatAppId": "app_id",
    "WechatMchId": "mch_id",
    "WechatApiV2Key": "api_key",
    "WechatClientCert": "client_cert",
    "WechatClientKey": "client_key",
    "WechatApiV3Key": "api_v3_key",
    "WechatPublicKeyId": "public_key_id",
    "WechatPublicKey": "public_key",
}
_ALIPAY = {
    "AlipayAppId": "app_id",
    "AlipaySellerId": "seller_id",
    "AlipayPrivateKey": "private_key",
    "AlipayPublicKey": "public_key",
}


class Shop:
    """Both gateways, with up to MOST_ACCOUNTS merchant accounts at each, of which one is active."""

    def __init__(self, address: str) -> None:
        self._accounts: dict[str, list[Mapping[str, Any]]] = {gateway: [] for gateway in GATEWAYS}
        self._version = "v2"
        write_options({"ServerAddress": address, "ConfirmAbove": "150"})
        for gateway in GATEWAYS:
            self.open_account(gateway)
            self.switch(gateway, on=True)

    def open_account(self, gateway: str) -> None:
        """Sign up once more, and be that merchant from now on."""
        known = self._accounts[gateway]
        Merchant.objects.filter(gateway=gateway, name=open_sandbox_accounts.NAME).update(name=f"before {len(known)}")
        # Made once in a process that opens one account; ours are to have nothing in common.
        open_sandbox_accounts._key.cache_clear()
        if gateway == "wechat":
            account, names = open_sandbox_accounts.wechat_account(), _WECHAT
        else:
            account, names = open_sandbox_accounts.alipay_account(), _ALIPAY
        known.append({option: account[name] for option, name in names.items()})
        write_options(known[-1])

    def change_account(self, choice: random.Random) -> None:
        """Another merchant: a new one, or one that was retired."""
        gateway = choice.choice(GATEWAYS)
        if len(self._accounts[gateway]) < MOST_ACCOUNTS:
            self.open_account(gateway)
        else:
            write_options(choice.choice(self._accounts[gateway]))

    def change_version(self) -> None:
        self._version = "v3" if self._version == "v2" else "v2"
        write_options({"WechatApiVersion": self._version})

    def switch(self, gateway: str, *, on: bool) -> None:
        write_options({ENABLED[gateway]: on})

    @property
    def accounts(self) -> int:
        return sum(map(len, self._accounts.values()))
