"""Siblings of the incidents in what people type and programs repeat: codes, settings, addresses, quotes, keys."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from rest_framework.test import APIClient

from tests.faults.scripted import ScriptedProvider
from tests.merchants import AlipayMerchant, WeChatMerchant
from topup import services
from topup.models import CodeBatch, MerchantAccount, Order, RechargeSettings, RedemptionCode
from topup.models.sections import AlipaySettings, WeChatSettings
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db

# --- Codes -----------------------------------------------------------------------------------------------------------
CODE = "0123-4567-89AB-CDEF"
TYPED = {
    "a link in Markdown": f"[兑换](https://pay.example.cn/redeem?code={CODE})",
    "bold in Markdown": f"**{CODE}**",
    "an object of JSON": json.dumps({"code": CODE, "quota": 500000}),
    "a line of CSV": f"vip,{CODE},500000,2026-12-31",
    "quoted in a mail": "> 您的兑换码：\n> 0123-4567-\n> 89AB-CDEF\n",
    "a phone number in front": f"13800138000 {CODE}",
    "tabs": "0123\t4567\t89AB\tCDEF",
    "lines of a card": "0123\n4567\n89AB\nCDEF\n",
    "underlines": "0123_4567_89AB_CDEF",
    "slashes": "0123/4567/89AB/CDEF",
    "plus signs of a form": "code=0123+4567+89AB+CDEF",
    "thin and wide blanks": "0123\u20094567\u200389AB\u202fCDEF",
    "letters for digits": "oi23-4567-89ab-cdef",
    "a small l": "0l23-4567-89AB-CDEF",
    "letters of mathematics": "𝟎𝟏𝟐𝟑-𝟒𝟓𝟔𝟕-𝟖𝟗𝐀𝐁-𝐂𝐃𝐄𝐅",
    "letters in circles": "⓪①②③-④⑤⑥⑦-⑧⑨ⒶⒷ-ⒸⒹⒺⒻ",
    "keys of emoji": "0️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣9️⃣ABCDEF",
    "from right to left": f"\u202e\u200f{CODE}\u202c",
    "twice": f"{CODE}\n{CODE}",
    "how many behind it": f"兑换码：{CODE}（共1个）",
    "a price in front": "20元 0123 4567 89AB CDEF",
    "a card number in front": f"卡号：88001234 密码：{CODE}",
    "a tag": f"<b>{CODE}</b>",
    "a title and a code": f"VIP - {CODE}",
    "wave dashes": "0123〜4567～89AB〜CDEF",
    "katakana's long mark": "0123ー4567ー89ABーCDEF",
    "a line for dashes": "0123─4567─89AB─CDEF",
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_K_a_code_counts_however_somebody_has_passed_it_on(
    name: str, buyer: User, as_user: Callable[[User], APIClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedemptionCode, "new_text", staticmethod(lambda: "0123456789ABCDEF"))
    services.make_codes(CodeBatch(name="x", quota=500_000, count=1), by="test")
    answer = as_user(buyer).post("/api/user/topup", {"key": TYPED[name]}, format="json")
    assert (answer.status_code, wallet_of(buyer).balance) == (200, 500_000), answer.content


# --- Settings --------------------------------------------------------------------------------------------------------
WECHAT, ALIPAY = WeChatMerchant(), AlipayMerchant()
MARKED = {
    "WechatMchId": "\ufeff1900000109\u200b", "WechatAppId": "\u200ewx8888888888888888\u200f",
    "WechatApiV2Key": f"{WECHAT.key}\u200b\n", "AlipayAppId": "2021\u200b000000000001", "AlipaySellerId":
    "\u20602088102146225135\u00a0",
}  # fmt: skip


@pytest.fixture
def operator(staff: User, as_user: Callable[[User], APIClient]) -> APIClient:
    return as_user(staff)


def put(operator: APIClient, changes: dict[str, Any]) -> Any:
    body = changes | {"CurrentPassword": "a long operator password"}
    return operator.put("/api/option", json.dumps(body), content_type="application/json")


def test_K12_settings_lose_what_nobody_sees_of_what_was_pasted(operator: APIClient, alipay: AlipayMerchant) -> None:
    answer = put(operator, MARKED | {"WechatEnabled": True, "WechatClientCert": None, "WechatClientKey": None})
    assert answer.status_code == 200, answer.content
    wechat, kept = WeChatSettings.load(), AlipaySettings.load()
    assert (wechat.mch_id, wechat.app_id, wechat.api_v2_key.reveal()) == (WECHAT.mch_id, WECHAT.app_id, WECHAT.key)
    assert (kept.app_id, kept.seller_id) == (alipay.app_id, alipay.seller_id)
    assert MerchantAccount.objects.filter(gateway="alipay").count() == 1, "no other account by a mark nobody sees"


def test_K12_the_page_of_settings_does_as_well(staff: User, alipay: AlipayMerchant) -> None:
    browser = Client(headers={"Accept-Language": "en"})
    browser.force_login(staff)
    form = {
        "enabled": "on",
        "min_topup": "1",
        "app_id": "\ufeff2021000000000001",
        "seller_id": "2088102146225135\u200b",
    }
    answer = browser.post("/admin/topup/alipaysettings/1/change/", form, follow=True)
    assert "errornote" not in answer.text
    assert (AlipaySettings.load().app_id, AlipaySettings.load().seller_id) == (alipay.app_id, alipay.seller_id)
    assert MerchantAccount.objects.filter(gateway="alipay").count() == 1


ADDRESSES = {
    "https：//pay.example.com": "https://pay.example.com",
    "https:／／pay．example．com／": "https://pay.example.com",
    "https://pay。example。com": "https://pay.example.com",
    "\u200bhttps://pay.example.com\ufeff": "https://pay.example.com",
    " pay.example.com/ ": "https://pay.example.com",
    "https://支付.example.com": "https://支付.example.com",
    "https://pay.example.com：8443/": "https://pay.example.com:8443",
    "https://pay.example.com/shop/": "https://pay.example.com/shop",
}


@pytest.mark.parametrize("typed", ADDRESSES)
def test_P48d_an_address_is_what_was_meant_whatever_keyboard_wrote_it(typed: str, operator: APIClient) -> None:
    assert put(operator, {"ServerAddress": typed}).status_code == 200
    assert RechargeSettings.load().server_address == ADDRESSES[typed]


@pytest.mark.parametrize("typed", ["https：//pay.example.com/？a=1", "ｊａｖａｓｃｒｉｐｔ：//x", "https://"])
def test_P48d_what_is_no_address_is_none_in_full_width_either(typed: str, operator: APIClient) -> None:
    assert put(operator, {"ServerAddress": typed}).status_code == 400


# --- Quotes ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def scripted(wechat: WeChatMerchant, settings: Any) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(wechat, settings) as provider:
        yield provider


def pay(client: APIClient, key: str = "", **more: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(
        "/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"} | more, format="json", headers=headers
    )


@pytest.mark.parametrize("quoted", ["73", "73.0", "73.00", 73, 73.0, " 73.00 ", None])
def test_P47_a_quote_is_compared_as_a_number(
    quoted: Any, buyer: User, as_user: Callable[[User], APIClient], scripted: ScriptedProvider
) -> None:
    assert pay(as_user(buyer), quoted=quoted).status_code == 200
    assert Order.objects.get().amount_fen == 7300


@pytest.mark.parametrize("quoted", ["72.99", "73.01", "0", 0, 7300])
def test_P47_another_quote_is_asked_again(
    quoted: Any, buyer: User, as_user: Callable[[User], APIClient], scripted: ScriptedProvider
) -> None:
    answer = pay(as_user(buyer), quoted=quoted)
    assert (answer.status_code, answer.json()["quoted"], Order.objects.count()) == (409, "73.00", 0)


# --- Requests that are repeated --------------------------------------------------------------------------------------
def test_C12_a_repeat_after_a_refusal_is_refused_again_and_is_no_success_without_an_address(
    buyer: User, as_user: Callable[[User], APIClient], scripted: ScriptedProvider
) -> None:
    scripted.refusal = "NOAUTH"
    first, again = (pay(as_user(buyer), "k") for _ in range(2))
    assert (first.status_code, again.status_code, again.json()) == (502, 502, first.json())
    assert (again["X-Order-Id"], scripted.operations()) == (first["X-Order-Id"], ["create"])


@pytest.mark.parametrize("state", ["paid", "closed", "cancelled"])
def test_C12_a_repeat_when_the_order_has_ended_names_it_and_shows_no_code(
    state: str, buyer: User, as_user: Callable[[User], APIClient], scripted: ScriptedProvider
) -> None:
    first = pay(as_user(buyer), "k").json()["data"]
    assert first["pay_url"]
    order = Order.objects.select_related("user").get()
    if state == "paid":
        scripted.known[order.order_no] = order
        scripted.pay(order)
        services.ask_provider(order, source="sweep")
    elif state == "closed":
        Order.objects.update(state="closed", closed_at=Now(), expires_at=Now() - timedelta(minutes=1))
    else:
        Order.objects.update(cancelled_at=Now())
    again = pay(as_user(buyer), "k")
    assert (again.status_code, again.json()["data"]) == (200, {"order_id": first["order_id"], "pay_url": ""})
    assert scripted.operations().count("create") == 1
