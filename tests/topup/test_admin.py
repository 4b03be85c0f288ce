"""The settings pages, as operators meet them."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.conftest import sampled
from tests.effects import agreed
from tests.merchants import WECHAT, AlipayMerchant, WeChatMerchant
from tests.operators import browser_of, clerk, errors
from topup.admin.preview import for_options, for_ratios
from topup.models import Notice, RechargeSettings
from topup.models.sections import AlipaySettings, WeChatSettings
from topup.services.options import write_options
from voicehelper.accounts.models import MiniProgramSettings, User

pytestmark = pytest.mark.django_db

PASSWORD = "a long operator password"
NEW_KEY = "Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La"
WECHAT_PAGE = "/admin/topup/wechatsettings/1/change/"
RECHARGE_PAGE = "/admin/topup/rechargesettings/1/change/"


def wechat_form(**changes: str) -> dict[str, str]:
    form = {"min_topup": "1", "app_id": WECHAT.app_id, "mch_id": WECHAT.mch_id, "sign_type": "HMAC-SHA256"}
    return form | {"api_v2_key": "", "client_cert": "", "client_key": ""} | changes


def recharge_form(**changes: Any) -> dict[str, Any]:
    form: dict[str, Any] = {"price": "7.3", "quota_per_unit": "500000", "display_type": "currency"}
    form |= {"amount_options_rows": "1", "amount_discounts_rows": "1", "amount_bonuses_rows": "1"}
    form |= {"group_ratios_rows": "1"}
    form |= {"server_address": "", "order_life_minutes": "30", "confirm_above": "1000", "current_password": PASSWORD}
    return form | changes


@pytest.mark.parametrize(
    "section", sampled(["topup/rechargesettings", "topup/wechatsettings", "accounts/miniprogramsettings"], keep=1)
)
def test_the_list_of_a_section_leads_to_its_form(browser: Client, section: str) -> None:
    response = browser.get(f"/admin/{section}/")
    assert response.headers["Location"] == f"/admin/{section}/1/change/"
    assert browser.get(response.headers["Location"]).status_code == 200
    assert browser.get(f"/admin/{section}/add/").status_code == 403
    assert browser.post(f"/admin/{section}/1/delete/", {"post": "yes"}).status_code == 403
    assert browser.get(f"/admin/{section}/2/change/").status_code == 302


def test_the_page_says_what_is_missing_and_then_that_it_works(browser: Client) -> None:
    assert "Off · still missing or wrong: App id" in browser.get(WECHAT_PAGE).text.replace("app id", "App id")
    WECHAT.configure()
    page = browser.get(WECHAT_PAGE).text
    assert f"On · no callback yet · key ····{WECHAT.key[-4:]}" in page
    Notice.objects.create(gateway="wechat", body="", verdict="credited")
    assert "On · last callback " in browser.get(WECHAT_PAGE).text


def test_a_server_address_without_a_scheme_is_taken_for_https(browser: Client) -> None:
    # Units and prices as the form has them, which is a change of its own the first time.
    asked = browser.post("/admin/topup/rechargesettings/1/change/", recharge_form())
    agreed = {"seen_effects": asked.context["adminform"].form.effects.mark, "sure": "on"}
    browser.post("/admin/topup/rechargesettings/1/change/", recharge_form(**agreed))
    for typed, kept in (
        ("pay.example.com", "https://pay.example.com"),
        ("pay.example.com:8443/base/", "https://pay.example.com:8443/base"),
        ("http://pay.example.com/", "http://pay.example.com"),
        ("支付.example.com", "https://支付.example.com"),
    ):
        answer = browser.post("/admin/topup/rechargesettings/1/change/", recharge_form(server_address=typed))
        assert answer.status_code == 302, answer.context["errors"]
        assert RechargeSettings.load().server_address == kept


def test_blank_keeps_a_key_and_the_switch_clears_it(browser: Client, wechat: WeChatMerchant) -> None:
    assert browser.post(WECHAT_PAGE, wechat_form(min_topup="5")).status_code == 302
    kept = WeChatSettings.load()
    assert (kept.api_v2_key.reveal(), kept.min_topup, kept.enabled) == (wechat.key, 5, False)
    form = wechat_form(api_v2_key_clear="1", current_password=PASSWORD)
    assert browser.post(WECHAT_PAGE, form).status_code == 302
    assert not WeChatSettings.load().api_v2_key


def test_switching_on_is_refused_at_the_field_and_nothing_is_saved(browser: Client) -> None:
    form = wechat_form(enabled="on", mch_id="abc", min_topup="9", api_v2_key=NEW_KEY, current_password=PASSWORD)
    response = browser.post(WECHAT_PAGE, form)
    assert list(errors(response)) == ["mch_id"]
    assert "Saving failed" in response.text
    row = WeChatSettings.load()
    assert (row.min_topup, bool(row.api_v2_key)) == (1, False)


def test_an_applications_own_key_is_not_taken_for_alipays(browser: Client, alipay: AlipayMerchant) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    own = alipay.app_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    form = {"enabled": "on", "min_topup": "1", "app_id": alipay.app_id, "seller_id": alipay.seller_id}
    form |= {"private_key": "", "public_key": own, "current_password": PASSWORD}
    response = browser.post("/admin/topup/alipaysettings/1/change/", form)
    assert list(errors(response)) == ["public_key"]
    assert AlipaySettings.load().enabled


def test_the_callback_address_is_the_one_the_provider_is_told(browser: Client, settings: Any) -> None:
    assert f"{settings.SERVER_ADDRESS}/api/wechat/notify" in browser.get(WECHAT_PAGE).text
    write_options({"ServerAddress": "https://pay.example.com"})
    assert "https://pay.example.com/api/wechat/notify" in browser.get(WECHAT_PAGE).text


# --- Test connection -------------------------------------------------------------------------------------------------
def test_the_test_says_what_is_missing_without_calling_anybody(browser: Client) -> None:
    page = browser.post("/admin/topup/wechatsettings/test/", follow=True).text
    assert "Nothing was called" in page
    assert "Enter the merchant number." in page
    assert "Nothing was called" not in browser.get(WECHAT_PAGE).text


def test_the_test_uses_what_is_saved_even_while_the_gateway_is_off(browser: Client, wechat: WeChatMerchant) -> None:
    write_options({"WechatEnabled": False})
    card = browser.post("/admin/topup/wechatsettings/test/", headers={"HX-Request": "true"}).text
    assert "http://127.0.0.1:9" in card
    assert "How to mend it" in card
    assert "<html" not in card
    assert "Test connection" in LogEntry.objects.get().change_message


def test_testing_wants_a_post_and_the_right_to_change(browser: Client) -> None:
    assert browser.get("/admin/topup/wechatsettings/test/").status_code == 405
    viewer = browser_of(clerk("view_wechatsettings"))
    assert viewer.post("/admin/topup/wechatsettings/test/").status_code == 403
    assert viewer.post(WECHAT_PAGE, wechat_form()).status_code == 403
    page = viewer.get(WECHAT_PAGE)
    assert page.status_code == 200
    assert 'name="api_v2_key"' not in page.text
    assert "Test connection" not in page.text


# --- Prices ----------------------------------------------------------------------------------------------------------
def test_rows_are_saved_as_the_shop_reads_them(browser: Client) -> None:
    form = recharge_form(
        amount_options_amount=["50", "10", "", "10"],
        amount_discounts_amount=["100", ""],
        amount_discounts_rate=["0.950", ""],
        amount_bonuses_amount=["500", "100", ""],
        amount_bonuses_bonus=["80", "10", ""],
        group_ratios_group=["default", "vip", ""],
        group_ratios_ratio=["1", "0.85", ""],
    )
    assert agreed(browser, RECHARGE_PAGE, form).status_code == 302
    row = RechargeSettings.load()
    assert row.amount_options == [10, 50]
    assert row.amount_discounts == {"100": "0.95"}
    assert row.amount_bonuses == {"100": "10", "500": "80"}
    assert row.group_ratios == {"default": "1", "vip": "0.85"}


def test_all_rows_can_be_removed(browser: Client) -> None:
    assert agreed(browser, RECHARGE_PAGE, recharge_form()).status_code == 302
    assert RechargeSettings.load().amount_discounts == {}
    assert RechargeSettings.load().amount_options == []


BAD_ROWS: list[tuple[str, dict[str, list[str]]]] = [
    ("amount_options", {"amount_options_amount": ["ten"]}),
    ("amount_options", {"amount_options_amount": ["0"]}),
    ("amount_discounts", {"amount_discounts_amount": ["100"], "amount_discounts_rate": ["1.5"]}),
    ("amount_discounts", {"amount_discounts_amount": ["100"], "amount_discounts_rate": ["1e-2x"]}),
    ("amount_discounts", {"amount_discounts_amount": ["100"], "amount_discounts_rate": [""]}),
    ("amount_discounts", {"amount_discounts_amount": ["9", "9"], "amount_discounts_rate": ["0.5", "0.6"]}),
    ("amount_bonuses", {"amount_bonuses_amount": ["100"], "amount_bonuses_bonus": ["0.5"]}),
    ("amount_bonuses", {"amount_bonuses_amount": ["9", "10"], "amount_bonuses_bonus": ["2", "1"]}),
    ("group_ratios", {"group_ratios_group": ["vip"], "group_ratios_ratio": ["-1"]}),
    ("group_ratios", {"group_ratios_group": ["<script>"], "group_ratios_ratio": ["nan"]}),
]


def test_a_bad_row_is_refused_and_shown_again(browser: Client) -> None:
    for field, rows in BAD_ROWS:
        response = browser.post(RECHARGE_PAGE, recharge_form(**rows))
        assert list(errors(response)) == [field], rows
        typed = next(iter(rows.values()))[0].replace("<", "&lt;").replace(">", "&gt;")
        assert f'value="{typed}"' in response.text


def test_a_price_is_shown_and_kept_exactly(browser: Client) -> None:
    assert 'value="7.3"' in browser.get(RECHARGE_PAGE).text
    assert agreed(browser, RECHARGE_PAGE, recharge_form(price="7.123456")).status_code == 302
    assert str(RechargeSettings.load().price) == "7.123456"
    assert "price" in errors(agreed(browser, RECHARGE_PAGE, recharge_form(price="0")))


def test_the_preview_is_what_will_be_charged() -> None:
    row = RechargeSettings.load()
    assert for_options(row)(("100",)) == ("¥693.50", "¥730.00")
    assert for_options(row)(("500",)) == ("¥3,650.00", "")
    assert for_options(row)(("ten",)) == ("", "")
    row.amount_bonuses = {"100": "10", "500": "1000"}
    assert for_options(row)(("100",)) == ("¥693.50, +10", "¥730.00")
    assert for_options(row)(("600",)) == ("¥4,380.00, +1,000", "")
    assert for_ratios(row)(("vip", "0.85")) == ("¥6.205", "")


def test_the_page_needs_no_script_to_add_a_row(browser: Client) -> None:
    page = re.sub(r"(?s)<template>.*?</template>", "", browser.get(RECHARGE_PAGE).text)
    assert page.count('name="group_ratios_ratio"') == len(RechargeSettings.load().group_ratios) + 3
    assert "<s>¥730.00</s> ¥693.50" in page


def test_the_mini_programs_secret_is_kept_like_the_others(browser: Client) -> None:
    page = "/admin/accounts/miniprogramsettings/1/change/"
    form = {"app_id": "wx1234567890abcdef", "app_secret": NEW_KEY}
    assert list(errors(browser.post(page, form))) == ["current_password"]
    assert browser.post(page, form | {"current_password": PASSWORD}).status_code == 302
    assert MiniProgramSettings.load().app_secret.reveal() == NEW_KEY
    assert NEW_KEY not in browser.get(page).text


def test_the_pages_speak_chinese(staff: User) -> None:
    page = browser_of(staff, "zh-hans").get(WECHAT_PAGE).text
    for text in (
        "微信支付配置",
        "商户号",
        "API v2密钥",
        "请输入微信支付商户号",
        "请输入微信支付API v2密钥",
        "保存配置",
    ):
        assert text in page
