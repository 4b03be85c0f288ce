"""Faults J: where secrets could come out, who may change them, what we depend on, and starts that must be refused."""

import base64
import io
import json
import logging
import pickle
import re
import secrets
import string
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as project
from django.contrib.sessions.models import Session
from django.core import checks, serializers
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from llm.models import Credential
from tests.conftest import rarely
from tests.far_side import FarSide, http
from tests.image import Image
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.gateways.alipay import AlipayConfig
from topup.gateways.wechat.v2 import WeChatConfig
from topup.models import GatewayCall, Order
from topup.models.sections import AlipaySettings, WeChatSettings
from topup.services.options import write_options
from voicehelper import checks as own_checks
from voicehelper import clock
from voicehelper.accounts.models import MiniProgramSettings, User
from voicehelper.accounts.services import create_api_key
from voicehelper.secrets import EncryptedField, Secret, SecretUnreadable

from .deployment import bandit, production
from .scripted import ScriptedProvider

LETTERS = string.ascii_letters + string.digits
WECHAT_PAGE = "/admin/topup/wechatsettings/1/change/"


def canary(length: int = 32) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


# --- J1: the canaries ------------------------------------------------------------------------------------------------
class Cage:
    """Secrets nobody else has, and everything that came out while they were in use."""

    def __init__(self, wechat_key: str) -> None:
        pem = "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n"
        self.secrets = {
            "WeChat API v2 key": wechat_key,
            "refused WeChat key": canary(31),
            "WeChat certificate": canary(400),
            "WeChat certificate's key": canary(400),
            "mini program secret": canary(),
            "session key": canary(),
            "buyer's password": canary(24),
            "operator's password": canary(24),
            "wrong password": canary(24),
            "buyer's token": "",
            "buyer's API key": "",
            "model account's key": canary(),
            "typed model account's key": canary(),
            "SECRET_KEY": project.SECRET_KEY,
            "encryption key": project.SECRET_KEYS[0],
        }
        self.cert = pem.format("CERTIFICATE", self.secrets["WeChat certificate"])
        self.key = pem.format("PRIVATE KEY", self.secrets["WeChat certificate's key"])
        self.out: list[tuple[str, str]] = []

    def add_keys(self, merchant: AlipayMerchant) -> None:
        for name, value in (("private", merchant.app_key), ("public", merchant.alipay_key.public_key())):
            der = (
                value.private_bytes(
                    serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                if isinstance(value, rsa.RSAPrivateKey)
                else value.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            )
            # All keys begin alike.
            self.secrets[f"Alipay {name} key"] = base64.b64encode(der).decode()[64:]

    def see(self, where: str, text: object) -> Any:
        if hasattr(text, "content"):
            answer: Any = text
            headers = "\n".join(f"{k}: {v}" for k, v in answer.items())
            self.out.append((where, headers + answer.content.decode("utf-8", "replace")))
        else:
            self.out.append((where, str(text)))
        return text

    def leaks(self) -> list[str]:
        """Twenty characters in a row of a secret (thirty-two of a long one), anywhere, are a leak."""
        found = []
        for name, value in self.secrets.items():
            assert len(value) >= 24, name
            step = 4 if len(value) < 64 else 16
            pieces = {value[at : at + 16] for at in range(0, len(value) - 15, step)} | {value[-16:]}
            found += [f"{name} in {where}" for where, text in self.out if any(piece in text for piece in pieces)]
        return found


def every_row_of_every_table() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        written = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            written += [f"{table} {row}" for (row,) in cursor.fetchall()]
    return "\n".join(written)


@pytest.mark.rare
@pytest.mark.django_db(transaction=True)
def test_J1_no_secret_comes_out_anywhere(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    root.addHandler(handler)
    try:
        cage = exercise_everything(settings)
    finally:
        root.removeHandler(handler)
    cage.see("the log", log.getvalue())
    cage.see("the database", every_row_of_every_table())
    for session in Session.objects.all():
        cage.see("a session", session.get_decoded())
    dump = io.StringIO()
    call_command("dumpdata", "topup", "llm", "accounts.MiniProgramSettings", "admin", "notifications", stdout=dump)
    cage.see("a data dump", dump.getvalue())
    assert len(cage.secrets) >= 12
    assert "POST /pay/unifiedorder" in dict(cage.out)["the database"]
    assert cage.leaks() == []
    # The trap snaps: each secret is found where it is planted.
    for name, value in cage.secrets.items():
        cage.out = [("planted", f"x{value}y")]
        assert cage.leaks() == [f"{name} in planted"]


def exercise_everything(settings: Any) -> Cage:
    """An operator's and a buyer's day, with mistakes, and everything they are shown."""
    wechat, alipay = WeChatMerchant(key=canary()), AlipayMerchant()
    cage = Cage(wechat.key)
    cage.add_keys(alipay)
    hidden = cage.secrets
    User.objects.create_user("buyer", password=hidden["buyer's password"])
    staff = User.objects.create_superuser("operator", password=hidden["operator's password"])
    api, browser = APIClient(raise_request_exception=False), Client(raise_request_exception=False)

    # Signing in, rightly and wrongly; the token comes out here and nowhere else.
    sign_in = {"username": "buyer", "password": hidden["buyer's password"]}
    hidden["buyer's token"] = api.post("/api/auth/login", sign_in, format="json").json()["token"]
    cage.see("login", api.post("/api/auth/login", sign_in | {"password": hidden["wrong password"]}, format="json"))
    cage.see("sign-in page", browser.post("/accounts/sign-in", sign_in | {"password": hidden["wrong password"]}))
    cage.see("sign-in by GET", browser.get("/accounts/sign-in"))

    # The operator configures, and mistypes.
    operator = APIClient(raise_request_exception=False)
    operator.force_login(staff)
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9"
    for changes in (
        {
            "WechatClientCert": cage.cert,
            "WechatClientKey": cage.key,
            "MiniProgramAppSecret": hidden["mini program secret"],
        },
        {"MiniProgramAppId": "wx8888888888888888"},
    ):
        confirmed = changes | {"CurrentPassword": hidden["operator's password"]}
        assert cage.see("PUT option", operator.put("/api/option", confirmed, format="json")).status_code == 200
        unconfirmed = changes | {"CurrentPassword": hidden["wrong password"], "WechatAppSecret": wechat.key}
        assert cage.see("forbidden PUT", operator.put("/api/option", unconfirmed, format="json")).status_code == 403
    wechat.configure()
    alipay.configure()
    for changes in (
        {"WechatApiV2Key": hidden["refused WeChat key"]},
        {"WechatApiV2Key": [wechat.key]},
        {"WechatApiV2Key": {"key": wechat.key}},
        {"AlipayPrivateKey": hidden["Alipay private key"]},
        {"AlipayPublicKey": "-----BEGIN PUBLIC KEY-----" + hidden["Alipay public key"]},
        {"WechatMchId": "x", "WechatApiV2Key": wechat.key},
    ):
        assert cage.see("refused PUT", operator.put("/api/option", changes, format="json")).status_code == 400
    broken = f'{{"WechatApiV2Key": "{wechat.key}", }}'
    cage.see("broken PUT", operator.put("/api/option", broken, content_type="application/json"))
    cage.see("GET option", operator.get("/api/option"))
    sign_in_by_wechat(cage, settings, api)
    Credential.objects.create(
        name="ark", base_url="https://ark.example.com/api/v3", api_key=hidden["model account's key"]
    )
    hidden["buyer's API key"] = create_api_key(User.objects.get(username="buyer"), "laptop")[1]

    # The buyer pays, at providers that answer well, badly, and with our own request.
    token = {"HTTP_AUTHORIZATION": "Bearer " + hidden["buyer's token"]}
    for merchant, gateway in ((wechat, "wechat"), (alipay, "alipay")):
        with ScriptedProvider(merchant, settings) as provider:
            body = {"amount": 10, "payment_method": gateway}
            url = f"/api/user/{gateway}/pay"
            order_no = cage.see("pay", api.post(url, body, format="json", **token)).json()["data"]["order_id"]
            for nonsense in (b"<html>500</html>", b"", b"<xml><return_code>FAIL</return_code></xml>", b'{"x":1}'):
                provider.answers = [nonsense]
                cage.see("pay", api.post(url, body, format="json", **token))
            for call in provider.calls:
                assert not GatewayCall.objects.filter(request__contains=call.fields["sign"]).exists()
            order = Order.objects.get(order_no=order_no)
            for notice in (
                merchant.notice(order, total_fee="1", total_amount="0.01"),
                merchant.notice(order),
                b"<xml>",
            ):
                kind = "text/xml" if gateway == "wechat" else "application/x-www-form-urlencoded"
                cage.see("notice", api.post(f"/api/{gateway}/notify", notice.decode(), content_type=kind))
            cage.see("order", api.get(f"/api/user/topup/orders/{order_no}", **token))
    for url in (
        "/api/user/self",
        "/api/user/topup/info",
        "/api/user/topup/orders",
        "/api/schema",
        "/healthz",
        "/nowhere",
    ):
        cage.see(url, api.get(url, **token))

    # The wrong encryption key: an error inside, with the ciphertext at hand.
    right = settings.SECRET_KEYS
    settings.SECRET_KEYS = [Fernet.generate_key().decode()]
    for url in ("/api/option", "/api/user/topup/info", WECHAT_PAGE, "/recharge"):
        cage.see(f"broken {url}", operator.get(url))
    broken_notice = cage.see("broken notice", api.post("/api/wechat/notify", "<xml/>", content_type="text/xml"))
    assert broken_notice.status_code >= 400
    settings.SECRET_KEYS = right
    browse_the_admin(cage, staff)
    return cage


def sign_in_by_wechat(cage: Cage, settings: Any, api: APIClient) -> None:
    """The app secret travels in an address: to a WeChat that answers, repeats it, breaks off, or is not there."""
    secret = cage.secrets["mini program secret"]
    said = {"openid": "o-canary", "session_key": cage.secrets["session key"], "unionid": ""}
    refused = {"errcode": 40013, "errmsg": f"invalid appid, secret={secret}"}
    for answer in (http(json.dumps(said).encode()), http(json.dumps(refused).encode()), http(secret.encode()), b"HTTP"):
        with FarSide(answer=lambda _seen, answer=answer: answer) as weixin:
            settings.WECHAT_API_BASE_URL = weixin.url
            reply = api.post("/api/auth/wx-login", {"code": "c"}, format="json")
            # A token is what the answer is for.
            cage.see("wx-login", reply.json() | {"token": ""})
            assert weixin.seen
            assert secret in weixin.seen[0].line
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"
    cage.see("wx-login in vain", api.post("/api/auth/wx-login", {"code": "c"}, format="json"))


def browse_the_admin(cage: Cage, staff: User) -> None:
    from django.contrib import admin

    browser = Client(raise_request_exception=False)
    browser.force_login(staff)
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        cage.see(base, browser.get(base, follow=True))
        for pk in model._default_manager.values_list("pk", flat=True)[:3]:
            cage.see(f"{base}{pk}/", browser.get(f"{base}{pk}/change/", follow=True))
            cage.see(f"{base}{pk}/history/", browser.get(f"{base}{pk}/history/", follow=True))
    hidden = cage.secrets
    for changes in (
        {"api_v2_key": hidden["refused WeChat key"], "current_password": hidden["operator's password"]},
        {"api_v2_key": hidden["WeChat API v2 key"], "current_password": hidden["wrong password"]},
        {"api_v2_key": hidden["WeChat API v2 key"], "current_password": hidden["operator's password"]},
        {"mch_id": "x", "client_key": cage.key},
    ):
        cage.see("the WeChat form", browser.post(WECHAT_PAGE, wechat_form() | changes, follow=True))
    for section in ("wechatsettings", "alipaysettings"):
        cage.see("the test button", browser.post(f"/admin/topup/{section}/test/", follow=True))
    cage.see("the test button", browser.post("/admin/accounts/miniprogramsettings/test/", follow=True))
    try_model_accounts(cage, browser)
    cage.see("the front page", browser.get("/admin/"))


def try_model_accounts(cage: Cage, browser: Client) -> None:
    """An account's form and its test button, with mistakes: nothing listens, the address is private, or has changed."""
    hidden, row = cage.secrets, Credential.objects.get()
    typed = {"enabled": "on", "name": "ark", "provider": "ark", "base_url": row.base_url, "timeout_s": "2"}
    typed |= {"api_key": "", "max_retries": "3", "retry_delay_ms": "1000", "probe_model": "ep-1"}
    new_key, password = hidden["typed model account's key"], hidden["operator's password"]
    for changes in (
        {"api_key": new_key, "current_password": hidden["wrong password"]},
        {"api_key": new_key, "base_url": "https://127.0.0.1/v1", "current_password": password},
        {"base_url": "https://other.example.com/v1"},
        {"api_key": new_key, "timeout_s": "x"},
    ):
        page = f"/admin/llm/credential/{row.pk}/"
        cage.see("an account's form", browser.post(f"{page}change/", typed | changes, follow=True))
        cage.see("an account's test", browser.post(f"{page}test/", typed | changes, follow=True))
        cage.see("a new account's test", browser.post("/admin/llm/credential/test/", typed | changes, follow=True))
    # As the environment would have it: trusted, and nobody there.
    Credential.objects.filter(pk=row.pk).update(base_url="http://127.0.0.1:9/v1", from_environment=True)
    cage.see("a vain test", browser.post(f"/admin/llm/credential/{row.pk}/test/", typed, follow=True))
    Credential.objects.filter(pk=row.pk).update(base_url=row.base_url, from_environment=False)


def wechat_form() -> dict[str, str]:
    """The settings form as it was loaded."""
    row = WeChatSettings.load()
    return {
        "enabled": "on" if row.enabled else "",
        "min_topup": str(row.min_topup),
        "app_id": row.app_id,
        "mch_id": row.mch_id,
        "sign_type": row.sign_type,
        "api_v2_key": "",
        "client_cert": "",
        "client_key": "",
    }


def test_J1_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    text = canary(40)
    secret = Secret(text)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>60}",
        "{}".format(secret),  # noqa: UP032
        repr([secret]),
        repr({"key": secret}),
    ]
    config = {"app_id": "wx8888888888888888", "mch_id": "1900000109"}
    shown.append(repr(WeChatConfig(api_key=text, **config)))
    shown.append(
        repr(AlipayConfig(app_id="2021000000000001", private_key=text, public_key=text, seller_id="2088102146225135"))
    )
    shown.append(serializers.serialize("json", [WeChatSettings(api_v2_key=secret), AlipaySettings(private_key=secret)]))
    shown += [repr(WeChatSettings(api_v2_key=secret)), str(WeChatSettings(api_v2_key=secret).__dict__)]
    assert not [line for line in shown if text[:8] in line or text[-8:] in line]
    assert secret.last4 == text[-4:]
    assert Secret("short").last4 == ""
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


@pytest.mark.django_db
def test_J1_what_is_stored_is_ciphertext_and_another_key_opens_nothing(settings: Any) -> None:
    text = canary()
    for section, field in (
        (WeChatSettings, "api_v2_key"),
        (WeChatSettings, "app_secret"),
        (AlipaySettings, "private_key"),
        (MiniProgramSettings, "app_secret"),
    ):
        row = section.load()
        setattr(row, field, Secret(text))
        row.save()
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT "{field}" FROM "{section._meta.db_table}"')
            stored = cursor.fetchone()[0]
        assert stored
        assert text not in stored
        assert Fernet(project.SECRET_KEYS[0]).decrypt(stored.encode()).decode() == text
        right, settings.SECRET_KEYS = settings.SECRET_KEYS, [Fernet.generate_key().decode()]
        with pytest.raises(SecretUnreadable):
            getattr(section.load(), field).reveal()
        # Saved by whoever cannot read it, it is not lost.
        section.load().save()
        settings.SECRET_KEYS = [Fernet.generate_key().decode(), *right]
        assert getattr(section.load(), field).reveal() == text
        settings.SECRET_KEYS = right


def test_J1_every_column_that_sounds_like_a_secret_is_encrypted() -> None:
    from django.apps import apps

    # A passkey's public key opens nothing: it only proves what the device signed.
    innocent = {"Passkey.public_key", "session_key", "idempotency_key", "key", "session_hash", "password", "digest"}
    # Whether, not which.
    innocent |= {"password_given"}
    for model in apps.get_models():
        if model._meta.app_label in ("sandbox", "sessions", "auth", "admin"):
            continue
        for field in model._meta.fields:
            name = f"{model.__name__}.{field.name}"
            sounds = re.search(r"secret|(^|_)key$|private|password|token$|_cert", field.name)
            if sounds and innocent.isdisjoint({field.name, name}):
                assert isinstance(field, EncryptedField), name


# --- J6: the password again ------------------------------------------------------------------------------------------
@pytest.fixture
def admin_browser(staff: User, wechat: WeChatMerchant) -> Client:
    """An operator's session as a thief finds it: signed in, the password typed long ago."""
    browser = Client()
    browser.force_login(staff)
    return browser


PASSWORD = "a long operator password"


def stored_key() -> str:
    return WeChatSettings.load().api_v2_key.reveal()


@pytest.mark.django_db
def test_J6_a_key_is_replaced_or_cleared_only_with_the_password(admin_browser: Client, wechat: WeChatMerchant) -> None:
    new = canary()
    User.objects.create_superuser("second", password="another long password")
    grave = [
        {"api_v2_key": new},
        {"api_v2_key_clear": "1", "enabled": ""},
        {"client_key": canary(100)},
        {"api_v2_key": wechat.key},
    ]
    for changes in grave:
        for password in (None, "", "wrong", "another long password"):
            typed = wechat_form() | changes | ({} if password is None else {"current_password": password})
            response = admin_browser.post(WECHAT_PAGE, typed)
            assert response.status_code == 200, changes
            assert stored_key() == wechat.key
            assert new not in response.content.decode()
    assert not WeChatSettings.load().client_key
    assert (
        admin_browser.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": new, "current_password": PASSWORD}).status_code
        == 302
    )
    assert stored_key() == new


@pytest.mark.django_db
def test_J6_switching_a_gateway_on_asks_too_and_small_things_do_not(
    admin_browser: Client, wechat: WeChatMerchant
) -> None:
    assert admin_browser.post(WECHAT_PAGE, wechat_form() | {"min_topup": "7"}).status_code == 302
    assert WeChatSettings.load().min_topup == 7
    off = {name: value for name, value in wechat_form().items() if name != "enabled"}
    assert admin_browser.post(WECHAT_PAGE, off).status_code == 302
    assert not WeChatSettings.load().enabled
    assert admin_browser.post(WECHAT_PAGE, wechat_form() | {"enabled": "on"}).status_code == 200
    assert not WeChatSettings.load().enabled
    assert (
        admin_browser.post(WECHAT_PAGE, wechat_form() | {"enabled": "on", "current_password": PASSWORD}).status_code
        == 302
    )
    assert WeChatSettings.load().enabled


@pytest.mark.rare
@pytest.mark.django_db
def test_J6_it_is_remembered_for_ten_minutes_in_this_session_only(admin_browser: Client, staff: User) -> None:
    keys = [canary() for _ in range(4)]
    assert (
        admin_browser.post(
            WECHAT_PAGE, wechat_form() | {"api_v2_key": keys[0], "current_password": PASSWORD}
        ).status_code
        == 302
    )
    assert admin_browser.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": keys[1]}).status_code == 302
    assert stored_key() == keys[1]
    thief = Client()
    thief.force_login(staff)
    assert thief.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": keys[2]}).status_code == 200
    session = admin_browser.session
    session["password_confirmed"] = (clock.now() - timedelta(minutes=10, seconds=1)).isoformat()
    session.save()
    assert admin_browser.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": keys[3]}).status_code == 200
    assert stored_key() == keys[1]


@pytest.mark.rare
@pytest.mark.django_db
def test_J6_the_password_cannot_be_guessed_there(admin_browser: Client, wechat: WeChatMerchant) -> None:
    new = canary()
    for _ in range(10):
        admin_browser.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": new, "current_password": secrets.token_hex(8)})
    response = admin_browser.post(WECHAT_PAGE, wechat_form() | {"api_v2_key": new, "current_password": PASSWORD})
    assert response.status_code == 200
    assert stored_key() == wechat.key


# --- J7, J8: what we are made of -------------------------------------------------------------------------------------
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z,0-9-]+\])?==[^\s;]+( ; .+)?")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_J7_every_dependency_is_pinned_and_hashed(name: str) -> None:
    text = (project.BASE_DIR / name).read_text().replace("\\\n", " ")
    entries = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(entries) > 20
    for entry in entries:
        requirement, *hashes = re.split(r"\s+--hash=", entry)
        assert REQUIREMENT.fullmatch(requirement.strip()), entry[:80]
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_J7_what_is_installed_is_what_is_pinned() -> None:
    from importlib.metadata import distributions

    def canonical(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    text = (project.BASE_DIR / "requirements-dev.txt").read_text()
    pinned = {
        canonical(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.M)
    }
    assert len(pinned) > 40
    tools = {"pip", "setuptools", "wheel", "uv"}
    installed = {canonical(found.metadata["Name"]): found.version for found in distributions(path=[site_packages()])}
    strangers = {
        name: version for name, version in installed.items() if pinned.get(name) != version and name not in tools
    }
    assert strangers == {}


def site_packages() -> str:
    import django

    return str(Path(django.__file__).parent.parent)


# A .pth file runs code at every start of Python (LiteLLM 1.82.7 was attacked so). These are setuptools' own.
KNOWN_PTH = {"distutils-precedence.pth": b"import os; var = 'SETUPTOOLS_USE_DISTUTILS'"}


def test_J7_nothing_runs_when_python_merely_starts() -> None:
    for path in Path(site_packages()).glob("*.pth"):
        assert path.name in KNOWN_PTH, path.name
        assert path.read_bytes().startswith(KNOWN_PTH[path.name])
        assert path.stat().st_size < 200
    for name in ("sitecustomize.py", "usercustomize.py"):
        assert not (Path(site_packages()) / name).exists()


@pytest.mark.rare
@pytest.mark.xdist_group("bandit")
def test_J8_bandit_finds_nothing_grave() -> None:
    assert [found for found in bandit()["results"] if found["issue_severity"] == "HIGH"] == []


# --- J9: starts that must be refused ---------------------------------------------------------------------------------
REFUSED = {
    "no SECRET_KEY": {"SECRET_KEY": None},
    "an empty SECRET_KEY": {"SECRET_KEY": " "},
    "no encryption keys": {"VOICEHELPER_SECRET_KEYS": None},
    "no address": {"SERVER_ADDRESS": None},
    "an address without TLS": {"SERVER_ADDRESS": "http://pay.example.com"},
    "an address that is none": {"SERVER_ADDRESS": "pay.example.com"},
    "the sandbox": {"SANDBOX": "True"},
    "an unknown mode": {"VOICEHELPER_MODE": "staging"},
    "no database": {"DATABASE_URL": None},
    "another database": {"DATABASE_URL": "sqlite:////tmp/x"},
    "no Redis": {"REDIS_URL": None},
    "a limit of payments that is none": {"PAY_RATE_LIMIT": "often"},
    "a limit of questions without a time": {"CHAT_RATE_LIMIT": "60"},
    "a limit of uploads in an unknown time": {"FILE_RATE_LIMIT": "60 per fortnight"},
    "a limit that lets nothing through": {"FILE_RATE_LIMIT": "0 per minute"},
    "two limits, of which one would count": {"CHAT_RATE_LIMIT": "60 per minute; 100 per hour"},
    "no threads for pages": {"WEB_THREADS": "0"},
    "threads for callbacks that are no number": {"NOTICE_THREADS": "many"},
    "less than no threads for files": {"FILE_THREADS": "-1"},
    "proxies that are no number": {"TRUSTED_PROXIES": "one"},
    "no time for headers": {"HEADER_SECONDS": "nan"},
    "calls that are no number": {"LLM_KEY_CONCURRENCY": "1e3"},
}


TRY_THEM = """
import json, os, sys
sound = dict(os.environ)
for changes in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update({name: value for name, value in (sound | changes).items() if value is not None})
    for module in ("voicehelper.settings", "voicehelper.variables"):
        sys.modules.pop(module, None)
    try:
        import voicehelper.settings
        print(json.dumps(""))
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def test_J9_production_does_not_start_with_a_setting_missing_or_wrong() -> None:
    run = production("-c", TRY_THEM, json.dumps([{}, *REFUSED.values()]))
    assert run.returncode == 0, run.stderr
    sound, *refusals = map(json.loads, run.stdout.splitlines())
    assert sound == ""
    for (name, changes), refusal in zip(REFUSED.items(), refusals, strict=True):
        assert refusal.startswith("ImproperlyConfigured"), name
        # It says what is wrong without showing what may be secret.
        assert next(iter(changes)) in refusal, name
        assert "nobody@" not in refusal, name
        # And how to mend it, where nonsense was written.
        written = next(iter(changes.values()))
        assert not written or "LIMIT" not in refusal or 'Write it like "' in refusal, name
        assert not written or "THREADS" not in refusal or "use a whole number of 1 or more" in refusal, name


@pytest.mark.rare
def test_J9_the_tls_that_the_databases_address_asks_for_is_asked_for_by_every_session() -> None:
    show = "import json; from voicehelper.postgres import _address; print(json.dumps(_address()))"
    asked = {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    run = production("-c", show, DATABASE_URL=f"postgres://nobody@127.0.0.1/none?{urlencode(asked)}")
    assert run.returncode == 0, run.stderr
    address = json.loads(run.stdout)
    assert asked.items() <= address.items()
    assert "lock_timeout=2s" in address["options"]


@pytest.mark.parametrize("password", ["p/a@s%s#w:o?r d$&+", *rarely("密码'\\\"")])
def test_J9_a_password_may_hold_any_character(password: str) -> None:
    show = (
        "import json, redis; from django.conf import settings; from voicehelper.postgres import _address;"
        " print(json.dumps([_address()['password'], settings.DATABASES['default']['PASSWORD'],"
        " redis.Redis.from_url(settings.REDIS_URL).get_connection_kwargs()['password'], _address()['host']]))"
    )
    parts = {"DATABASE_HOST": "db", "DATABASE_PASSWORD": password, "REDIS_HOST": "kv", "REDIS_PASSWORD": password}
    run = production("-c", show, **parts)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [password, password, password, "db"]


@pytest.mark.rare
def test_J9_only_commands_may_take_their_time_at_the_database() -> None:
    show = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['options'])"
    assert "statement_timeout=15s" in production("-c", show).stdout
    assert "statement_timeout=0s" in production("manage.py", "shell", "-v", "0", "-c", show).stdout


@pytest.mark.rare
def test_J9_debug_cannot_be_switched_on_from_outside() -> None:
    script = (
        "import voicehelper.settings as s;"
        " assert (s.DEBUG, s.SANDBOX, s.ALLOWED_HOSTS) == (False, False, ['pay.example.com'])"
    )
    run = production("-c", script, DEBUG="True", DJANGO_DEBUG="1", VOICEHELPER_DEBUG="1")
    assert run.returncode == 0, run.stderr


EXAMPLE_KEYS = [
    "change-me" * 8, "django-insecure-" + "a1B2c3D4e5" * 5, "secret", "x" * 60, "your-secret-key-" * 4, "abcabc" * 10,
]  # fmt: skip


@pytest.mark.parametrize("key", EXAMPLE_KEYS)
def test_J9_an_example_for_a_key_is_refused(key: str, settings: Any) -> None:
    settings.SECRET_KEY, settings.PRODUCTION = key, True
    assert [found.id for found in own_checks.check_secret_key(None)] == ["voicehelper.E001"]
    settings.SECRET_KEY = secrets.token_urlsafe(50)
    assert own_checks.check_secret_key(None) == []


@pytest.mark.parametrize(
    "keys", [["nonsense"], [Fernet.generate_key().decode(), "old"], ["a" * 44], [Fernet.generate_key().decode()[:-2]]]
)
def test_J9_a_key_that_encrypts_nothing_is_refused(keys: list[str], settings: Any) -> None:
    settings.SECRET_KEYS = keys
    assert [found.id for found in own_checks.check_encryption_keys(None)] == ["voicehelper.E002"]


def test_J9_debug_every_host_and_a_token_to_guess_are_refused(settings: Any) -> None:
    settings.PRODUCTION, settings.DEBUG, settings.ALLOWED_HOSTS, settings.METRICS_TOKEN = True, True, ["*"], "1234"
    found = own_checks.check_production(None)
    assert {each.id for each in found} == {"voicehelper.E003", "voicehelper.E004", "voicehelper.E007"}
    assert all(each.level >= checks.ERROR for each in found)


@pytest.mark.rare
def test_J9_the_deployment_check_stops_a_deployment() -> None:
    """The checks above are registered, and fail the command a deployment runs."""
    run = production("manage.py", "check", SECRET_KEY="change-me" * 8, ALLOWED_HOSTS="*", VOICEHELPER_SECRET_KEYS="old")
    assert run.returncode != 0
    for found in ("E001", "E002", "E004"):
        assert f"voicehelper.{found}" in run.stderr


@pytest.mark.rare
@pytest.mark.django_db
def test_J9_the_server_itself_refuses_to_start_with_what_the_checks_refuse(image: Image) -> None:
    """Not only the command: uvicorn imports this module and nothing else, and does so on its event loop."""
    start = "python -c 'import asyncio\nasync def main(): import voicehelper.asgi\nasyncio.run(main())'"
    refused = image.run(start, image.deployed(SECRET_KEY="change-me" * 8))
    assert refused.returncode != 0
    assert "voicehelper.E001" in refused.stderr
    started = image.run(start, image.deployed())
    assert started.returncode == 0, started.stderr


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["admin", "demo"])
def test_J9_a_production_database_that_knows_the_demos_passwords_is_refused(name: str, settings: Any) -> None:
    user = User.objects.create_user(name, password=name)
    call_command("check", databases=["default"])
    settings.PRODUCTION = True
    with pytest.raises(SystemCheckError, match="E006"):
        call_command("check", databases=["default"])
    user.set_password(secrets.token_urlsafe(20))
    user.save()
    assert own_checks.check_demo_accounts(None, databases=["default"]) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("version", "warned"), [(180_006, True), (180_007, False), (190_000, False)])
def test_J9_a_database_server_with_a_known_hole_is_warned_of(
    version: int, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "pg_version", version, raising=False)
    found = [each for each in checks.run_checks(databases=["default"]) if each.id == "voicehelper.W001"]
    assert (len(found), all("18.7" in each.msg for each in found)) == (warned, True)
    assert [each for each in checks.run_checks() if each.id == "voicehelper.W001"] == []


@pytest.mark.django_db
def test_J9_demo_data_is_not_made_in_production(settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError):
        call_command("seed_demo")
    settings.PRODUCTION, settings.SANDBOX = False, False
    with pytest.raises(CommandError):
        call_command("seed_demo")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_J9_nothing_inside_is_served(wechat: WeChatMerchant, buyer: User) -> None:
    pending_order(buyer, wechat)
    write_options({"Price": "7.3"})
    for path in (
        "/.git/config",
        "/.env",
        "/metrics",
        "/flower",
        "/debug",
        "/static/../voicehelper/settings.py",
        "/manage.py",
        "/static/..%2fmanage.py",
    ):
        response = Client().get(path)
        assert response.status_code == 404, path
        assert "SECRET" not in response.content.decode()
    assert set(Client().get("/healthz").json()) == {"database", "redis"}
