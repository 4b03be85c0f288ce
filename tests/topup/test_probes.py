"""What "test connection" and saving prove: keys, seller, certificate, app secret, and whether callbacks reach us."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import translation

from sandbox.management.commands import open_sandbox_accounts
from tests.certificates import issue
from tests.conftest import sampled
from tests.far_side import FarSide, http
from tests.refunds import open_accounts, sandbox_server, speak_v3
from topup import services
from topup.models import GatewayCall, RechargeSettings
from topup.models.sections import AlipaySettings, WeChatSettings
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.net.probe import Probe

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"
ALIPAY, WECHAT = "/admin/topup/alipaysettings/1/change/", "/admin/topup/wechatsettings/1/change/"
OTHER_KEY = open_sandbox_accounts.key_pair()


@pytest.fixture(autouse=True)
def shop(settings: Any) -> Iterator[str]:
    with sandbox_server() as address, translation.override("en"):
        settings.WECHAT_API_BASE_URL = f"{address}/sandbox/weixin"
        settings.LANGUAGE_CODE = "en"
        open_accounts(address, settings)
        yield address


@pytest.fixture
def browser(staff: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(staff)
    return client


def posted(section: Any, **typed: Any) -> dict[str, Any]:
    """What the page of a section sends: what is stored, and what is typed. Secrets stay blank."""
    row = section.load()
    fields = {field.name: getattr(row, field.name) for field in row._meta.fields if field.name not in ("id", "updated")}
    kept = {name: ("on" if value is True else str(value)) for name, value in fields.items() if value is not False}
    blank = {name: "" for name, value in kept.items() if value == "••••"}
    return kept | blank | {"current_password": PASSWORD} | typed


def saved(browser: Client, address: str, form: dict[str, Any]) -> str:
    return browser.post(address, form, follow=True).text


# --- Test connection -------------------------------------------------------------------------------------------------
@pytest.mark.rare
@pytest.mark.parametrize("version", sampled(["v2", "v3"], keep=1))
def test_a_wrong_app_secret_and_a_certificate_that_is_broken_are_not_green(version: str) -> None:
    account = open_sandbox_accounts.wechat_account()
    if version == "v3":
        speak_v3()
    write_options({"WechatAppSecret": account["app_secret"]})
    assert services.open_gateway("wechat").probe().ok
    write_options({"WechatAppSecret": "0" * 32})
    probe = services.open_gateway("wechat").probe()
    assert (probe.ok, probe.told, "does not belong to this app id" in probe.message) == (False, True, True)
    write_options({"WechatAppSecret": None})
    if version == "v2":
        write_options({"WechatClientCert": account["client_cert"][:300]})
        probe = services.open_gateway("wechat").probe()
        assert (probe.ok, "from BEGIN to END" in probe.message, probe.hint) == (False, True, "")
        write_options({"WechatClientCert": None, "WechatClientKey": None})
        probe = services.open_gateway("wechat").probe()
        assert (probe.ok, "Refunds want the client certificate" in probe.message) == (True, True)


@pytest.mark.rare
def test_another_merchants_certificate_is_refused(browser: Client) -> None:
    others = issue("1900000999")
    page = saved(browser, WECHAT, posted(WeChatSettings, client_cert=others.pem, client_key=others.key))
    assert "merchant 1900000999" in page
    assert "1900000999" not in str(WeChatSettings.load().client_cert.reveal())


def test_a_seller_id_that_is_not_the_applications_is_not_green(shop: str) -> None:
    write_options({"AlipaySellerId": "2088000123456780"})
    probe = services.open_gateway("alipay").probe()
    assert (probe.ok, "refuses the seller id" in probe.hint) == (False, True)


def test_the_test_of_a_gateway_says_whether_callbacks_would_reach_us(browser: Client, shop: str) -> None:
    test = "/admin/topup/alipaysettings/test/"
    assert "callbacks would reach it" in browser.post(test, headers={"HX-Request": "true"}).text
    write_options({"ServerAddress": "http://127.0.0.1:9"})
    card = browser.post(test, headers={"HX-Request": "true"}).text
    assert "The connection works" in card
    assert "try the address from outside" in card


# --- The server's address --------------------------------------------------------------------------------------------
def reached(**options: Any) -> Probe:
    write_options(options)
    return services.reach_ourselves()


def test_the_server_address_is_called_as_a_platform_would(browser: Client, shop: str, settings: Any) -> None:
    card = browser.post("/admin/topup/rechargesettings/test/", headers={"HX-Request": "true"}).text
    assert "callbacks would reach it" in card
    assert f"{shop}/healthz" in card
    said = {"status": "301 Moved Permanently"}
    with FarSide(lambda _seen: http(b"{}", **said)) as side:
        probe = reached(ServerAddress=side.url)
        assert (probe.ok, "follow no redirect" in probe.hint) == (False, True)
        said["status"] = "200 OK"
        probe = reached(ServerAddress=side.url)
        assert (probe.ok, "Something else answers" in probe.message) == (False, True)
    settings.PRODUCTION = True
    assert "private network" in reached(ServerAddress="http://127.0.0.1:9").message
    assert len(side.seen) == 2


def test_P48d_a_chinese_domain_is_punycode_on_the_wire_and_as_typed_on_screen(browser: Client, buyer: User) -> None:
    write_options({"ServerAddress": "支付.example.com:8443/充值"})
    section = RechargeSettings.load()
    assert section.typed_address == "https://支付.example.com:8443/充值"
    assert section.address == "https://xn--bnq875c.example.com:8443/%E5%85%85%E5%80%BC"
    page = browser.get(ALIPAY).text
    assert ">https://支付.example.com:8443/充值/api/alipay/notify</code>" in page
    assert 'data-copy="https://xn--bnq875c.example.com:8443/%E5%85%85%E5%80%BC/api/alipay/notify"' in page


# --- Before it is saved ----------------------------------------------------------------------------------------------
def test_a_key_that_the_platform_refuses_is_saved_only_at_the_second_click(browser: Client) -> None:
    before = AlipaySettings.load().private_key.reveal()
    form = posted(AlipaySettings, private_key=OTHER_KEY[0])
    page = saved(browser, ALIPAY, form)
    assert AlipaySettings.load().private_key.reveal() == before
    for words in ("Nothing is saved yet", "does not belong to this private key", "Save all the same"):
        assert words in page
    assert "it need not be typed again" in page
    assert OTHER_KEY[0][:40] not in page
    # The key is not typed again.
    form = posted(AlipaySettings, _save_all_the_same="1")
    assert "Saved successfully" in saved(browser, ALIPAY, form)
    assert AlipaySettings.load().private_key.reveal() == OTHER_KEY[0]


def test_a_key_that_works_and_what_is_no_key_is_saved_at_once(browser: Client) -> None:
    right = open_sandbox_accounts.alipay_account()["private_key"]
    assert "Saved successfully" in saved(browser, ALIPAY, posted(AlipaySettings, private_key=right))
    write_options({"AlipayPublicKey": OTHER_KEY[1]})
    assert "Saved successfully" in saved(browser, ALIPAY, posted(AlipaySettings, min_topup="3"))


@pytest.mark.rare
def test_what_cannot_be_tried_out_is_saved_with_a_remark(browser: Client, settings: Any) -> None:
    settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9/gateway.do"
    page = saved(browser, ALIPAY, posted(AlipaySettings, private_key=OTHER_KEY[0]))
    assert "Saved without a test" in page
    assert AlipaySettings.load().private_key.reveal() == OTHER_KEY[0]


def test_without_the_right_to_change_nothing_is_tried_out(shop: str, buyer: User) -> None:
    buyer.is_staff = True
    buyer.save()
    client = Client()
    client.force_login(buyer)
    assert client.post(ALIPAY, posted(AlipaySettings, private_key=OTHER_KEY[0])).status_code == 403
    assert not GatewayCall.objects.exists()


@pytest.mark.rare
def test_one_wrong_secret_does_not_empty_the_others(browser: Client) -> None:
    right = open_sandbox_accounts.wechat_account()
    typed = {"client_cert": right["client_cert"], "client_key": right["client_key"], "app_secret": right["app_secret"]}
    page = saved(browser, WECHAT, posted(WeChatSettings, api_v2_key="too short", **typed))
    assert "exactly 32" in page
    assert page.count("it need not be typed again") == 3
    assert typed["app_secret"] not in page
    session = str(dict(browser.session.items()))
    assert typed["app_secret"] not in session
    assert "PRIVATE KEY" not in session
    page = saved(browser, WECHAT, posted(WeChatSettings, api_v2_key=right["api_key"]))
    assert "Saved successfully" in page
    assert WeChatSettings.load().app_secret.reveal() == typed["app_secret"]
    assert [entry for entry in LogEntry.objects.all() if "App secret: changed" in entry.change_message]


@pytest.mark.rare
def test_what_was_typed_is_forgotten_when_the_page_is_looked_at_anew(browser: Client) -> None:
    saved(browser, WECHAT, posted(WeChatSettings, api_v2_key="too short", app_secret="1" * 32))
    browser.get(WECHAT)
    saved(browser, WECHAT, posted(WeChatSettings, min_topup="2"))
    assert (WeChatSettings.load().min_topup, WeChatSettings.load().app_secret.reveal()) == (2, "")
