"""Faults A: notices that are not what they say. Nothing is credited, operators hear of it, the honest one counts."""

import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from notifications.models import Alert
from tests.conftest import sampled
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup import services
from topup.models import Notice, Order
from topup.models.sections import AlipaySettings, WeChatSettings
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

from .conftest import CallbackDesk, alert, balance, credited_once, last_notice, not_credited
from .scripted import Merchant, gateway_of

pytestmark = pytest.mark.django_db

NO_KEYS = ["", " ", "\t\n", "0" * 32, "请输入微信支付API v2密钥", "your-api-key-your-api-key-your-ap", "None", "null"]
ALIPAY_NO_KEYS = [
    "", " ", "\t\n", "请输入支付宝公钥", "None", "null", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
]  # fmt: skip


@pytest.fixture(params=["wechat", "alipay"])
def merchant(request: pytest.FixtureRequest) -> Merchant:
    """Each gateway in turn, each time: here is what keeps money from whoever signs like one."""
    found: Merchant = request.getfixturevalue(request.param)
    return found


def other_values(merchant: Merchant, order: Order, **changes: str | None) -> dict[str, str]:
    """The values of a notice, unsigned, without those changed to None."""
    return {name: value for name, value in (merchant.notice_values(order) | changes).items() if value is not None}


# --- A1: no key, no gateway ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_A1_a_notice_signed_with_a_key_that_is_none_is_refused(
    key: str, wechat: WeChatMerchant, buyer: User, provider: Client, as_user: Any
) -> None:
    order = pending_order(buyer, wechat)
    # Past every form, as a restored backup or another tool would write it.
    row = WeChatSettings.load()
    row.api_v2_key = Secret(key)
    row.save()
    for forged_with in (key, "", key.strip()):
        values = other_values(wechat, order)
        body = wechat.xml(values, sign=wechat.sign(values, key=forged_with))
        assert provider.post("/api/wechat/notify", body, content_type="text/xml").status_code == 404
    not_credited(order)
    client = as_user(buyer)
    info = client.get("/api/user/topup/info").json()["data"]
    assert (info["enable_wechat_topup"], info["pay_methods"]) == (False, [])
    response = client.post("/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"}, format="json")
    assert response.status_code == 503
    assert alert("gateway_not_ready").level == "critical"


@pytest.mark.parametrize("key", ALIPAY_NO_KEYS, ids=repr)
def test_A1_alipay_without_a_public_key_believes_nothing(
    key: str, alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, alipay)
    row = AlipaySettings.load()
    row.public_key = Secret(key)
    row.save()
    for sign in ("", "AAAA", alipay.sign(other_values(alipay, order), key=alipay.app_key)):
        body = alipay.form(other_values(alipay, order), sign=sign)
        response = provider.post("/api/alipay/notify", body, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 404
    not_credited(order)
    assert alert("gateway_not_ready").level == "critical"


def test_A1_alipay_with_the_applications_own_public_key_believes_nothing(
    alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    """The commonest mistake: then whoever holds the application's key could sign notices to himself."""
    import base64

    from cryptography.hazmat.primitives import serialization

    own = alipay.app_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    row = AlipaySettings.load()
    row.public_key = Secret(base64.b64encode(own).decode())
    row.save()
    order = pending_order(buyer, alipay)
    values = other_values(alipay, order)
    body = alipay.form(values, sign=alipay.sign(values, key=alipay.app_key))
    response = provider.post("/api/alipay/notify", body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 404
    not_credited(order)


@pytest.mark.parametrize(
    ("options", "keys"),
    [("WechatApiV2Key", [*NO_KEYS, None]), ("AlipayPublicKey", [*ALIPAY_NO_KEYS, None])],
    ids=["wechat", "alipay"],
)
def test_A1_the_settings_refuse_to_switch_on_without_a_key(
    options: str, keys: list[str | None], wechat: Any, alipay: Any, staff: User, as_user: Any
) -> None:
    client = as_user(staff)
    before = client.get("/api/option").json()["data"]
    for key in keys:
        if key == "":
            continue  # keeps the stored key
        response = client.put("/api/option", {options: key}, format="json")
        assert response.status_code == 400, key
        assert options in response.json()["data"], key
    assert client.get("/api/option").json()["data"] == before


def test_A1_a_gateway_without_a_key_cannot_be_enabled(staff: User, as_user: Any) -> None:
    client = as_user(staff)
    for name in ("WechatEnabled", "AlipayEnabled"):
        assert client.put("/api/option", {name: True}, format="json").status_code == 400
    assert not WeChatSettings.load().enabled
    assert not AlipaySettings.load().enabled


def test_A1_a_forged_notice_is_kept_and_the_operators_are_told(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    stranger: Any = WeChatMerchant(key="Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2Rr1Qq0Pp")
    if isinstance(desk.merchant, AlipayMerchant):
        stranger = AlipayMerchant()
        stranger.alipay_key = rsa.generate_private_key(65537, 2048)
    assert not desk.acknowledged(stranger.notice(order))
    not_credited(order)
    notice = last_notice()
    assert (notice.verdict, notice.order, notice.acknowledged) == (Notice.Verdict.FORGED, order, False)
    assert alert("forged_notice").level == "critical"
    assert desk.acknowledged(desk.merchant.notice(order))
    credited_once(order)


# --- A2, A3: the signature -------------------------------------------------------------------------------------------
def test_A2_a_wechat_signature_of_the_wrong_shape_is_refused(
    wechat: WeChatMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, wechat)
    values = other_values(wechat, order)
    right = wechat.sign(values)
    plain = b"".join(f"<{name}>{value}</{name}>".encode() for name, value in values.items())
    bodies = [
        wechat.xml(values, sign=wrong)
        for wrong in (
            "",
            " ",
            "0" * 64,
            right[:-1],
            right + "0",
            right.lower(),
            right + " ",
            f" {right}",
            right[:32],
            "签名" * 16,
        )
    ]
    bodies += [
        b"<xml>" + plain + b"</xml>",
        b"<xml>" + plain + f"<sign>{right}</sign><sign>{right}</sign></xml>".encode(),
        b"<xml>" + plain + f"<sign><item>{right}</item></sign></xml>".encode(),
        b"<xml>" + plain + f"<sign[0]>{right}</sign[0]></xml>".encode(),
        b"<xml>" + plain + f"<Sign>{right}</Sign></xml>".encode(),
    ]
    desk = CallbackDesk(wechat, provider)
    for body in bodies:
        assert not desk.acknowledged(body), body
        assert last_notice().verdict in Notice.UNVERIFIED
    not_credited(order)
    assert desk.acknowledged(wechat.xml(values))
    credited_once(order)


def test_A2_an_alipay_signature_of_the_wrong_shape_is_refused(
    alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, alipay)
    values = other_values(alipay, order)
    right = alipay.sign(values)
    desk = CallbackDesk(alipay, provider)
    bodies = [
        alipay.form(values, sign=wrong)
        for wrong in (
            "",
            " ",
            "=",
            "AAAA",
            right[:-4],
            right + "AAAA",
            right.lower(),
            right + "\n",
            f" {right}",
            "签名",
        )
    ]
    unsigned = alipay.form(values, sign="").replace(b"&sign=", b"")
    from urllib.parse import quote_plus

    quoted = quote_plus(right).encode()
    bodies += [
        unsigned,
        unsigned + b"&sign=" + quoted + b"&sign=" + quoted,
        unsigned + b"&sign=x&sign=" + quoted,
        unsigned + b"&sign[]=" + quoted,
        unsigned + b"&Sign=" + quoted,
        unsigned + b"&sign=" + right.encode(),  # "+" not encoded: reads as spaces
    ]
    for body in bodies:
        if body.endswith(right.encode()) and "+" not in right:
            continue
        assert not desk.acknowledged(body), body
        assert last_notice().verdict in Notice.UNVERIFIED
    not_credited(order)
    assert desk.acknowledged(alipay.form(values))
    credited_once(order)


def test_A2_a_wechat_signature_is_compared_in_constant_time(
    wechat: WeChatMerchant, buyer: User, provider: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Any, Any]] = []
    genuine = hmac.compare_digest

    def watched(left: Any, right: Any) -> bool:
        compared.append((left, right))
        return genuine(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    order = pending_order(buyer, wechat)
    values = other_values(wechat, order)
    provider.post("/api/wechat/notify", wechat.xml(values, sign="1" * 64), content_type="text/xml")
    assert (wechat.sign(values).encode(), b"1" * 64) in compared


@pytest.mark.parametrize("claims", sampled(["MD5", "HMAC-SHA256", "md5", "SM3", "", None], keep=3))
@pytest.mark.parametrize(("agreed", "signed_with"), [("HMAC-SHA256", "MD5"), ("MD5", "HMAC-SHA256")])
def test_A3_wechat_is_held_to_the_algorithm_of_the_order(
    agreed: str, signed_with: str, claims: str | None, wechat: WeChatMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, wechat, sign_type=agreed)
    values = other_values(wechat, order, sign_type=claims)
    desk = CallbackDesk(wechat, provider)
    assert not desk.acknowledged(wechat.xml(values, sign=wechat.sign(values, sign_type=signed_with)))
    not_credited(order)
    # And in the agreed algorithm it counts, whatever the message says and the settings are by now.
    assert desk.acknowledged(wechat.xml(values, sign=wechat.sign(values, sign_type=agreed)))
    credited_once(order)


@pytest.mark.parametrize("claims", sampled(["RSA", "RSA2", "rsa2", "MD5", "", None], keep=3))
def test_A3_alipay_is_held_to_rsa2(claims: str | None, alipay: AlipayMerchant, buyer: User, provider: Client) -> None:
    order = pending_order(buyer, alipay)
    values = other_values(alipay, order, sign_type=claims)
    desk = CallbackDesk(alipay, provider)
    assert not desk.acknowledged(alipay.form(values, sign=alipay.sign(values, sha1=True)))
    not_credited(order)
    assert desk.acknowledged(alipay.form(values))
    credited_once(order)


def test_A3_an_order_whose_algorithm_is_unknown_is_never_credited_by_a_notice(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant, sign_type="RSA")
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)


# --- A4, A5: somebody else's payment ---------------------------------------------------------------------------------
def test_A4_an_order_of_one_gateway_is_not_paid_through_the_other(
    wechat: WeChatMerchant, alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    pairs: list[tuple[Merchant, Merchant]] = [(wechat, alipay), (alipay, wechat)]
    for agreed, told in pairs:
        order = pending_order(buyer, agreed)
        assert not CallbackDesk(told, provider).acknowledged(told.notice(order))
        not_credited(order)
        assert "gateway" in order.review
        assert Alert.objects.filter(event="notice_mismatch", level="critical", title__contains=order.order_no).exists()
        assert CallbackDesk(agreed, provider).acknowledged(agreed.notice(order))
        order.refresh_from_db()
        assert order.state == "paid"
    assert balance(buyer) == 2 * 5_000_000


@pytest.mark.parametrize(
    ("gateway", "changes"),
    [
        ("wechat", {"appid": "wx9999999999999999"}),
        ("wechat", {"mch_id": "1900000999"}),
        ("wechat", {"appid": None}),
        ("wechat", {"mch_id": ""}),
        ("wechat", {"appid": " wx8888888888888888"}),
        ("alipay", {"app_id": "2021000000000009"}),
        ("alipay", {"seller_id": "2088102146225999"}),
        ("alipay", {"seller_id": None}),
        ("alipay", {"app_id": ""}),
        ("alipay", {"seller_id": "seller@example.com"}),
    ],
    ids=str,
)
def test_A5_a_genuine_notice_for_another_merchant_is_refused(
    gateway: str, changes: dict[str, str | None], request: pytest.FixtureRequest, buyer: User, provider: Client
) -> None:
    merchant: Merchant = request.getfixturevalue(gateway)
    order = pending_order(buyer, merchant)
    assert not CallbackDesk(merchant, provider).acknowledged(merchant.notice(order, **changes))
    not_credited(order)
    assert last_notice().verdict == Notice.Verdict.MISMATCH
    assert alert("notice_mismatch").level == "critical"


def test_A5_a_payment_to_the_new_account_does_not_pay_an_order_of_the_old_one(desk: CallbackDesk, buyer: User) -> None:
    """The settings were changed to another merchant; the order was agreed with the one before."""
    order = pending_order(buyer, desk.merchant, merchant_id="1900000001", app_id="wx0000000000000001")
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)
    assert "merchant" in order.review
    assert alert("notice_mismatch").level == "critical"


def test_A5_a_payment_through_another_app_of_the_merchant_does_not_pay_an_order(
    desk: CallbackDesk, buyer: User
) -> None:
    order = pending_order(buyer, desk.merchant, app_id="wx0000000000000001")
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)
    assert "app id" in order.review
    assert alert("notice_mismatch").level == "critical"


# --- A6: the amount --------------------------------------------------------------------------------------------------
WRONG_FEN: list[str | None] = [
    "7299", "7301", "1", "0", "00", "-7300", "+7300", "07300", " 7300", "7300 ", "7300.0", "73.00", "7,300", "7.3e3",
    "1e2", "0.010", "0x1C84", "７３００", "٧٣٠٠", "7300\u200b", "9" * 19, "9" * 30, "NaN", "", None,
]  # fmt: skip
WRONG_YUAN: list[str | None] = [
    "72.99", "73.01", "0.01", "0.00", "-73.00", "+73.00", "073.00", " 73.00", "73.00 ", "73", "73.0", "73.000", "7.3e1",
    "1e2", "0.010", "7300", "７３.００", "٧٣.٠٠", "73,00", "73.00\n", "9" * 19 + ".00", "NaN", "Infinity", "", None,
]  # fmt: skip


def test_A6_a_wrong_amount_credits_nothing_is_flagged_and_told(desk: CallbackDesk, buyer: User) -> None:
    wechat = gateway_of(desk.merchant) == "wechat"
    for amount in WRONG_FEN if wechat else WRONG_YUAN:
        order = pending_order(buyer, desk.merchant)
        changes = {"total_fee" if wechat else "total_amount": amount}
        assert not desk.acknowledged(desk.merchant.notice(order, **changes)), amount
        not_credited(order)
        assert order.review, amount
        assert last_notice().verdict == Notice.Verdict.MISMATCH, amount
        mine = Alert.objects.filter(event="notice_mismatch", level="critical", key__endswith=order.order_no)
        assert mine.count() == 1, amount
    assert balance(buyer) == 0
    # A lie is no reason to refuse the truth.
    assert desk.acknowledged(desk.merchant.notice(order))
    order.refresh_from_db()
    assert order.state == "paid"


def test_A6_another_currency_credits_nothing(desk: CallbackDesk, buyer: User) -> None:
    name = "fee_type" if gateway_of(desk.merchant) == "wechat" else "trans_currency"
    for currency in ("USD", "cny", "JPY", "CNY "):
        order = pending_order(buyer, desk.merchant)
        assert not desk.acknowledged(desk.merchant.notice(order, **{name: currency}))
        not_credited(order)
        assert "currency" in order.review
    assert desk.acknowledged(desk.merchant.notice(order, **{name: None}))


def test_A6_a_coupon_changes_what_the_buyer_paid_not_what_is_credited(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    if gateway_of(desk.merchant) == "wechat":
        coupon = {"cash_fee": "6300", "coupon_fee": "1000", "coupon_count": "1", "settlement_total_fee": "6300"}
        wrong = {"total_fee": "6300", "cash_fee": "7300"}
    else:
        coupon = {"buyer_pay_amount": "63.00", "receipt_amount": "63.00", "invoice_amount": "63.00"}
        wrong = {"total_amount": "63.00", "receipt_amount": "73.00", "buyer_pay_amount": "73.00"}
    assert not desk.acknowledged(desk.merchant.notice(order, **wrong))
    not_credited(order)
    assert desk.acknowledged(desk.merchant.notice(order, **coupon))
    order.refresh_from_db()
    assert order.state == "paid"
    assert balance(buyer) == order.quota


# --- A7, A8, A10, A11 ------------------------------------------------------------------------------------------------
def test_A7_a_payment_for_an_order_we_do_not_know_is_kept_and_sent_again_until_somebody_looks(
    desk: CallbackDesk, buyer: User
) -> None:
    order = pending_order(buyer, desk.merchant)
    number = "20261121ffffffffffffffffffffffff"
    body = desk.merchant.notice(order, out_trade_no=number)
    for times in (1, 2, 3, 4):
        assert not desk.acknowledged(body)
        assert Notice.objects.filter(order_no=number, verdict=Notice.Verdict.UNKNOWN_ORDER).count() == times
        assert Alert.objects.filter(event="unknown_order", level="critical").exists() == (times >= 3)
    assert "订单不存在" in desk.deliver(body).content.decode() or gateway_of(desk.merchant) == "alipay"
    not_credited(order)


def test_A8_one_transaction_pays_one_order(desk: CallbackDesk, buyer: User, other_user: User) -> None:
    first, second = pending_order(buyer, desk.merchant), pending_order(other_user, desk.merchant)
    name = "transaction_id" if gateway_of(desk.merchant) == "wechat" else "trade_no"
    assert desk.acknowledged(desk.merchant.notice(first, **{name: "4200000000202611211234567890"}))
    assert not desk.acknowledged(desk.merchant.notice(second, **{name: "4200000000202611211234567890"}))
    credited_once(first)
    not_credited(second)
    assert "4200000000202611211234567890" in second.review
    assert alert("notice_mismatch").level == "critical"
    assert desk.acknowledged(desk.merchant.notice(second))
    assert (balance(buyer), balance(other_user)) == (first.quota, second.quota)


def test_A8_the_same_transaction_number_at_two_gateways_is_two_payments(
    wechat: WeChatMerchant, alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    for merchant, name in ((wechat, "transaction_id"), (alipay, "trade_no")):
        order = pending_order(buyer, merchant)
        assert CallbackDesk(merchant, provider).acknowledged(merchant.notice(order, **{name: "2026112100000001"}))
        credited_once(order)


def test_A8_a_second_payment_of_a_paid_order_is_told_and_not_credited(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    name = "transaction_id" if gateway_of(desk.merchant) == "wechat" else "trade_no"
    assert desk.acknowledged(desk.merchant.notice(order))
    assert not desk.acknowledged(desk.merchant.notice(order, **{name: "4200000000202611219999999999"}))
    order.refresh_from_db()
    assert order.state == "paid"
    assert order.review
    assert balance(buyer) == order.quota
    assert alert("notice_mismatch").level == "critical"


def test_A10_a_sandbox_payment_never_pays_a_live_order(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant, live=True)
    assert not services.open_gateway(gateway_of(desk.merchant)).live
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)
    assert "live" in order.review
    assert alert("notice_mismatch").level == "critical"


def test_A10_M6_a_notice_that_the_keys_of_both_vouch_for_credits_nothing_until_the_orders_own_account_says_so(
    desk: CallbackDesk, buyer: User, settings: Any
) -> None:
    """Only the address was changed: a notice does not say whether it is the sandbox's."""
    order = pending_order(buyer, desk.merchant)
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = ""
    assert services.open_gateway(gateway_of(desk.merchant)).live
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)
    assert last_notice().verdict == Notice.Verdict.UNCONFIRMED


def test_A10_alipays_own_sandbox_is_not_live(
    alipay: AlipayMerchant, buyer: User, provider: Client, settings: Any
) -> None:
    settings.ALIPAY_GATEWAY_URL = ""
    alipay.configure(AlipaySandbox=True)
    order = pending_order(buyer, alipay, live=True)
    assert not CallbackDesk(alipay, provider).acknowledged(alipay.notice(order))
    not_credited(order)


def test_A11_what_a_browser_brings_back_is_shown_and_never_credited(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    # A genuinely signed notice, as query string: still only a browser's word.
    claims = other_values(desk.merchant, order) | {"status": "paid", "trade_state": "SUCCESS", "state": "paid"}
    claims["sign"] = desk.merchant.sign(other_values(desk.merchant, order))
    browser = Client()
    browser.force_login(buyer)
    for page in ("", "/card"):
        response = browser.get(f"/recharge/orders/{order.order_no}{page}", claims)
        assert response.status_code == 200
        assert browser.post(f"/recharge/orders/{order.order_no}{page}", claims).status_code == 405
    assert browser.get(f"/api/user/topup/orders/{order.order_no}", claims).json()["data"]["status"] == "pending"
    for route in ("notify", "webhook"):
        assert browser.get(f"/api/{gateway_of(desk.merchant)}/{route}", claims).status_code == 405
    assert browser.get("/recharge", claims).status_code == 200
    not_credited(order)
    assert balance(buyer) == 0
