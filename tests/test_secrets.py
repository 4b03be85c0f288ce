"""Secrets at rest: encrypted under the newest key, readable under the old ones, never shown."""

import copy
import pickle
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection

from tests.merchants import WECHAT, WeChatMerchant
from topup.models.sections import WeChatSettings
from topup.services import GatewayOff, open_gateway
from topup.services.options import OptionsRefused, read_options, write_options
from voicehelper.secrets import Secret, SecretUnreadable


def column() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_v2_key FROM topup_wechatsettings")
        ((value,),) = cursor.fetchall()
    return str(value)


def test_a_secret_shows_nothing_but_its_last_four() -> None:
    secret = Secret("Kq7Zt3Vw9Lx2Rm5Yn8Pb4Hd6Jf1Sg0Tc")
    assert "Kq7Z" not in f"{secret} {secret!r}"
    assert secret.last4 == "g0Tc"
    assert Secret("short").last4 == ""
    assert copy.deepcopy(secret) is secret
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_the_column_holds_ciphertext(wechat: WeChatMerchant) -> None:
    assert WECHAT.key not in column()
    assert WeChatSettings.load().api_v2_key.reveal() == WECHAT.key


def test_keys_rotate(wechat: WeChatMerchant, settings: Any) -> None:
    """A new key in front: the old value stays readable, and what is saved anew no longer needs the old key."""
    settings.SECRET_KEYS = [Fernet.generate_key().decode(), *settings.SECRET_KEYS]
    row = WeChatSettings.load()
    assert row.api_v2_key.reveal() == WECHAT.key
    row.save()
    settings.SECRET_KEYS = settings.SECRET_KEYS[:1]
    assert WeChatSettings.load().api_v2_key.reveal() == WECHAT.key


def test_after_rotating_everything_the_old_key_may_go(wechat: WeChatMerchant, settings: Any) -> None:
    settings.SECRET_KEYS = [Fernet.generate_key().decode(), *settings.SECRET_KEYS]
    call_command("rotate_secrets")
    settings.SECRET_KEYS = settings.SECRET_KEYS[:1]
    assert WeChatSettings.load().api_v2_key.reveal() == WECHAT.key


def test_rotating_names_what_no_key_opens_and_leaves_it(
    wechat: WeChatMerchant, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = column()
    settings.SECRET_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SystemExit, match="1"):
        call_command("rotate_secrets")
    assert "topup.WeChatSettings 1, api_v2_key" in capsys.readouterr().out
    assert column() == stored


def test_a_lost_key_closes_the_gateway_and_keeps_what_is_stored(wechat: WeChatMerchant, settings: Any) -> None:
    """Ciphertext is never taken for a key; the settings can still be opened and saved, and say what is wrong."""
    stored, keys = column(), settings.SECRET_KEYS
    settings.SECRET_KEYS = [Fernet.generate_key().decode()]
    row = WeChatSettings.load()
    with pytest.raises(SecretUnreadable):
        row.api_v2_key.reveal()
    with pytest.raises(GatewayOff):
        open_gateway("wechat")
    assert read_options()["WechatApiV2KeySet"]
    with pytest.raises(OptionsRefused, match="WechatApiV2Key"):
        write_options({"WechatMinTopUp": 2})
    row.save()
    assert column() == stored
    write_options({"WechatApiV2Key": WECHAT.key, "WechatMinTopUp": 2})
    assert open_gateway("wechat")
    settings.SECRET_KEYS = keys
