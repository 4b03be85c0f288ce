"""What WeChat Pay is to people, whichever version of its protocol an account speaks."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from voicehelper.accounts.wechat.base import BASE_URL, AppRefused, LoginFailed
from voicehelper.accounts.wechat.web_login import WebLogin
from voicehelper.net.http import HTTP, TRUSTED

from ..base import Gateway
from ..errors import NotConfigured, Unknown
from ..exchanges import Exchange, forget
from ..ways import PHONE, Device, Place
from . import json_notices


class WeChatPay(Gateway):
    """The facts that the versions share; __init__.py lists them."""

    name, label, app_label = "wechat", _("WeChat Pay"), _("WeChat")
    colour, on_colour, icon = "#07C160", "#03270F", "wechat"
    off = _("The administrator has not enabled WeChat Pay!")

    # MWEB is WeChat's page for phones' browsers, JSAPI the payment inside WeChat.
    trade_types = {"NATIVE": Place.CODE, "JSAPI": Place.APP, "MWEB": Place.PHONE}
    ways = {PHONE: "MWEB", Device(name): "JSAPI"}
    # WeCom says MicroMessenger too, and cannot tell who its user is in WeChat.
    app_browser = r"(?s)^(?!.*wxwork/).*MicroMessenger/"
    pay_addresses = {
        "NATIVE": ("weixin://wxpay/bizpayurl", "weixin://wxpay/s/"),
        "MWEB": ("https://wx.tenpay.com/",),
    }

    refund_callbacks = ("refund-notify",)
    # No proxy of ours knows these as anything else; a browser's multipart form is not a notice.
    notice_types = (
        "text/xml",
        "application/xml",
        "text/plain",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
        # Version 3.
        "application/json",
    )

    # Of version 3. Also kept of what nobody here can verify yet.
    signed_headers = json_notices.SIGNED_HEADERS

    # Who paid; from which bank; and what is sealed and holds both.
    payer_fields = frozenset(
        {"openid", "sub_openid", "sp_openid", "refund_recv_accout", "user_received_account", "req_info", "ciphertext"}
    )

    many_apps = True
    # WeChat refuses to close a younger order.
    close_after_s = 300
    refused_as_refunded = "已(全额|全部)退"
    transaction_numbers = r"[14][0-9]{27}"
    refunds_by_transaction = True

    def __init__(self, config: Any, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        url = config.login_url.rstrip("/") or BASE_URL
        self._login = WebLogin(config.app_id, config.app_secret, base_url=url) if config.app_secret else None

    def try_out(self) -> str:
        """With the app secret, if there is one: no call to WeChat Pay wants it, the pages inside WeChat do."""
        text = super().try_out()
        try:
            if self._login:
                self._login.check()
        except AppRefused as error:
            raise NotConfigured(f"{error} {error.hint}") from error
        except LoginFailed as error:
            raise Unknown(str(error)) from error
        return text

    @classmethod
    def notice_fields(cls, body: bytes) -> Mapping[str, str]:
        return next(filter(None, (version.notice_fields(body) for version in cls.versions.values())), {})
