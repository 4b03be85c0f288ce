"""Whose address: what proxies, sockets and strangers write, and what it becomes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.conftest import sampled
from tests.faults.scripted import ScriptedProvider
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from topup.models import Notice, Order
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

V6 = "2001:db8::7"
# What the last hop of X-Forwarded-For says, and whose address that is; "": nobody's, so the socket's counts.
HOPS = {
    "203.0.113.9": "203.0.113.9",
    "203.0.113.9:49152": "203.0.113.9",
    "::ffff:203.0.113.9": "203.0.113.9",
    "::FFFF:cb00:7109": "203.0.113.9",
    "[::ffff:203.0.113.9]:443": "203.0.113.9",
    V6: V6,
    f"[{V6}]": V6,
    f"[{V6}]:8443": V6,
    f'"[{V6}]:8443"': V6,
    "2001:DB8:0:0:0:0:0:7": V6,
    "fe80::7%eth0": "fe80::7",
    "[fe80::7%25eth0]:443": "fe80::7",
    "unknown": "",
    "_hidden": "",
    "203.0.113.999": "",
    "203.0.113": "",
    "0x7f.1": "",
    "٢٠٣.0.113.9": "",
    "[2001:db8::7": "",
    "localhost:80": "",
    "'; DROP TABLE topup_order; --": "",
    "203.0.113.9, ": "203.0.113.9",
    "198.51.100.1, 203.0.113.9": "203.0.113.9",
    "198.51.100.1, unknown": "",
    "": "",
    ":": "",
    "%": "",
    "9" * 5000: "",
}
SOCKETS = {
    "198.51.100.2": "198.51.100.2",
    "::ffff:198.51.100.2": "198.51.100.2",
    "fe80::2%eth0": "fe80::2",
    "": "127.0.0.1",
    "/run/voicehelper.sock": "127.0.0.1",
}


@pytest.fixture
def scripted(wechat: WeChatMerchant, settings: Any) -> Any:
    with ScriptedProvider(wechat, settings) as provider:
        yield provider


def pay(client: Any, **headers: str) -> Any:
    body = {"amount": 10, "payment_method": "wechat"}
    return client.post("/api/user/wechat/pay", body, format="json", **headers)


@pytest.mark.parametrize(("hop", "address"), sampled(HOPS.items(), keep=6))
def test_X04_X41_whatever_a_proxy_writes_the_order_is_placed_with_an_address_wechat_takes(
    hop: str, address: str, buyer: User, as_user: Callable[..., APIClient], scripted: ScriptedProvider, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    answer = pay(as_user(buyer), HTTP_X_FORWARDED_FOR=hop, REMOTE_ADDR="10.0.0.1")
    assert answer.status_code == 200
    assert Order.objects.get().client_ip == (address or "10.0.0.1")
    assert scripted.calls[0].fields["spbill_create_ip"] == (address or "10.0.0.1")


@pytest.mark.parametrize("hop", ["203.0.113.9:49152", "unknown", "[2001:db8::7]:8443", "::ffff:203.0.113.9"])
def test_X04_X41_whatever_a_proxy_writes_a_notice_is_kept_and_credited(
    hop: str, buyer: User, wechat: WeChatMerchant, provider: Client, settings: Any, books_agree: Callable[[], None]
) -> None:
    settings.TRUSTED_PROXIES = 1
    order = pending_order(buyer, wechat)
    body = wechat.notice(order)
    answer = provider.post(
        "/api/wechat/notify", body, content_type="text/xml", HTTP_X_FORWARDED_FOR=hop, REMOTE_ADDR="10.0.0.1"
    )
    assert (answer.status_code, b"SUCCESS" in answer.content) == (200, True)
    notice = Notice.objects.get()
    assert (notice.verdict, notice.source) == ("credited", HOPS[hop] or "10.0.0.1")
    books_agree()


@pytest.mark.parametrize(("socket", "address"), SOCKETS.items())
def test_X41_a_socket_without_an_address_and_one_of_both_families_are_served(
    socket: str, address: str, buyer: User, as_user: Callable[..., APIClient], scripted: ScriptedProvider
) -> None:
    assert pay(as_user(buyer), HTTP_X_FORWARDED_FOR="192.0.2.1", REMOTE_ADDR=socket).status_code == 200
    assert Order.objects.get().client_ip == address


def test_X41_the_proxies_are_counted_from_the_right_and_too_few_hops_are_nobodys(
    buyer: User, as_user: Callable[..., APIClient], scripted: ScriptedProvider, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 2
    for hops in ("192.0.2.1, [2001:db8::7]:443, 10.0.0.9", "10.0.0.9"):
        assert pay(as_user(buyer), HTTP_X_FORWARDED_FOR=hops, REMOTE_ADDR="10.0.0.1").status_code == 200
    assert list(Order.objects.order_by("pk").values_list("client_ip", flat=True)) == [V6, "10.0.0.1"]
