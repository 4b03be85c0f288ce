"""The stand-ins for messengers refuse what the real ones refuse. The signatures are made here, not by the product."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from sandbox.management.commands.open_sandbox_messengers import open_account
from sandbox.models import Arrival, Messenger

pytestmark = pytest.mark.django_db

TEXT = {"msgtype": "text", "text": {"content": "hello"}, "at": {"isAtAll": False, "atMobiles": ["13800138000"]}}


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- DingTalk --------------------------------------------------------------------------------------------------------
@pytest.fixture
def robot() -> Messenger:
    return open_account("dingtalk")


def robot_says(client: Client, robot: Messenger, body: Any = TEXT, **query: Any) -> tuple[int, str]:
    timestamp = query.pop("timestamp", int(time.time() * 1000))
    sign = base64.b64encode(mac(robot.secret.encode(), f"{timestamp}\n{robot.secret}")).decode()
    asked = {"access_token": robot.key_id, "timestamp": timestamp, "sign": sign} | query
    address = "/sandbox/dingtalk/robot/send?" + "&".join(
        f"{name}={quote(str(value), '')}" for name, value in asked.items()
    )
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(address, content, content_type="application/json; charset=utf-8")
    assert answer.status_code == 200
    said = answer.json()
    return said["errcode"], said["errmsg"]


def test_a_signed_text_is_taken_and_shown(client: Client, robot: Messenger) -> None:
    assert robot_says(client, robot) == (0, "ok")
    arrival = Arrival.objects.get()
    assert (arrival.text, arrival.to, arrival.accepted) == ("hello", "@13800138000", True)
    page = client.get("/sandbox/messages").content.decode()
    assert "hello" in page
    assert "@13800138000" in page


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign": "wrong"}, 310000),
        ({"timestamp": int((time.time() - 3700) * 1000)}, 310000),
        ({"timestamp": "now"}, 310000),
        ({"access_token": "nobody"}, 300005),
        ({"access_token": ""}, 40035),
    ],
)
def test_a_call_that_is_not_genuine_is_refused(
    client: Client, robot: Messenger, changes: dict[str, Any], code: int
) -> None:
    assert robot_says(client, robot, **changes)[0] == code
    assert not Arrival.objects.filter(accepted=True).exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("no json", 40035),
        ([1], 40035),
        ({"msgtype": "poem"}, 400105),
        ({"msgtype": "text", "text": {"content": " "}}, 40035),
        ({"msgtype": "text", "text": {"content": "长" * 7000}}, 460101),
    ],
)
def test_a_message_that_is_none_is_refused(client: Client, robot: Messenger, body: Any, code: int) -> None:
    assert robot_says(client, robot, body)[0] == code


def test_a_robot_wants_a_post_with_json(client: Client, robot: Messenger) -> None:
    address = f"/sandbox/dingtalk/robot/send?access_token={robot.key_id}"
    assert client.get(address).json()["errcode"] == 43002
    assert client.post(address, "x=1", content_type="application/x-www-form-urlencoded").json()["errcode"] == 43004


def test_the_twenty_first_message_in_a_minute_silences_the_robot_for_ten(client: Client, robot: Messenger) -> None:
    assert [robot_says(client, robot)[0] for _ in range(21)] == [0] * 20 + [130101]
    Arrival.objects.update(at=timezone.now() - timedelta(minutes=2))
    assert robot_says(client, robot)[0] == 130101
    Messenger.objects.update(silenced_until=timezone.now())
    assert robot_says(client, robot)[0] == 0


# --- Aliyun ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def aliyun() -> Messenger:
    return open_account("sms_aliyun")


def aliyun_says(
    client: Client, sms: Messenger, secret: str = "", headers: Any = None, **changes: str
) -> tuple[int, str]:
    params = {"title": "T", "time": "now"}
    asked = {"PhoneNumbers": "13800138000", "SignName": sms.sign_name, "TemplateCode": sms.template}
    asked |= {"TemplateParam": json.dumps(params)} | changes
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(asked.items()))
    signed = {
        "host": "testserver",
        "x-acs-action": "SendSms",
        "x-acs-content-sha256": sha256(b""),
        "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": str(time.perf_counter_ns()),
        "x-acs-version": "2017-05-25",
    } | (headers or {})
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"POST\n/\n{query}\n{lines}\n{';'.join(signed)}\n{sha256(b'')}"
    sign = mac((secret or sms.secret).encode(), f"ACS3-HMAC-SHA256\n{sha256(canonical.encode())}").hex()
    authorization = f"ACS3-HMAC-SHA256 Credential={sms.key_id},SignedHeaders={';'.join(signed)},Signature={sign}"
    answer = client.post(
        f"/sandbox/aliyun-sms/?{query}", b"", content_type="", headers={**signed, "Authorization": authorization}
    )
    return answer.status_code, answer.json()["Code"]


def test_aliyun_takes_a_text_that_is_signed_to_the_last_header(client: Client, aliyun: Messenger) -> None:
    assert aliyun_says(client, aliyun) == (200, "OK")
    assert Arrival.objects.get().text == "【智能助手】title: T time: now"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"secret": "wrong"}, (400, "SignatureDoesNotMatch")),
        ({"headers": {"x-acs-date": "2020-01-01T00:00:00Z"}}, (400, "InvalidTimeStamp.Expired")),
        ({"headers": {"x-acs-action": "SendMoney"}}, (404, "InvalidAction.NotFound")),
        ({"headers": {"x-acs-content-sha256": sha256(b"other")}}, (400, "SignatureDoesNotMatch")),
        ({"SignName": "别人"}, (200, "isv.SMS_SIGNATURE_ILLEGAL")),
        ({"TemplateCode": "SMS_0"}, (200, "isv.SMS_TEMPLATE_ILLEGAL")),
        ({"TemplateParam": "{"}, (200, "isv.INVALID_JSON_PARAM")),
        ({"TemplateParam": '{"title": "T"}'}, (200, "isv.TEMPLATE_MISSING_PARAMETERS")),
        ({"TemplateParam": json.dumps({"title": "长" * 36, "time": "x"})}, (200, "isv.PARAM_LENGTH_LIMIT")),
        ({"PhoneNumbers": "12345"}, (200, "isv.MOBILE_NUMBER_ILLEGAL")),
    ],
)
def test_aliyun_refuses(client: Client, aliyun: Messenger, changes: Any, expected: tuple[int, str]) -> None:
    assert aliyun_says(client, aliyun, **changes) == expected
    assert not Arrival.objects.filter(accepted=True).exists()


def test_aliyun_takes_a_nonce_once_and_fifty_texts_a_day(client: Client, aliyun: Messenger) -> None:
    nonce = {"x-acs-signature-nonce": "n-1"}
    assert aliyun_says(client, aliyun, headers=nonce) == (200, "OK")
    assert aliyun_says(client, aliyun, headers=nonce) == (400, "SignatureNonceUsed")
    for _ in range(49):
        assert aliyun_says(client, aliyun) == (200, "OK")
    assert aliyun_says(client, aliyun) == (200, "isv.BUSINESS_LIMIT_CONTROL")


def test_a_call_without_a_signature_gets_nowhere(client: Client, aliyun: Messenger) -> None:
    assert client.post("/sandbox/aliyun-sms/?PhoneNumbers=13800138000").json()["Code"] == "IncompleteSignature"
    said = client.post("/sandbox/tencent-sms/", "{}", content_type="application/json").json()
    assert said["Response"]["Error"]["Code"] == "AuthFailure.InvalidAuthorization"


# --- Tencent ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def tencent() -> Messenger:
    return open_account("sms_tencent")


def tencent_says(
    client: Client, sms: Messenger, secret: str = "", age_s: int = 0, headers: Any = None, **changes: Any
) -> str:
    asked = {"PhoneNumberSet": ["+8613800138000"], "SmsSdkAppId": sms.app_id, "SignName": sms.sign_name}
    asked |= {"TemplateId": sms.template, "TemplateParamSet": ["T", "now"]} | changes
    body = json.dumps(asked).encode()
    timestamp = int(time.time()) - age_s
    date = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}"
    lines = "content-type:application/json; charset=utf-8\nhost:testserver\n"
    canonical = f"POST\n/\n\n{lines}\ncontent-type;host\n{sha256(body)}"
    key = mac(mac(mac(f"TC3{secret or sms.secret}".encode(), date), "sms"), "tc3_request")
    scope = f"{date}/sms/tc3_request"
    sign = mac(key, f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{sha256(canonical.encode())}").hex()
    sent = {"X-TC-Action": "SendSms", "X-TC-Version": "2021-01-11", "X-TC-Region": "ap-guangzhou"}
    sent |= {"X-TC-Timestamp": str(timestamp), "Host": "testserver"} | (headers or {})
    credential = f"Credential={sms.key_id}/{scope}, SignedHeaders=content-type;host"
    sent["Authorization"] = f"TC3-HMAC-SHA256 {credential}, Signature={sign}"
    answer = client.post("/sandbox/tencent-sms/", body, content_type="application/json; charset=utf-8", headers=sent)
    said = answer.json()["Response"]
    code: str = said["Error"]["Code"] if "Error" in said else said["SendStatusSet"][0]["Code"]
    return code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, "AuthFailure.SignatureFailure"),
        ({"age_s": 400}, "AuthFailure.SignatureExpire"),
        ({"headers": {"X-TC-Action": "SendMoney"}}, "InvalidAction"),
        ({"headers": {"X-TC-Version": "2019-07-11"}}, "NoSuchVersion"),
        ({"headers": {"X-TC-Region": "mars"}}, "UnsupportedRegion"),
        ({"SmsSdkAppId": "1400000000"}, "InvalidParameterValue.SdkAppIdNotExist"),
        ({"PhoneNumberSet": []}, "MissingParameter"),
        ({"PhoneNumberSet": ["12345"]}, "InvalidParameterValue.IncorrectPhoneNumber"),
        ({"SignName": "别人"}, "FailedOperation.SignatureIncorrectOrUnapproved"),
        ({"TemplateParamSet": ["T"]}, "FailedOperation.TemplateIncorrectOrUnapproved"),
    ],
)
def test_tencent_refuses(client: Client, tencent: Messenger, changes: Any, code: str) -> None:
    assert tencent_says(client, tencent, **changes) == code
    assert not Arrival.objects.filter(accepted=True).exists()
    assert tencent_says(client, tencent) == "Ok"
    assert Arrival.objects.get(accepted=True).text == "【智能助手】T now"


def test_accounts_are_opened_once() -> None:
    first, second = call_command("open_sandbox_messengers"), call_command("open_sandbox_messengers")
    assert first == second
    assert set(json.loads(first)) == {"dingtalk", "sms_aliyun", "sms_tencent", "email"}
