"""What Django has to know about the services we started: the environment variables, and the file that carries them.

The file `$VOICEHELPER_DATA/env` lets `manage.py` on its own find a running demo (settings.py reads it).
"""

import base64
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from voicehelper.embedded.folder import write_private
from voicehelper.embedded.process import EmbeddedError

# Accounts at the stand-ins for the model providers, as those list them; a key comes with its address or not at all.
_ACCOUNTS = {
    "ARK": ("5a0db0c5-0000-4000-8000-000000000001", "ark/api/v3"),
    "OPENAI": ("sk-proj-voicehelper-sandbox-opens-nothing-real-0000000000000001", "openai/v1"),
    "ANTHROPIC": ("sk-ant-api03-voicehelper-sandbox-opens-nothing-real-0000000000000001", "anthropic"),
}
_KEPT = ("SECRET_KEY", "VOICEHELPER_SECRET_KEYS")


def new_keys() -> dict[str, str]:
    """Fresh keys: Django's, and a Fernet key for what is stored encrypted."""
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return dict(zip(_KEPT, (secrets.token_urlsafe(50), fernet_key), strict=True))


def demo_values(port: int, keys: Mapping[str, str]) -> dict[str, str]:
    """A demo on this port whose providers, of payments and of models, are its own stand-ins."""
    address = f"http://127.0.0.1:{port}"
    accounts: dict[str, str] = {}
    for brand, (key, path) in _ACCOUNTS.items():
        accounts |= {f"{brand}_API_KEY": key, f"{brand}_BASE_URL": f"{address}/sandbox/llm/{path}"}
    return {
        "VOICEHELPER_MODE": "demo",
        **keys,
        "SERVER_ADDRESS": address,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SANDBOX": "True",
        "WECHAT_PAY_BASE_URL": f"{address}/sandbox/wechat",
        "ALIPAY_GATEWAY_URL": f"{address}/sandbox/alipay/gateway.do",
        "WECHAT_API_BASE_URL": f"{address}/sandbox/weixin",
        "WECHAT_OAUTH_URL": f"{address}/sandbox/weixin/connect/oauth2/authorize",
        "WECHAT_QR_URL": f"{address}/sandbox/weixin/connect/qrconnect",
        "PWNED_PASSWORDS_URL": f"{address}/sandbox/pwned",
        **accounts,
        "DINGTALK_BASE_URL": f"{address}/sandbox/dingtalk",
        "ALIYUN_SMS_URL": f"{address}/sandbox/aliyun-sms",
        "ALIYUN_GREEN_URL": f"{address}/sandbox/aliyun-green",
        "TENCENT_TMS_URL": f"{address}/sandbox/tencent-tms",
        "TENCENT_SMS_URL": f"{address}/sandbox/tencent-sms",
        "SMTP_PRIVATE_HOSTS": "127.0.0.1",
    }


def test_values() -> dict[str, str]:
    """A throw-away configuration for tests; they point the providers' addresses at the stand-ins they start."""
    return {
        "VOICEHELPER_MODE": "test",
        **new_keys(),
        "SERVER_ADDRESS": "http://127.0.0.1:8000",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SANDBOX": "True",
    }


def with_overrides(values: Mapping[str, str]) -> dict[str, str]:
    """The same variables; one that our environment sets has the value it has there. Of a model provider's key and
    address, setting one takes both away from us: a real key must not go to a stand-in."""
    found = {name: os.environ.get(name, value) for name, value in values.items()}
    for brand in _ACCOUNTS:
        pair = (f"{brand}_API_KEY", f"{brand}_BASE_URL")
        if any(name in os.environ for name in pair):
            found |= {name: os.environ.get(name, "") for name in pair}
    return found


def kept_keys(file: Path) -> dict[str, str]:
    """The keys of the last run, or new ones: sessions and stored secrets must survive a restart."""
    if not file.exists():
        return new_keys()
    lines = (line.partition("=") for line in file.read_text().splitlines())
    before = {name: "".join(shlex.split(value)) for name, _, value in lines}
    return {name: before.get(name) or new for name, new in new_keys().items()}


def write(file: Path, values: Mapping[str, str]) -> None:
    """One KEY=value a line, readable by us only, for django-environ's `read_env` and for a shell."""
    for name, value in values.items():
        if "\n" in value or "'" in value:
            raise EmbeddedError(f"{name} may not contain a line break or a single quote.")
    write_private(file, "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))
