"""What the pages of operators log and tell about a save: what was changed, with old and new value, and nothing else."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from llm.models import Credential, Model
from llm.seeds import plant
from notifications.models import Alert, Channel
from tests.conftest import sampled
from tests.effects import agreed
from tests.merchants import WECHAT, WeChatMerchant
from topup.models import RechargeSettings
from topup.models.sections import WeChatSettings
from topup.services.options import write_options

pytestmark = pytest.mark.django_db

PASSWORD = "a long operator password"
NEW_KEY = "Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La"
RECHARGE = "/admin/topup/rechargesettings/1/change/"
WECHAT_PAGE = "/admin/topup/wechatsettings/1/change/"


def as_shown(browser: Client, page: str) -> dict[str, list[str]]:
    """What a browser would send back when nothing was touched: the page's own inputs."""
    text = re.sub(r"(?s)<template>.*?</template>", "", browser.get(page).text)
    form = re.search(r'(?s)<form method="post" id="\w+_form".*?</form>', text)
    assert form, page
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"(?s)<input\b.*?>", form[0]):
        name, kind = re.search(r'\bname="([^"]+)"', tag), re.search(r'\btype="([^"]+)"', tag)
        value = re.search(r'\bvalue="([^"]*)"', tag)
        ticked = not kind or kind[1] not in ("checkbox", "radio") or re.search(r"\schecked[\s=>]", tag)
        if name and ticked and (not kind or kind[1] not in ("submit", "button")):
            sent.setdefault(name[1], []).append(value[1] if value else "on" if kind and kind[1] == "checkbox" else "")
    for name, body in re.findall(r'(?s)<textarea name="([^"]+)".*?>(.*?)</textarea>', form[0]):
        sent.setdefault(name, []).append(body.strip())
    for name, body in re.findall(r'(?s)<select name="([^"]+)".*?>(.*?)</select>', form[0]):
        options = re.findall(r'(?s)<option value="([^"]*)"([^>]*)>', body)
        chosen = [value for value, rest in options if re.search(r"\bselected\b", rest)]
        sent.setdefault(name, []).extend(chosen or [value for value, _rest in options[:1]])
    return sent


def saved(browser: Client, page: str, **changes: Any) -> None:
    response = agreed(browser, page, as_shown(browser, page) | changes)
    assert response.status_code == 302, response.context["adminform"].form.errors


def messages() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


@pytest.fixture
def rows(wechat: WeChatMerchant) -> list[str]:
    """The pages of rows as they are in use."""
    plant(Model)
    write_options({"AmountDiscount": {"100": 0.95, "500": "0.9"}, "AmountBonus": {"10": 1}, "Price": "6.660000"})
    write_options({"ConfirmAbove": "1000.00", "TopupGroupRatio": {"default": 1, "vip": "0.850000"}})
    account = Credential.objects.create(name="ark", base_url="https://ark.example.com/api/v3", api_key="k" * 20)
    model = Model.objects.get(name="doubao-pro")
    Model.objects.filter(pk=model.pk).update(input_price="0.100000", output_price=None)
    model.fallbacks.add(Model.objects.get(name="doubao-lite"))
    options = {"host": "smtp.example.com", "port": 587, "security": "starttls", "username": "", "sender_name": "VH"}
    options |= {"sender": "a@example.com", "recipients": ["b@example.com", "c@example.com"]}
    mail = Channel.objects.create(kind="email", name="mail", options=options)
    options = {"key_id": "LTAI1", "sign_name": "VH", "template": "SMS_1", "most": 35, "phones": ["13800138000"]}
    options |= {"patterns": [["title", "{title}"], ["time", "{time}"]]}
    text = Channel.objects.create(kind="sms_aliyun", name="text", options=options, secret="s" * 20)
    return [
        RECHARGE,
        WECHAT_PAGE,
        "/admin/topup/alipaysettings/1/change/",
        "/admin/accounts/miniprogramsettings/1/change/",
        f"/admin/llm/credential/{account.pk}/change/",
        f"/admin/llm/model/{model.pk}/change/",
        f"/admin/notifications/channel/{mail.pk}/change/",
        f"/admin/notifications/channel/{text.pk}/change/",
    ]


def test_a_page_saved_as_it_is_logs_nothing_and_tells_nobody(browser: Client, rows: list[str]) -> None:
    for page in rows:
        saved(browser, page)
        assert (page, messages()) == (page, [])
    assert not Alert.objects.exists()


@pytest.mark.rare
def test_one_field_changed_logs_just_that_field_with_both_values(browser: Client, rows: list[str]) -> None:
    saved(browser, RECHARGE, confirm_above="88.8")
    saved(browser, WECHAT_PAGE, min_topup="5")
    saved(browser, rows[5], quality="0.5")
    saved(browser, rows[6], recipients="b@example.com")
    assert messages() == [
        "Confirm above (yuan): 1000 → 88.8",
        "Minimum recharge: 1 → 5",
        "Quality score: 0.92 → 0.5",
        "Options (recipients): b@example.com, c@example.com → b@example.com",
    ]


@pytest.mark.rare
def test_a_price_changed_is_logged_alone_with_both_values_and_told(browser: Client, rows: list[str]) -> None:
    refused = browser.post(RECHARGE, as_shown(browser, RECHARGE) | {"price": "0.01"})
    assert list(refused.context["adminform"].form.errors) == ["current_password"]
    assert (RechargeSettings.load().price, messages()) == (Decimal("6.66"), [])
    saved(browser, RECHARGE, price="0.01", current_password=PASSWORD)
    assert messages() == ["Price: 6.66 → 0.01"]
    alert = Alert.objects.get()
    assert (alert.event, alert.level, alert.content) == ("settings_changed", "warning", "价格（元/份）: 6.66 → 0.01")
    assert alert.title == "operator 修改了充值设置：价格（元/份）"


TABLES = [
    ("amount_discounts_rate", ["0.95", "0.8"], "Amount discounts (500): 0.9 → 0.8"),
    ("amount_bonuses_bonus", ["2"], "Amount bonuses (10): 1 → 2"),
    ("group_ratios_ratio", ["1", "0.5"], "Group ratios (vip): 0.85 → 0.5"),
    ("quota_per_unit", "600000", "Quota per unit: 500000 → 600000"),
    ("approve_refunds_above", "5000", "Approve refunds above (yuan): 1000 → 5000"),
]


@pytest.mark.parametrize(("name", "value", "logged"), sampled(TABLES, keep=2), ids=lambda value: str(value)[:24])
def test_ratios_discounts_and_bonuses_want_the_password_and_are_logged_row_by_row(
    browser: Client, rows: list[str], name: str, value: Any, logged: str
) -> None:
    refused = browser.post(RECHARGE, as_shown(browser, RECHARGE) | {name: value})
    assert list(refused.context["adminform"].form.errors) == ["current_password"]
    saved(browser, RECHARGE, **{name: value, "current_password": PASSWORD})
    assert messages() == [logged]


def test_a_merchant_number_wants_the_password_on_its_page(browser: Client, wechat: WeChatMerchant) -> None:
    form = as_shown(browser, WECHAT_PAGE) | {"mch_id": "1900000110"}
    assert list(browser.post(WECHAT_PAGE, form).context["adminform"].form.errors) == ["current_password"]
    assert WeChatSettings.load().mch_id == wechat.mch_id
    saved(browser, WECHAT_PAGE, mch_id="1900000110", api_v2_key=NEW_KEY, current_password=PASSWORD)
    assert messages() == [f"Merchant number: {WECHAT.mch_id} → 1900000110; API v2 key: changed"]
    assert NEW_KEY not in Alert.objects.get().content


def test_the_price_of_a_model_wants_the_password_is_logged_and_told(browser: Client, rows: list[str]) -> None:
    page = rows[5]
    shown = as_shown(browser, page)
    assert [shown[f"price_rows_{name}"][:2] for name in ("kind", "price")] == [["input", "output"], ["0.1", "0.1"]]
    for changes in ({"price_rows_price": ["0", "0.1"]}, {"price_rows_cost": ["0.01", ""]}, {"cost_per_1k": "0"}):
        refused = browser.post(page, as_shown(browser, page) | changes)
        assert list(refused.context["adminform"].form.errors) == ["current_password"], changes
    saved(browser, page, price_rows_price=["0.2", "0.4"], price_rows_cost=["", "0.3"], current_password=PASSWORD)
    assert messages() == [
        "Price by kind (Input): 0.1 / 1,000 → 0.2 / 1,000; Price by kind (Output): 0.1 / 1,000 → 0.4 / 1,000 (cost 0.3)"
    ]
    assert Alert.objects.get().title == "operator 修改了模型 doubao-pro：分项价格 (输入)、分项价格 (输出)"


@pytest.mark.rare
def test_fallbacks_are_logged_by_name_and_in_order(browser: Client, rows: list[str]) -> None:
    lite, four = (str(Model.objects.get(name=name).pk) for name in ("doubao-lite", "gpt-4"))
    saved(browser, rows[5], fallbacks=[four, lite, "", ""])
    saved(browser, rows[5], fallbacks=[lite, four, "", ""])
    assert messages() == [
        "Fallbacks: doubao-lite → gpt-4, doubao-lite",
        "Fallbacks: gpt-4, doubao-lite → doubao-lite, gpt-4",
    ]


def test_the_switch_in_the_list_of_models_is_logged(browser: Client) -> None:
    plant(Model)
    page = "/admin/llm/model/"
    rows = list(Model.objects.order_by("provider", "name"))
    form = {"form-TOTAL_FORMS": str(len(rows)), "form-INITIAL_FORMS": str(len(rows)), "_save": "1"}
    form |= {f"form-{number}-id": str(row.pk) for number, row in enumerate(rows)}
    form |= {f"form-{number}-enabled": "on" for number, row in enumerate(rows) if row.enabled and number}
    assert browser.post(page, form).status_code == 302
    assert messages() == ["Enabled: On → Off"]


def test_a_new_account_with_a_key_is_told(browser: Client) -> None:
    typed = {"enabled": "on", "name": "ark", "provider": "ark", "base_url": "", "api_key": NEW_KEY, "timeout_s": "30"}
    typed |= {"max_retries": "3", "retry_delay_ms": "1000", "current_password": PASSWORD}
    assert browser.post("/admin/llm/credential/add/", typed).status_code == 302
    assert messages() == ["Added."]
    alert = Alert.objects.get()
    assert alert.level == "warning"
    assert NEW_KEY not in alert.title + alert.content
