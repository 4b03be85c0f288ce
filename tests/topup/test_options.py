"""The contract of GET and PUT /api/option: names, kinds, secrets, all or nothing."""

import base64
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate
from rest_framework.test import APIClient

from tests import vectors
from tests.conftest import sampled
from tests.merchants import ALIPAY, WECHAT, AlipayMerchant, WeChatMerchant
from tests.topup.gateways.wechat_v3_side import CONFIG
from topup import services
from topup.gateways.wechat.v3 import WeChatPayV3
from topup.models import RechargeSettings
from topup.models.sections import WeChatSettings
from voicehelper.accounts.models import MiniProgramSettings, User

pytestmark = pytest.mark.django_db

SPKI = vectors.key("alipay_public_spki.b64").strip()

SECRETS = {
    "WechatApiV2Key", "WechatClientCert", "WechatClientKey", "WechatAppSecret", "AlipayPrivateKey", "AlipayPublicKey",
    "WechatApiV3Key", "WechatPublicKey", "WechatPlatformCerts",
    "AlipayAppCert", "AlipayCert", "AlipayRootCert", "MiniProgramAppSecret", "WebsiteAppSecret",
}  # fmt: skip
TYPED_ADDRESSES = {
    "pay.example.com": "https://pay.example.com",
    "//pay.example.com/base/": "https://pay.example.com/base",
    "pay.example.com:8443": "https://pay.example.com:8443",
    "http://192.0.2.7": "http://192.0.2.7",
    " 支付.example.com ": "https://支付.example.com",
    "": "",
}
DEFAULTS = {
    "ServerAddress": "",
    "Price": "7.3",
    "QuotaPerUnit": 500000,
    "QuotaDisplayType": "currency",
    "AmountOptions": [10, 20, 50, 100, 200, 500],
    "AmountDiscount": {"100": "0.95"},
    "AmountBonus": {},
    "TopupGroupRatio": {"default": "1", "vip": "1"},
    "OrderLifeMinutes": 30,
    "ConfirmAbove": "1000",
    "SupportContact": "",
    "WechatEnabled": False,
    "WechatAppId": "",
    "WechatMchId": "",
    "WechatSignType": "HMAC-SHA256",
    "WechatMinTopUp": 1,
    "WechatApiVersion": "v2",
    "WechatPublicKeyId": "",
    "WechatCertificateFetching": False,
    "AlipayEnabled": False,
    "AlipayAppId": "",
    "AlipaySellerId": "",
    "AlipayMinTopUp": 1,
    "AlipaySandbox": False,
    "MiniProgramAppId": "",
    "WebsiteAppId": "",
} | dict.fromkeys(SECRETS, "")  # fmt: skip


@pytest.fixture
def operator(staff: User, as_user: Callable[..., APIClient]) -> APIClient:
    return as_user(staff)


def put(operator: APIClient, changes: Any) -> Any:
    body = changes | {"CurrentPassword": "a long operator password"}
    return operator.put("/api/option", json.dumps(body), content_type="application/json")


def saved(operator: APIClient, **changes: Any) -> dict[str, Any]:
    answer = put(operator, changes)
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"success": True, "message": "", "data": operator.get("/api/option").json()["data"]}
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_every_option_of_the_contract_is_there_with_its_default(operator: APIClient) -> None:
    answer = operator.get("/api/option").json()
    assert (answer["success"], answer["message"]) == (True, "")
    assert {name: answer["data"][name] for name in DEFAULTS} == DEFAULTS
    extras = {f"{name}Set" for name in SECRETS} | {f"{name}Last4" for name in SECRETS}
    assert set(answer["data"]) == set(DEFAULTS) | extras
    assert all(answer["data"][f"{name}Set"] is False and answer["data"][f"{name}Last4"] == "" for name in SECRETS)


@pytest.mark.parametrize("price", [7.3, "7.3", "7.30", "7.300000"])
def test_decimals_come_as_numbers_or_text_and_leave_as_text(price: Any, operator: APIClient) -> None:
    assert saved(operator, Price=price)["Price"] == "7.3"
    assert RechargeSettings.load().price == Decimal("7.3")


@pytest.mark.parametrize(
    ("sent", "kept"), [("0.1", "0.1"), (0.1, "0.1"), (100, "100"), ("0.000001", "0.000001"), ("20.50", "20.5")]
)
def test_a_price_is_kept_exactly(sent: Any, kept: str, operator: APIClient) -> None:
    assert saved(operator, Price=sent)["Price"] == kept


def test_a_ratio_never_passes_through_a_float(operator: APIClient) -> None:
    body = '{"TopupGroupRatio": {"default": 0.123456, "vip": 1.1}, "AmountDiscount": {"100": 0.95, "500": "0.9"},'
    body += ' "CurrentPassword": "a long operator password"}'
    assert operator.put("/api/option", body, content_type="application/json").status_code == 200
    with_kept = RechargeSettings.load()
    assert with_kept.group_ratios == {"default": "0.123456", "vip": "1.1"}
    assert with_kept.amount_discounts == {"100": "0.95", "500": "0.9"}
    assert with_kept.terms().ratios["default"] == Decimal("0.123456")


def test_maps_and_lists_come_as_json_or_as_text_of_json(operator: APIClient) -> None:
    data = saved(operator, AmountOptions="[1, 2, 3]", AmountDiscount='{"10": 0.5}', TopupGroupRatio='{"default": 2}')
    assert (data["AmountOptions"], data["AmountDiscount"], data["TopupGroupRatio"]) == (
        [1, 2, 3],
        {"10": "0.5"},
        {"default": "2"},
    )


def test_whole_numbers_come_as_numbers_or_text(operator: APIClient) -> None:
    data = saved(operator, WechatMinTopUp="5", OrderLifeMinutes=15, QuotaPerUnit="1000", ConfirmAbove="88.80")
    assert (data["WechatMinTopUp"], data["OrderLifeMinutes"], data["QuotaPerUnit"]) == (5, 15, 1000)
    assert data["ConfirmAbove"] == "88.8"
    assert RechargeSettings.load().confirm_above_fen == 8880


def test_text_loses_the_spaces_around_it_and_an_address_its_slash(operator: APIClient) -> None:
    data = saved(operator, WechatMchId=" 1900000109\n", ServerAddress="https://pay.example.com/")
    assert (data["WechatMchId"], data["ServerAddress"]) == ("1900000109", "https://pay.example.com")
    for typed, kept in TYPED_ADDRESSES.items():
        assert saved(operator, ServerAddress=typed)["ServerAddress"] == kept


def test_a_secret_is_never_returned_only_that_it_is_set_and_how_it_ends(operator: APIClient) -> None:
    data = saved(operator, WechatApiV2Key=WECHAT.key, MiniProgramAppSecret="0123456789abcdef0123456789abcdef")
    assert (data["WechatApiV2Key"], data["WechatApiV2KeySet"], data["WechatApiV2KeyLast4"]) == (
        "",
        True,
        WECHAT.key[-4:],
    )
    assert (data["MiniProgramAppSecretSet"], data["MiniProgramAppSecretLast4"]) == (True, "cdef")
    assert WECHAT.key not in json.dumps(data)
    assert WeChatSettings.load().api_v2_key.reveal() == WECHAT.key


def test_a_public_key_and_a_certificate_read_as_their_fingerprint(operator: APIClient) -> None:
    entered = {"WechatPublicKey": CONFIG.public_key, "WechatClientCert": CONFIG.client_cert, "AlipayPublicKey": SPKI}
    data = saved(operator, WechatClientKey=CONFIG.client_key, **entered)
    certificate = load_pem_x509_certificate(CONFIG.client_cert.encode())
    assert data["WechatClientCertLast4"] == certificate.fingerprint(SHA256()).hex()
    assert data["AlipayPublicKeyLast4"] == hashlib.sha256(base64.b64decode(SPKI)).hexdigest()
    assert len(data["WechatPublicKeyLast4"]) == 64
    assert len(data["WechatClientKeyLast4"]) == 4


def test_the_chosen_version_of_wechat_pay_is_checked_and_the_other_is_not(operator: APIClient) -> None:
    account = {"WechatAppId": CONFIG.app_id, "WechatMchId": CONFIG.mch_id, "WechatEnabled": True}
    v3 = {
        "WechatApiVersion": "v3",
        "WechatApiV3Key": CONFIG.api_v3_key,
        "WechatClientCert": CONFIG.client_cert,
        "WechatClientKey": CONFIG.client_key,
        "WechatPublicKeyId": CONFIG.public_key_id,
        "WechatPublicKey": CONFIG.public_key,
    }
    assert "WechatApiV2Key" in put(operator, account).json()["data"]
    refused = put(operator, account | {"WechatApiVersion": "v3"}).json()["data"]
    assert set(refused) == {"WechatApiV3Key", "WechatClientCert", "WechatClientKey", "WechatPublicKey"}
    assert saved(operator, **account, **v3)["WechatApiVersion"] == "v3"
    assert type(services.open_gateway("wechat")) is WeChatPayV3
    # What the two have in common is compared.
    assert set(put(operator, {"WechatApiV2Key": CONFIG.api_v3_key}).json()["data"]) == {"WechatApiV3Key"}
    assert set(put(operator, {"WechatMchId": "1900007291"}).json()["data"]) == {"WechatClientCert"}
    assert "WechatApiVersion" in put(operator, {"WechatApiVersion": "v4"}).json()["data"]


def test_an_empty_text_keeps_a_secret_and_null_clears_it(operator: APIClient) -> None:
    saved(operator, WechatApiV2Key=WECHAT.key, MiniProgramAppSecret="a secret of the mini program")
    # As a client does that sends back what it read.
    everything = operator.get("/api/option").json()["data"]
    sent_back = {name: value for name, value in everything.items() if name in DEFAULTS}
    assert put(operator, sent_back).status_code == 200
    assert WeChatSettings.load().api_v2_key.reveal() == WECHAT.key
    data = saved(operator, WechatApiV2Key=None)
    assert (data["WechatApiV2KeySet"], data["WechatApiV2KeyLast4"]) == (False, "")
    assert MiniProgramSettings.load().app_secret.reveal() == "a secret of the mini program"


def test_a_key_in_many_lines_arrives_whole(operator: APIClient) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nAAAABBBBCCCCDDDDEEEE\n-----END PRIVATE KEY-----"
    data = saved(operator, WechatClientKey=pem + "\n")
    assert data["WechatClientKeyLast4"] == "EEEE"
    assert WeChatSettings.load().client_key.reveal() == pem


def test_one_put_configures_a_gateway_and_switches_it_on(operator: APIClient, as_user: Any, buyer: User) -> None:
    changes = {
        "WechatAppId": WECHAT.app_id,
        "WechatMchId": WECHAT.mch_id,
        "WechatApiV2Key": WECHAT.key,
        "WechatEnabled": True,
    }
    assert saved(operator, **changes)["WechatEnabled"] is True
    info = as_user(buyer).get("/api/user/topup/info").json()["data"]
    assert info["enable_wechat_topup"] is True


def test_a_put_is_all_or_nothing_also_across_sections(
    operator: APIClient, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    before = operator.get("/api/option").json()["data"]
    bad = {"Price": "9", "WechatMinTopUp": 9, "AlipaySellerId": "nonsense", "MiniProgramAppId": "wx1"}
    answer = put(operator, bad)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert set(answer.json()["data"]) == {"AlipaySellerId"}
    assert answer.json()["message"].startswith("AlipaySellerId: ")
    assert operator.get("/api/option").json()["data"] == before


def test_every_mistake_is_named_at_once(operator: APIClient) -> None:
    answer = put(
        operator, {"Price": "x", "QuotaPerUnit": 0, "OrderLifeMinutes": 4, "WechatEnabled": "yes", "AmountOptions": 7}
    )
    assert answer.status_code == 400
    assert set(answer.json()["data"]) == {"Price", "QuotaPerUnit", "OrderLifeMinutes", "WechatEnabled", "AmountOptions"}


def test_an_option_that_is_none_is_refused_and_so_is_what_only_leaves(operator: APIClient) -> None:
    for name in ("WechatPrice", "price", "WechatApiV2KeySet", "WechatApiV2KeyLast4", "id", "", "__class__"):
        answer = put(operator, {name: 1, "Price": 9})
        assert answer.status_code == 400
        assert set(answer.json()["data"]) == {name}
    assert RechargeSettings.load().price == Decimal("7.3")


NO_NUMBERS = ["NaN", "Infinity", "1e400", 10**40]
NO_AMOUNTS = [[], 1, "x", {"a": 1}, {"10": 0}, {"10": -1}, {"10": "x"}, {"10": "NaN"}, {"010": 1}, {"1.5": 1}, None]
WRONG = [
    ("Price", [0, "0", -1, "", None, True, "1,5", "0.0000001", [], {}, *NO_NUMBERS]),
    ("QuotaPerUnit", [0, -5, 1.5, "1.5", "", None, False, 10**13, [], {}, *NO_NUMBERS]),
    ("QuotaDisplayType", ["", "USD", 1, None]),
    ("AmountOptions", [{}, 1, "x", None, [0], [-1], [1.5], ["a"], [1, 1], [None], list(range(1, 52)), [10**10]]),
    ("AmountDiscount", [*NO_AMOUNTS, {"10": 1.1}, {"-1": 1}]),
    ("AmountBonus", [*NO_AMOUNTS, {"10": "1.5"}, {"10": 5, "20": 4}, {"9": 10**9}]),
    (
        "TopupGroupRatio",
        [[], 1, {"": 1}, {" ": 1}, *({"vip": ratio} for ratio in (-1, 1001, None, "NaN")), {"g" * 65: 1}],
    ),
    ("OrderLifeMinutes", [4, 121, 0, -1, "", None, 5.5, "half an hour", [], *NO_NUMBERS]),
    ("ConfirmAbove", [-1, "", None, "0.001", "x", *NO_NUMBERS]),
    (
        "ServerAddress",
        ["ftp://pay.example.com", "https://pay.example.com/?a=1", "javascript:alert(1)", None, 7],
    ),
    ("WechatEnabled", ["true", 1, 0, None, ""]),
    ("WechatSignType", ["", "SHA1", "md5", None]),
    ("WechatMinTopUp", [0, -1, 1.5, "", None, "x", [], *NO_NUMBERS]),
    ("WechatMchId", ["1" * 33, 1900000109, None]),
    ("AlipaySandbox", ["false", 0]),
    ("WechatApiV2Key", [1, True, [], {}]),
]


@pytest.mark.parametrize(
    ("name", "values"), sampled(WRONG, keep=5), ids=lambda value: value if isinstance(value, str) else ""
)
def test_F7_a_value_that_cannot_be_is_refused_by_name(name: str, values: list[Any], operator: APIClient) -> None:
    before = operator.get("/api/option").json()["data"]
    for value in values:
        answer = put(operator, {name: value})
        assert answer.status_code == 400, value
        assert set(answer.json()["data"]) == {name}, value
        assert answer.json()["data"][name], value
    assert operator.get("/api/option").json()["data"] == before


@pytest.mark.parametrize(
    ("changes", "named"),
    sampled(
        [
            ({"WechatMchId": "abc"}, "WechatMchId"),
            ({"WechatAppId": "8888"}, "WechatAppId"),
            ({"WechatApiV2Key": "short"}, "WechatApiV2Key"),
            ({"WechatApiV2Key": None}, "WechatApiV2Key"),
            ({"AlipayAppId": ALIPAY.seller_id}, "AlipayAppId"),
            ({"AlipaySellerId": ""}, "AlipaySellerId"),
            ({"AlipayPrivateKey": "nonsense"}, "AlipayPrivateKey"),
            ({"AlipayPublicKey": None}, "AlipayPublicKey"),
        ],
        keep=3,
    ),
    ids=str,
)
def test_a_gateway_that_is_on_stays_completely_configured(
    changes: dict[str, Any], named: str, operator: APIClient, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    answer = put(operator, changes)
    assert answer.status_code == 400
    assert set(answer.json()["data"]) == {named}
    # Switched off, it may be half-filled.
    off = {"WechatEnabled": False} if named.startswith("Wechat") else {"AlipayEnabled": False}
    assert put(operator, changes | off).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "[]", "1", '"text"', "null", "{", "NaN", '{"Price": NaN}', '{"a": ' * 2000, '{"Price": 1e999999999}',
        '{"TopupGroupRatio": {"\\u0000": 1}}', '{"TopupGroupRatio": {"\\ud800": 1}}', '{"\\ud800": 1}',
        '{"WechatMchId": "\\u0000"}',
    ],
    ids=lambda body: body[:30],
)  # fmt: skip
def test_a_body_that_is_no_table_of_options_is_400(body: str, operator: APIClient) -> None:
    operator.raise_request_exception = False
    answer = operator.put("/api/option", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["success"] is False


def test_a_changed_price_counts_at_once(operator: APIClient, buyer: User, as_user: Any, wechat: WeChatMerchant) -> None:
    client = as_user(buyer)
    ask = {"amount": 10, "payment_method": "wechat"}
    assert client.post("/api/user/amount", ask, format="json").json()["data"] == "73.00"
    saved(operator, Price="6.66", TopupGroupRatio={"default": "0.5"})
    assert client.post("/api/user/amount", ask, format="json").json()["data"] == "33.30"
