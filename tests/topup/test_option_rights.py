"""Who may change the settings, by which door ever: permission per section, the password, the log and the alert."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from notifications.models import Alert
from tests.conftest import rarely, sampled
from tests.merchants import WECHAT, AlipayMerchant, WeChatMerchant
from tests.operators import PASSWORD, clerk
from topup.models import RechargeSettings
from topup.models.sections import AlipaySettings, WeChatSettings
from topup.services.options import read_options, write_options
from voicehelper.accounts.models import MiniProgramSettings, User

pytestmark = pytest.mark.django_db

NEW_KEY = "Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La"


def by_session(user: User) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


def put(client: APIClient, changes: Any, password: Any = PASSWORD) -> Any:
    body = changes | ({} if password is None else {"CurrentPassword": password})
    return client.put("/api/option", json.dumps(body), content_type="application/json")


@pytest.fixture(params=["token", *rarely("session")])
def door(request: Any, as_user: Callable[..., APIClient]) -> Callable[[User], APIClient]:
    return as_user if request.param == "token" else by_session


# --- N1, J2: permissions ---------------------------------------------------------------------------------------------
def test_N1_staff_without_a_permission_reads_and_changes_nothing(
    door: Any, wechat: WeChatMerchant, caplog: pytest.LogCaptureFixture
) -> None:
    before, client = read_options(), door(clerk())
    asked = client.get("/api/option")
    assert asked.status_code == 403
    assert wechat.mch_id not in asked.content.decode()
    for changes in (
        {"Price": 1},
        {"WechatApiV2Key": NEW_KEY},
        {"WechatMinTopUp": 3},
        {"AlipayEnabled": True},
        {"MiniProgramAppId": "wx1234567890abcdef"},
        {"NoSuchOption": 1},
        {},
    ):
        answer = put(client, changes)
        assert answer.status_code == 403, changes
        assert answer.json() == {"success": False, "message": "您无权执行此操作"}
    assert read_options() == before
    assert not LogEntry.objects.exists()
    assert not Alert.objects.exists()
    assert any("helper" in record.getMessage() for record in caplog.records)


def test_N1_a_permission_for_one_section_is_none_for_another(door: Any, wechat: WeChatMerchant) -> None:
    client = door(clerk("change_rechargesettings", "view_wechatsettings"))
    before = read_options()
    for changes in (
        {"Price": "9", "WechatMinTopUp": 3},
        {"WechatMinTopUp": 3},
        {"AlipayMinTopUp": 3},
        {"MiniProgramAppId": "wx1234567890abcdef", "OrderLifeMinutes": 20},
    ):
        assert put(client, changes).status_code == 403, changes
    assert read_options() == before
    assert not LogEntry.objects.exists()
    assert put(client, {"Price": "9", "OrderLifeMinutes": 20}).status_code == 200
    assert RechargeSettings.load().price == 9


def test_J2_one_reads_the_sections_one_may_see_and_no_other(door: Any, wechat: WeChatMerchant) -> None:
    client = door(clerk("change_rechargesettings", "view_wechatsettings"))
    for answer in (client.get("/api/option"), put(client, {"OrderLifeMinutes": 20})):
        names = set(answer.json()["data"])
        assert {"Price", "ConfirmAbove", "WechatMchId", "WechatApiV2KeySet"} <= names
        assert not [name for name in names if name.startswith(("Alipay", "MiniProgram"))]


def test_permissions_do_not_make_a_user_staff(buyer: User, door: Any, as_user: Callable[..., APIClient]) -> None:
    buyer.user_permissions.set(Permission.objects.filter(codename="change_rechargesettings"))
    for client, status, words in ((as_user(None), 401, "请先登录"), (door(buyer), 403, "您无权执行此操作")):
        for answer in (client.get("/api/option"), put(client, {"OrderLifeMinutes": 20}, "a long buyer password")):
            assert (answer.status_code, answer.json()) == (status, {"success": False, "message": words})


# --- The password ----------------------------------------------------------------------------------------------------
SENSITIVE: list[dict[str, Any]] = [
    {"Price": "0.01"},
    {"QuotaPerUnit": 5_000_000},
    {"AmountDiscount": {"100": "0.01"}},
    {"AmountDiscount": {}},
    {"AmountBonus": {"10": 1000}},
    {"TopupGroupRatio": {"default": "0.01"}},
    {"WechatApiV2Key": NEW_KEY},
    {"WechatApiV2Key": WECHAT.key},
    {"WechatEnabled": False, "WechatApiV2Key": None},
    {"WechatAppSecret": NEW_KEY},
    {"WechatMchId": "1900000110"},
    {"WechatAppId": "wx9999999999999999"},
    {"AlipayAppId": "2021000000000009"},
    {"AlipaySellerId": "2088000000000009"},
    {"AlipaySandbox": True},
    {"MiniProgramAppId": "wx1234567890abcdef"},
    {"MiniProgramAppSecret": NEW_KEY},
]


@pytest.mark.parametrize("changes", sampled(SENSITIVE, keep=4), ids=lambda changes: "+".join(changes))
def test_N5_a_stolen_token_changes_no_key_price_or_merchant(
    changes: dict[str, Any], staff: User, as_user: Any, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    client, key, options = as_user(staff), WeChatSettings.load().api_v2_key.reveal(), read_options()
    for password in (None, "", "wrong", 7, ["a long operator password"], {}):
        # Not even what is harmless in the same request.
        answer = put(client, changes | {"WechatMinTopUp": 9}, password)
        assert answer.status_code == 403, password
        assert answer.json()["success"] is False
    assert read_options() == options
    assert WeChatSettings.load().api_v2_key.reveal() == key
    assert not LogEntry.objects.exists()
    assert not Alert.objects.exists()
    assert put(client, changes).status_code == 200


def test_switching_a_gateway_on_wants_the_password_and_off_does_not(
    staff: User, door: Any, wechat: WeChatMerchant
) -> None:
    client = door(staff)
    assert put(client, {"WechatEnabled": False}, None).status_code == 200
    refused = put(client, {"WechatEnabled": True}, None)
    assert (refused.status_code, refused.json()["message"]) == (403, "请输入您自己的密码，以确认此次修改。")
    assert not WeChatSettings.load().enabled
    assert put(client, {"WechatEnabled": True}).status_code == 200
    assert WeChatSettings.load().enabled


def test_the_password_of_another_operator_does_not_do(staff: User, door: Any) -> None:
    User.objects.create_superuser("second", password="another long password")
    assert put(door(staff), {"Price": "9"}, "another long password").status_code == 403
    assert RechargeSettings.load().price == Decimal("7.3")


def test_what_is_harmless_or_unchanged_wants_no_password(
    staff: User, door: Any, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    client = door(staff)
    harmless = {"WechatMinTopUp": 3, "OrderLifeMinutes": 20, "AmountOptions": [1, 2], "ConfirmAbove": "88.80"}
    assert put(client, harmless | {"ServerAddress": "https://pay.example.com"}, None).status_code == 200
    read = client.get("/api/option").json()["data"]
    sent_back = {name: value for name, value in read.items() if not name.endswith(("Set", "Last4"))}
    logged = LogEntry.objects.count()
    assert put(client, sent_back | {"Price": "7.3000"}, None).status_code == 200
    assert LogEntry.objects.count() == logged


def test_the_ten_minutes_of_the_admins_session_do_not_count_here(staff: User, wechat: WeChatMerchant) -> None:
    client = by_session(staff)
    form = {"enabled": "on", "min_topup": "1", "app_id": WECHAT.app_id, "mch_id": WECHAT.mch_id}
    form |= {"sign_type": "HMAC-SHA256", "api_v2_key": NEW_KEY, "current_password": PASSWORD}
    assert client.post("/admin/topup/wechatsettings/1/change/", form).status_code == 302
    assert put(client, {"Price": "9"}, None).status_code == 403


def test_N5_the_password_cannot_be_guessed_there(staff: User, door: Any) -> None:
    client = door(staff)
    answers = [put(client, {"Price": "9"}, f"guess {number}").status_code for number in range(10)]
    assert answers == [403] * 10
    braked = put(client, {"Price": "9"})
    assert braked.status_code == 429
    assert int(braked.headers["Retry-After"]) > 0
    assert RechargeSettings.load().price == Decimal("7.3")
    # The same brake as at the door: neither lends the other more tries.
    sign_in = {"username": "operator", "password": PASSWORD}
    assert APIClient().post("/api/auth/login", sign_in, format="json").status_code == 429


def test_a_mistake_is_named_before_the_password_is_asked_and_an_unknown_name_is_400(staff: User, door: Any) -> None:
    client = door(staff)
    for changes in ({"Price": "x"}, {"WechatEnabled": True}, {"NoSuchOption": 1}, {"currentpassword": PASSWORD}):
        assert put(client, changes | {"OrderLifeMinutes": 20}, None).status_code == 400, changes
    assert RechargeSettings.load().order_life_minutes == 30
    assert LogEntry.objects.count() == Alert.objects.count() == 0


# --- The log and the alert -------------------------------------------------------------------------------------------
def test_each_change_is_logged_with_old_and_new_value_and_told(
    staff: User, door: Any, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    client = door(staff)
    client.credentials(**client._credentials, HTTP_ACCEPT_LANGUAGE="en")
    changes = {"Price": "9", "AmountDiscount": {"100": "0.9"}, "OrderLifeMinutes": 30, "WechatMchId": "1900000110"}
    assert put(client, changes | {"WechatApiV2Key": NEW_KEY}).status_code == 200
    entries = {entry.get_edited_object(): entry for entry in LogEntry.objects.all()}
    assert {type(row) for row in entries} == {RechargeSettings, WeChatSettings}
    assert {entry.user for entry in entries.values()} == {staff}
    texts = {type(row): entry.get_change_message() for row, entry in entries.items()}
    assert texts[RechargeSettings] == "Price: 7.3 → 9; Amount discounts (100): 0.95 → 0.9"
    assert texts[WeChatSettings] == f"Merchant number: {wechat.mch_id} → 1900000110; API v2 key: changed"
    alerts = list(Alert.objects.order_by("pk"))
    assert [(alert.event, alert.level) for alert in alerts] == [("settings_changed", "warning")] * 2
    assert alerts[0].title == "operator 修改了充值设置：价格（元/份）、数量折扣 (100)"
    assert alerts[0].content == "价格（元/份）: 7.3 → 9\n数量折扣 (100): 0.95 → 0.9"
    told = "".join(alert.title + alert.content for alert in alerts) + "".join(texts.values())
    assert NEW_KEY not in told
    assert NEW_KEY[-4:] not in told
    assert PASSWORD not in told


def test_every_further_change_is_told_anew_and_a_small_one_as_news(staff: User, as_user: Any) -> None:
    client = as_user(staff)
    for price in ("9", "10", "11"):
        assert put(client, {"Price": price}).status_code == 200
    assert put(client, {"OrderLifeMinutes": 20}, None).status_code == 200
    told = list(Alert.objects.order_by("pk").values_list("event", "level", "count"))
    assert told == [("settings_changed", "warning", 1)] * 3 + [("settings_changed", "info", 1)]


def test_clearing_a_secret_and_switching_off_are_logged_in_words(
    staff: User, as_user: Any, wechat: WeChatMerchant
) -> None:
    client = as_user(staff)
    client.credentials(**client._credentials, HTTP_ACCEPT_LANGUAGE="en")
    assert put(client, {"WechatEnabled": False, "WechatApiV2Key": None}).status_code == 200
    assert LogEntry.objects.get().get_change_message() == "Enabled: On → Off; API v2 key: cleared"


def test_who_changes_settings_from_the_inside_is_asked_nothing() -> None:
    write_options({"Price": "9", "MiniProgramAppSecret": NEW_KEY})
    assert MiniProgramSettings.load().app_secret.reveal() == NEW_KEY
    assert not LogEntry.objects.exists()
    assert not AlipaySettings.load().enabled
