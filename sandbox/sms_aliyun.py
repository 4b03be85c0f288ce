"""Aliyun's SendSms of 2017-05-25: ACS3-HMAC-SHA256 over HTTP, checked to the last header; then the template."""

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .messengers import Letter, Refused, account, mac, receive, same, sha256, taken_since
from .models import Messenger

_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,]+),\s*SignedHeaders=(?P<names>[^,]+),\s*Signature=(?P<sign>[0-9a-f]{64})"
)
_PHONE = re.compile(r"(\+86|0086|86)?1[3-9][0-9]{9}")
_NEEDED = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"}
MOST_CHARACTERS = 35
PER_PHONE_AND_DAY = 50


@csrf_exempt
def send(request: HttpRequest) -> HttpResponse:
    """The API's only path."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        unknown = Refused("IncompleteSignature", "The request signature does not conform to Aliyun standards.", 400)
        return JsonResponse(_write(unknown), status=unknown.status)
    unknown = Refused("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
    return receive(request, account("sms_aliyun", found["key"]), unknown, partial(_read, found), _write)


def _write(refused: Refused) -> dict[str, Any]:
    return {"Code": refused.code, "Message": refused.text, "RequestId": "5D6C9F0E-STAND-IN"}


def _read(found: re.Match[str], request: HttpRequest, sms: Messenger, letter: Letter) -> None:
    _check_signature(found, request, sms)
    if (request.headers["x-acs-action"], request.headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
        raise Refused("InvalidAction.NotFound", "Specified api is not found.", 404)
    letter.nonce = request.headers["x-acs-signature-nonce"]
    if sms.arrivals.filter(nonce=letter.nonce).exists():
        raise Refused("SignatureNonceUsed", "Specified signature nonce was used already.", 400)
    asked = dict(parse_qsl(request.META["QUERY_STRING"], keep_blank_values=True))
    letter.to = asked.get("PhoneNumbers", "")
    phones = _phones(letter.to)
    if asked.get("SignName") != sms.sign_name:
        raise Refused("isv.SMS_SIGNATURE_ILLEGAL", "短信签名不合法")
    if asked.get("TemplateCode") != sms.template:
        raise Refused("isv.SMS_TEMPLATE_ILLEGAL", "短信模板不合法")
    letter.text = _filled(sms, asked.get("TemplateParam", ""))
    if any(taken_since(sms, 86_400, to__contains=phone) >= PER_PHONE_AND_DAY for phone in phones):
        raise Refused("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:50")
    letter.answer = {"Code": "OK", "Message": "OK", "BizId": f"90062{timezone.now():%H%M%S%f}^0", "RequestId": "R"}


def _check_signature(found: re.Match[str], request: HttpRequest, sms: Messenger) -> None:
    names = found["names"].split(";")
    present = {name.lower() for name in request.headers if name.lower().startswith("x-acs-")}
    if names != sorted(names) or not (_NEEDED | present) <= set(names):
        raise Refused("IncompleteSignature", "Every x-acs-* header and host must be signed, in order.", 400)
    try:
        date = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.", 400) from None
    if abs((timezone.now() - date).total_seconds()) > 900:
        raise Refused("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", 400)
    if request.headers["x-acs-content-sha256"] != sha256(request.body):
        raise Refused("SignatureDoesNotMatch", "x-acs-content-sha256 is not that of the body.", 400)
    if not same(found["sign"], _signature(request, sms.secret, names)):
        raise Refused("SignatureDoesNotMatch", "Specified signature does not match our calculation.", 400)


def _signature(request: HttpRequest, secret: str, names: list[str]) -> str:
    pairs = sorted(parse_qsl(request.META["QUERY_STRING"], keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    canonical = f"{request.method}\n/\n{query}\n{headers}\n{';'.join(names)}\n{sha256(request.body)}"
    return mac(secret.encode(), f"ACS3-HMAC-SHA256\n{sha256(canonical.encode())}").hex()


def _phones(numbers: str) -> list[str]:
    phones = numbers.split(",")
    if len(phones) > 1000 or not all(_PHONE.fullmatch(phone) for phone in phones):
        raise Refused("isv.MOBILE_NUMBER_ILLEGAL", "无效号码")
    return phones


def _filled(sms: Messenger, text: str) -> str:
    """What the phone shows."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise Refused("isv.INVALID_JSON_PARAM", "JSON参数不合法,只接受字符串值")
    missing = [name for name in sms.variables if not str(values.get(name, ""))]
    if missing:
        raise Refused("isv.TEMPLATE_MISSING_PARAMETERS", f"模板缺少变量 {','.join(missing)}")
    if any(len(str(value)) > MOST_CHARACTERS for value in values.values()):
        raise Refused("isv.PARAM_LENGTH_LIMIT", "参数超出长度限制")
    return f"【{sms.sign_name}】" + " ".join(f"{name}: {values[name]}" for name in sms.variables)
