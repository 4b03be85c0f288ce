"""A merchant at each stand-in, and a server that hears notices."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from .clients import AlipayClient, MerchantServer, WeChatClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What tries the stand-ins themselves seldom tells more than the tests that use them: it is left to test-all."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.rare)


@pytest.fixture(scope="session")
def _keys() -> dict[str, str]:
    """Two RSA pairs for the whole run: making them is slow."""
    from sandbox.management.commands.open_sandbox_accounts import key_pair

    (app_private, app_public), (alipay_private, alipay_public) = key_pair(), key_pair()
    return {
        "app_private_key": app_private,
        "app_public_key": app_public,
        "alipay_private_key": alipay_private,
        "alipay_public_key": alipay_public,
    }


@pytest.fixture
def accounts(db: None, _keys: dict[str, str]) -> dict[str, dict[str, str]]:
    from sandbox.models import Merchant

    facts = {"name": "VoiceHelper", "app_id": "9021000123456789", "merchant_id": "2088000123456789"}
    Merchant.objects.create(gateway="alipay", **facts, **_keys)
    out = io.StringIO()
    call_command("open_sandbox_accounts", "--json", stdout=out)
    found: dict[str, dict[str, str]] = json.loads(out.getvalue())
    return found


@pytest.fixture
def wechat(accounts: dict[str, dict[str, str]]) -> WeChatClient:
    account = accounts["wechat"]
    return WeChatClient(account["app_id"], account["mch_id"], account["api_key"])


@pytest.fixture
def alipay(accounts: dict[str, dict[str, str]]) -> AlipayClient:
    return AlipayClient(**accounts["alipay"])


@pytest.fixture
def phone(client: Client) -> Callable[..., Any]:
    """Do something with the phone, as JSON; returns the response."""

    def act(what: str, code: str, **more: Any) -> Any:
        return client.post(f"/sandbox/phone/{what}", {"code": code, **more}, content_type="application/json")

    return act


@pytest.fixture
def script(client: Client) -> Callable[..., Any]:
    """Write a script; returns the response."""

    def write(**script: Any) -> Any:
        return client.post("/sandbox/script", script, content_type="application/json")

    return write


@pytest.fixture
def listen() -> Iterator[Callable[..., MerchantServer]]:
    servers: list[MerchantServer] = []

    def start(**more: Any) -> MerchantServer:
        servers.append(MerchantServer(**more))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
