"""What each transport says on the wire, and how it reads the answer. The far side is a scripted server."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import translation

from notifications.transports import AliyunSMS, DingTalk, Message, TencentSMS, TransportError
from notifications.transports.base import SMSText, Transport
from notifications.transports.dingtalk import MOST_BYTES, payload, token_of
from tests.far_side import FarSide, http

TIME = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ALERT = Message("critical", "账目不平", "balance: wallet 7", TIME, 3, "审计不通过")
PATTERNS = (("title", "{title}"), ("time", "{time}"))


@pytest.fixture
def far_side() -> Iterator[FarSide]:
    with FarSide() as server:
        yield server


def says(far_side: FarSide, answer: Any, status: str = "200 OK") -> None:
    far_side.answer = lambda _seen: http(json.dumps(answer).encode(), status=status)


def robot(far_side: FarSide, **more: Any) -> DingTalk:
    return DingTalk("token-of-the-robot", "SECsecret", base_url=far_side.url, trusted=True, **more)


def aliyun(far_side: FarSide) -> AliyunSMS:
    account = {"key_id": "LTAI-id", "key_secret": "ali-secret", "sign_name": "智能", "template": "SMS_1"}
    phones = ("13800138000", "13900139000")
    return AliyunSMS(**account, phones=phones, text=SMSText(PATTERNS), base_url=far_side.url, trusted=True)


def tencent(far_side: FarSide) -> TencentSMS:
    account: dict[str, Any] = {"key_id": "AKID-id", "key_secret": "tx-secret", "sign_name": "智能", "template": "1234"}
    account |= {"sdk_app_id": "1400006666", "phones": ("+8613800138000", "+8613900139000")}
    return TencentSMS(**account, text=SMSText(PATTERNS), base_url=far_side.url, trusted=True)


# --- DingTalk --------------------------------------------------------------------------------------------------------
def test_a_robot_is_sent_a_signed_text_that_calls_everybody_when_it_is_critical(far_side: FarSide) -> None:
    says(far_side, {"errcode": 0, "errmsg": "ok"})
    with translation.override("zh-hans"):
        robot(far_side, mobiles=("13800138000",)).send(ALERT)
    (seen,) = far_side.seen
    query = parse_qs(urlsplit(seen.line.split()[1]).query)
    assert seen.line.startswith("POST /robot/send?")
    assert query.keys() == {"access_token", "timestamp", "sign"}
    assert seen.headers["content-type"] == "application/json; charset=utf-8"
    body = json.loads(seen.body)
    assert body["msgtype"] == "text"
    assert body["at"] == {"atMobiles": ["13800138000"], "isAtAll": True}
    assert body["text"]["content"] == ("🚨 [CRITICAL] 账目不平 ×3\n\nbalance: wallet 7\n\n时间: 2026-11-21 12:00:00")


@pytest.mark.parametrize(("level", "icon"), [("warning", "⚠️"), ("info", "ℹ️"), ("odd", "🔔")])
def test_other_levels_call_the_mobiles_only(level: str, icon: str) -> None:
    body: Any = payload(Message(level, "T", "C", TIME), ("13800138000",))
    assert body["at"] == {"atMobiles": ["13800138000"], "isAtAll": False}
    assert body["text"]["content"].startswith(f"{icon} [{level.upper()}] T")
    assert body["text"]["content"].endswith("@13800138000")


def test_a_text_never_exceeds_what_dingtalk_takes() -> None:
    body: Any = payload(Message("info", "T", "错" * 50_000, TIME))
    assert len(body["text"]["content"].encode()) <= MOST_BYTES + 3


@pytest.mark.parametrize(
    ("code", "text", "permanent", "retry_after_s"),
    [
        (130101, "send too fast, exceed 20 times per minute", False, 600),
        (410100, "发送速度太快而限流", False, 600),
        (-1, "system busy", False, 30),
        (310000, "sign not match", True, 0),
        (310000, "keywords not in content", True, 0),
        (300005, "token is not exist", True, 0),
        (400102, "机器人已停用", True, 0),
        (40035, "缺少参数 json", True, 0),
        ("0", "ok", True, 0),
        (None, "", True, 0),
    ],
)
def test_an_errcode_other_than_0_is_an_error_although_the_status_is_200(
    far_side: FarSide, code: Any, text: str, permanent: bool, retry_after_s: int
) -> None:
    says(far_side, {"errcode": code, "errmsg": text})
    with pytest.raises(TransportError) as caught:
        robot(far_side).send(ALERT)
    assert (caught.value.permanent, caught.value.retry_after_s) == (permanent, retry_after_s)
    assert text in caught.value.text


@pytest.mark.parametrize(
    "webhook", ["", "https://oapi.dingtalk.com/robot/send", "nonsense", "http://[", "?access_token="]
)
def test_what_is_no_webhook_has_no_token(webhook: str) -> None:
    assert token_of(webhook) == ""


def test_the_token_is_taken_out_of_the_webhook() -> None:
    assert token_of(" https://oapi.dingtalk.com/robot/send?access_token=abc&x=1 ") == "abc"


# --- Aliyun ----------------------------------------------------------------------------------------------------------
def test_aliyun_is_sent_the_template_with_its_variables(far_side: FarSide) -> None:
    says(far_side, {"Code": "OK", "Message": "OK", "BizId": "9006", "RequestId": "R"})
    assert aliyun(far_side).send(ALERT).detail == "BizId 9006"
    (seen,) = far_side.seen
    query = {name: values[0] for name, values in parse_qs(urlsplit(seen.line.split()[1]).query).items()}
    assert query["PhoneNumbers"] == "13800138000,13900139000"
    assert (query["SignName"], query["TemplateCode"]) == ("智能", "SMS_1")
    assert json.loads(query["TemplateParam"]) == {"title": "账目不平", "time": "2026-11-21 12:00:00"}
    assert seen.headers["x-acs-action"] == "SendSms"
    assert seen.headers["x-acs-version"] == "2017-05-25"
    assert seen.headers["host"] == f"127.0.0.1:{far_side.port}"
    assert "host;x-acs-action;x-acs-content-sha256;x-acs-date" in seen.headers["authorization"]


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        ("200 OK", "isv.SMS_TEMPLATE_ILLEGAL", True),
        ("200 OK", "isv.BUSINESS_LIMIT_CONTROL", False),
        ("400 Bad Request", "SignatureDoesNotMatch", True),
        ("404 Not Found", "InvalidAccessKeyId.NotFound", True),
        ("503 Service Unavailable", "ServiceUnavailable", False),
        ("400 Bad Request", "Throttling.User", False),
    ],
)
def test_aliyuns_refusals_say_whether_trying_again_helps(
    far_side: FarSide, status: str, code: str, permanent: bool
) -> None:
    says(far_side, {"Code": code, "Message": "why", "RequestId": "R"}, status)
    with pytest.raises(TransportError) as caught:
        aliyun(far_side).send(ALERT)
    assert caught.value.permanent is permanent
    assert code in caught.value.text
    if permanent:
        assert str(caught.value.hint)


# --- Tencent ---------------------------------------------------------------------------------------------------------
def answer_of_tencent(*codes: str) -> Any:
    phones = ("+8613800138000", "+8613900139000")
    status = [
        {"SerialNo": "5000", "PhoneNumber": p, "Code": c, "Message": c} for p, c in zip(phones, codes, strict=False)
    ]
    return {"Response": {"SendStatusSet": status, "RequestId": "R"}}


def test_tencent_is_sent_the_template_with_its_variables_in_order(far_side: FarSide) -> None:
    says(far_side, answer_of_tencent("Ok", "Ok"))
    assert tencent(far_side).send(ALERT).detail == "SerialNo 5000"
    (seen,) = far_side.seen
    assert json.loads(seen.body) == {
        "PhoneNumberSet": ["+8613800138000", "+8613900139000"],
        "SmsSdkAppId": "1400006666",
        "SignName": "智能",
        "TemplateId": "1234",
        "TemplateParamSet": ["账目不平", "2026-11-21 12:00:00"],
    }
    assert seen.headers["x-tc-action"] == "SendSms"
    assert seen.headers["x-tc-version"] == "2021-01-11"
    assert seen.headers["x-tc-region"] == "ap-guangzhou"
    assert abs(int(seen.headers["x-tc-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert "/sms/tc3_request, SignedHeaders=content-type;host, " in seen.headers["authorization"]


def test_tencent_says_who_was_left_out(far_side: FarSide) -> None:
    says(far_side, answer_of_tencent("Ok", "LimitExceeded.PhoneNumberDailyLimit"))
    detail = tencent(far_side).send(ALERT).detail
    assert detail == "SerialNo 5000; not sent to …9000: LimitExceeded.PhoneNumberDailyLimit"


@pytest.mark.parametrize(
    ("code", "permanent"),
    [
        ("FailedOperation.TemplateIncorrectOrUnapproved", True),
        ("LimitExceeded.PhoneNumberDailyLimit", False),
        ("InternalError.Timeout", False),
    ],
)
def test_tencent_with_nobody_reached_is_an_error(far_side: FarSide, code: str, permanent: bool) -> None:
    says(far_side, answer_of_tencent(code, code))
    with pytest.raises(TransportError) as caught:
        tencent(far_side).send(ALERT)
    assert caught.value.permanent is permanent


@pytest.mark.parametrize("answer", [{}, {"Response": None}, {"Response": {}}, {"Response": {"SendStatusSet": [1]}}])
def test_an_answer_without_a_status_is_no_success(far_side: FarSide, answer: Any) -> None:
    says(far_side, answer)
    with pytest.raises(TransportError):
        tencent(far_side).send(ALERT)


def test_tencents_own_error_is_told(far_side: FarSide) -> None:
    says(far_side, {"Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"}, "RequestId": "R"}})
    with pytest.raises(TransportError) as caught:
        tencent(far_side).send(ALERT)
    assert caught.value.permanent
    assert "SecretKey" in str(caught.value.hint)


# --- All of them -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [robot, aliyun, tencent])
def test_an_answer_that_is_no_json_is_neither_success_nor_permanent(far_side: FarSide, make: Any) -> None:
    far_side.answer = lambda _seen: http(b"<html>502</html>", status="502 Bad Gateway")
    with pytest.raises(TransportError) as caught:
        make(far_side).send(ALERT)
    assert not caught.value.permanent


@pytest.mark.parametrize("make", [robot, aliyun, tencent])
def test_a_connection_that_breaks_after_sending_is_unknown(far_side: FarSide, make: Any) -> None:
    far_side.answer = lambda _seen: b""
    with pytest.raises(TransportError) as caught:
        make(far_side).send(ALERT)
    assert (caught.value.permanent, caught.value.unknown) == (False, True)


@pytest.mark.parametrize("make", [robot, aliyun, tencent])
def test_a_refused_connection_is_not_unknown(make: Any) -> None:
    with FarSide() as gone:
        transport = make(gone)
    with pytest.raises(TransportError) as caught:
        transport.send(ALERT)
    assert (caught.value.permanent, caught.value.unknown) == (False, False)


@pytest.mark.parametrize("make", [robot, aliyun, tencent])
def test_nothing_prints_a_secret(far_side: FarSide, make: Any) -> None:
    transport: Transport = make(far_side)
    for secret in ("token-of-the-robot", "SECsecret", "ali-secret", "tx-secret"):
        assert secret not in repr(transport)


def test_a_pattern_reaches_nothing_but_its_words() -> None:
    text = SMSText((("x", "{title.__class__} {content} {level}"),), most=100)
    filled = text.fill(Message("info", "T", "{title}", TIME))
    assert filled == {"x": "{title.__class__} (title) INFO"}


def test_a_variable_is_cut_to_what_the_vendor_takes() -> None:
    filled = SMSText((("t", "{title}"), ("c", "{content}")), most=12).fill(Message("info", "长" * 50, "", TIME))
    assert filled == {"t": "长" * 11 + "…", "c": "-"}
