"""The sandbox's providers at an address of their own, in a thread of the test, and orders paid there."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application
from django.db import connection

from sandbox import buyer
from sandbox.management.commands import open_sandbox_accounts
from sandbox.models import Merchant, Trade
from sandbox.models import Refund as ProviderRefund
from topup import services
from topup.models import Order
from topup.services.options import write_options
from voicehelper.accounts.models import User


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS is shaken hands over in the request's own thread."""
        context = getattr(self, "tls", None)
        if context is None:
            super().finish_request(request, client_address)
            return
        with context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if isinstance(self.connection, ssl.SSLSocket):
            environ["HTTPS"] = "on"
            environ["SSL_CLIENT_CERT"] = self.connection.getpeercert(binary_form=True) or b""
        return environ

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def sandbox_server(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The whole product under WSGI; its address."""
    product = get_wsgi_application()

    def application(environ: Any, start_response: Any) -> Any:
        try:
            return list(product(environ, start_response))
        finally:
            connection.close()

    server = make_server("127.0.0.1", 0, application, server_class=_Server, handler_class=_Handler)
    server.tls = tls  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@lru_cache(maxsize=1)
def _keys() -> dict[str, str]:
    """Two RSA pairs for the whole run: making them is slow."""
    (app_private, app_public), (alipay_private, alipay_public) = [open_sandbox_accounts.key_pair() for _ in range(2)]
    return {
        "app_private_key": app_private,
        "app_public_key": app_public,
        "alipay_private_key": alipay_private,
        "alipay_public_key": alipay_public,
    }


def open_accounts(address: str, settings: Any) -> None:
    """Both gateways switched on with accounts at the sandbox, which lives at `address`."""
    settings.WECHAT_PAY_BASE_URL = f"{address}/sandbox/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{address}/sandbox/alipay/gateway.do"
    if not Merchant.objects.filter(gateway="alipay").exists():
        facts = {"name": open_sandbox_accounts.NAME, "app_id": "9021000123456789", "merchant_id": "2088000123456789"}
        Merchant.objects.create(gateway="alipay", **facts, **_keys())
    wechat, alipay = open_sandbox_accounts.wechat_account(), open_sandbox_accounts.alipay_account()
    write_options(
        {
            "ServerAddress": address.replace("https", "http"),
            "WechatAppId": wechat["app_id"],
            "WechatMchId": wechat["mch_id"],
            "WechatApiV2Key": wechat["api_key"],
            "WechatClientCert": wechat["client_cert"],
            "WechatClientKey": wechat["client_key"],
            "WechatEnabled": True,
            "AlipayAppId": alipay["app_id"],
            "AlipaySellerId": alipay["seller_id"],
            "AlipayPrivateKey": alipay["private_key"],
            "AlipayPublicKey": alipay["public_key"],
            "AlipayEnabled": True,
        }
    )


def speak_v3(**options: Any) -> None:
    """The account at WeChat Pay goes on in API v3."""
    wechat = open_sandbox_accounts.wechat_account()
    given = {"ApiV3Key": "api_v3_key", "PublicKeyId": "public_key_id", "PublicKey": "public_key"}
    write_options({f"Wechat{name}": wechat[key] for name, key in given.items()} | {"WechatApiVersion": "v3"} | options)


def platform(name: str) -> str:
    """The gateway of a platform. WeChat Pay's name may hold its version, which is spoken from now on."""
    gateway, _, version = name.partition(" ")
    if version == "v3":
        speak_v3()
    return gateway


def use_certificates(**options: Any) -> Merchant:
    """The application at Alipay goes on in certificate mode, here and in its console."""
    alipay = open_sandbox_accounts.alipay_certificates()
    Merchant.objects.filter(gateway="alipay").update(by_certificate=True)
    given = {"AppCert": "app_cert", "Cert": "cert", "RootCert": "root_cert"}
    write_options({f"Alipay{name}": alipay[key] for name, key in given.items()} | options)
    return Merchant.objects.get(gateway="alipay")


def use_public_keys() -> None:
    """And back."""
    Merchant.objects.filter(gateway="alipay").update(by_certificate=False)
    write_options({"AlipayAppCert": None, "AlipayCert": None, "AlipayRootCert": None})


def paid_order(user: User, gateway: str, amount: int = 10) -> Order:
    """An order that was placed, paid at the sandbox, and credited by asking; its notice is lost."""
    order = services.place_order(user, gateway, amount, client_ip="127.0.0.1")
    buyer.pay(trade_of(order), {"drop": {}})
    services.ask_provider(order, source="admin")
    return Order.objects.select_related("user").get(pk=order.pk)


def trade_of(order: Order) -> Trade:
    """The provider's view of it."""
    return Trade.objects.select_related("merchant").get(out_trade_no=order.order_no)


def given_back(order: Order) -> list[int]:
    """What really went back at the provider, in fen."""
    done = ProviderRefund.objects.filter(trade__out_trade_no=order.order_no, state="succeeded").order_by("pk")
    return list(done.values_list("amount_fen", flat=True))
