"""Tencent Cloud's SendSms of 2021-01-11: TC3-HMAC-SHA256 over HTTP; then the template. Every answer is HTTP 200."""

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .messengers import Letter, Refused, account, mac, receive, same, sha256, taken_since
from .models import Messenger

_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>[0-9-]{10})/sms/tc3_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<sign>[0-9a-f]{64})"
)
_PHONE = re.compile(r"(\+?86)?1[3-9][0-9]{9}")
PER_PHONE_AND_DAY = 50


@csrf_exempt
def send(request: HttpRequest) -> HttpResponse:
    """The API's only path."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        unknown = Refused("AuthFailure.InvalidAuthorization", "The Authorization header is not as it should be.")
        return JsonResponse(_write(unknown), status=unknown.status)
    unknown = Refused("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    return receive(request, account("sms_tencent", found["key"]), unknown, partial(_read, found), _write)


def _write(refused: Refused) -> dict[str, Any]:
    error = {"Code": refused.code, "Message": refused.text}
    return {"Response": {"Error": error, "RequestId": "ed93f3cb-stand-in"}}


def _read(found: re.Match[str], request: HttpRequest, sms: Messenger, letter: Letter) -> None:
    _check_signature(found, request, sms)
    headers = request.headers
    if headers.get("X-TC-Action") != "SendSms":
        raise Refused("InvalidAction", "The action is not found.")
    if headers.get("X-TC-Version") != "2021-01-11":
        raise Refused("NoSuchVersion", "The version is not found.")
    if headers.get("X-TC-Region") not in {"ap-guangzhou", "ap-beijing", "ap-nanjing"}:
        raise Refused("UnsupportedRegion", "The region is not supported.")
    asked = _json(request.body)
    phones = [str(phone) for phone in asked["PhoneNumberSet"]]
    letter.to = ",".join(phones)
    if asked["SmsSdkAppId"] != sms.app_id:
        raise Refused("InvalidParameterValue.SdkAppIdNotExist", "SdkAppId does not exist.")
    letter.text = f"【{sms.sign_name}】" + " ".join(map(str, asked.get("TemplateParamSet") or []))
    status = [_status(sms, phone, asked) for phone in phones]
    letter.answer = {"Response": {"SendStatusSet": status, "RequestId": "ed93f3cb-stand-in"}}
    letter.taken = any(each["Code"] == "Ok" for each in status)


def _check_signature(found: re.Match[str], request: HttpRequest, sms: Messenger) -> None:
    timestamp = request.headers.get("X-TC-Timestamp", "")
    if not timestamp.isdecimal() or abs(int(timestamp[:12]) - timezone.now().timestamp()) > 300:
        raise Refused("AuthFailure.SignatureExpire", "The timestamp is more than five minutes off.")
    names = found["names"].split(";")
    if not {"content-type", "host"} <= set(names) or request.content_type != "application/json":
        raise Refused("AuthFailure.InvalidAuthorization", "content-type and host must be signed.")
    if found["date"] != f"{datetime.fromtimestamp(int(timestamp), UTC):%Y-%m-%d}":
        raise Refused("AuthFailure.SignatureFailure", "The date is not that of the timestamp, in UTC.")
    if not same(found["sign"], _signature(request, sms.secret, names, found["date"], timestamp)):
        raise Refused("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")


def _signature(request: HttpRequest, secret: str, names: list[str], date: str, timestamp: str) -> str:
    headers = "".join(f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in names)
    canonical = f"{request.method}\n/\n\n{headers}\n{';'.join(names)}\n{sha256(request.body)}"
    key = mac(mac(mac(f"TC3{secret}".encode(), date), "sms"), "tc3_request")
    return mac(key, f"TC3-HMAC-SHA256\n{timestamp}\n{date}/sms/tc3_request\n{sha256(canonical.encode())}").hex()


def _json(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused("InvalidParameter", "The body is not a JSON object.")
    for name in ("PhoneNumberSet", "SmsSdkAppId", "TemplateId"):
        if not asked.get(name):
            raise Refused("MissingParameter", f"The request is missing a required parameter `{name}`.")
    if not isinstance(asked["PhoneNumberSet"], list) or len(asked["PhoneNumberSet"]) > 200:
        raise Refused("InvalidParameterValue", "PhoneNumberSet must be a list of at most 200.")
    return asked


def _status(sms: Messenger, phone: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What becomes of one phone number's text."""
    values = asked.get("TemplateParamSet") or []
    code, text = "Ok", "send success"
    if not _PHONE.fullmatch(phone):
        code, text = "InvalidParameterValue.IncorrectPhoneNumber", "incorrect phone number"
    elif asked.get("SignName") != sms.sign_name:
        code, text = "FailedOperation.SignatureIncorrectOrUnapproved", "signature is not approved"
    elif asked["TemplateId"] != sms.template or len(values) != len(sms.variables) or not all(map(str, values)):
        code, text = "FailedOperation.TemplateIncorrectOrUnapproved", "template is not approved or does not match"
    elif taken_since(sms, 86_400, to__contains=phone) >= PER_PHONE_AND_DAY:
        code, text = "LimitExceeded.PhoneNumberDailyLimit", "the daily limit of this number is reached"
    serial = f"5000:{timezone.now().timestamp():.0f}" if code == "Ok" else ""
    fee = 1 if code == "Ok" else 0
    return {"SerialNo": serial, "PhoneNumber": phone, "Fee": fee, "Code": code, "Message": text, "IsoCode": "CN"}
