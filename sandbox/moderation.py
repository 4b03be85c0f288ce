"""Text moderation at Aliyun (TextModerationPlus of 2022-03-02) and Tencent Cloud (TextModeration of 2020-12-29).

The signatures are checked to the last header, the text by a handful of words. Each knows one account: KEY_ID with
KEY_SECRET.
"""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .messengers import Refused, mac, same, sha256

KEY_ID, KEY_SECRET = "moderation-demo", "moderation-demo-secret"
MOST_ALIYUN, MOST_TENCENT = 2000, 10_000
# What it finds, and what each vendor calls it.
FINDS = {
    "制造炸弹": ("violent_weapons", "Illegal"),
    "make a bomb": ("violent_weapons", "Illegal"),
    "赌博网站": ("contraband_gambling", "Illegal"),
    "色情小说": ("pornographic_adult", "Porn"),
    "stupid idiot": ("inappropriate_profanity", "Abuse"),
}
# What it would have a person look at, which is no reason to refuse.
REVIEWS = ("医疗建议", "medical advice")
_ALIYUN = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,]+),\s*SignedHeaders=(?P<names>[^,]+),\s*Signature=(?P<sign>[0-9a-f]{64})"
)
_TENCENT = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>[0-9-]{10})/tms/tc3_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<sign>[0-9a-f]{64})"
)
_NEEDED = {"host", "content-type", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
           "x-acs-content-sha256"}  # fmt: skip


def _found(text: str) -> tuple[str, str] | None:
    return next((labels for words, labels in FINDS.items() if words in text), None)


# --- Aliyun ----------------------------------------------------------------------------------------------------------
@csrf_exempt
def aliyun(request: HttpRequest) -> HttpResponse:
    """The API's only path."""
    try:
        return _json(_aliyun(request))
    except Refused as refused:
        said = {"Code": refused.code, "Message": refused.text, "RequestId": "5D6C9F0E-STAND-IN"}
        return JsonResponse(said, status=refused.status)


def _aliyun(request: HttpRequest) -> dict[str, Any]:
    _check_aliyun(request)
    headers, form = request.headers, dict(parse_qsl(request.body.decode()))
    if (headers["x-acs-action"], headers["x-acs-version"]) != ("TextModerationPlus", "2022-03-02"):
        raise Refused("InvalidAction.NotFound", "Specified api is not found.", 404)
    if form.get("Service") not in {"llm_query_moderation", "llm_response_moderation"}:
        return {"Code": 408, "Message": "no permission to the service", "RequestId": "R"}
    text = json.loads(form["ServiceParameters"])["content"]
    if not text or len(text) > MOST_ALIYUN:
        return {"Code": 400, "Message": "content is empty or too long", "RequestId": "R"}
    found = _found(text)
    result = [{"Label": found[0], "Confidence": 99.9}] if found else [{"Label": "nonLabel"}]
    level = "high" if found else "medium" if any(words in text for words in REVIEWS) else "none"
    return {"Code": 200, "Message": "OK", "RequestId": "R", "Data": {"Result": result, "RiskLevel": level, "Score": 0}}


def _check_aliyun(request: HttpRequest) -> None:
    found = _ALIYUN.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise Refused("IncompleteSignature", "The request signature does not conform to Aliyun standards.", 400)
    if found["key"] != KEY_ID:
        raise Refused("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
    names = found["names"].split(";")
    if names != sorted(names) or not set(names) >= _NEEDED:
        raise Refused("IncompleteSignature", "Every x-acs-* header, host and content-type must be signed.", 400)
    if request.headers["x-acs-content-sha256"] != sha256(request.body):
        raise Refused("SignatureDoesNotMatch", "x-acs-content-sha256 is not that of the body.", 400)
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    canonical = f"{request.method}\n/\n\n{headers}\n{';'.join(names)}\n{sha256(request.body)}"
    signature = mac(KEY_SECRET.encode(), f"ACS3-HMAC-SHA256\n{sha256(canonical.encode())}").hex()
    if not same(found["sign"], signature):
        raise Refused("SignatureDoesNotMatch", "Specified signature does not match our calculation.", 400)


# --- Tencent Cloud ---------------------------------------------------------------------------------------------------
@csrf_exempt
def tencent(request: HttpRequest) -> HttpResponse:
    """The API's only path. Every answer is HTTP 200."""
    try:
        return _json({"Response": {**_tencent(request), "RequestId": "ed93f3cb-stand-in"}})
    except Refused as refused:
        error = {"Code": refused.code, "Message": refused.text}
        return JsonResponse({"Response": {"Error": error, "RequestId": "ed93f3cb-stand-in"}})


def _tencent(request: HttpRequest) -> dict[str, Any]:
    _check_tencent(request)
    headers = request.headers
    if (headers.get("X-TC-Action"), headers.get("X-TC-Version")) != ("TextModeration", "2020-12-29"):
        raise Refused("InvalidAction", "The action is not found.")
    text = base64.b64decode(json.loads(request.body)["Content"], validate=True).decode()
    if not text or len(text) > MOST_TENCENT:
        raise Refused("InvalidParameterValue.InvalidContentLength", "The content is empty or too long.")
    found = _found(text)
    suggestion = "Block" if found else "Review" if any(words in text for words in REVIEWS) else "Pass"
    return {"Suggestion": suggestion, "Label": found[1] if found else "Normal", "Score": 99 if found else 0}


def _check_tencent(request: HttpRequest) -> None:
    found = _TENCENT.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise Refused("AuthFailure.InvalidAuthorization", "The Authorization header is not as it should be.")
    if found["key"] != KEY_ID:
        raise Refused("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    timestamp = request.headers.get("X-TC-Timestamp", "")
    if not timestamp.isdecimal() or abs(int(timestamp[:12]) - timezone.now().timestamp()) > 300:
        raise Refused("AuthFailure.SignatureExpire", "The timestamp is more than five minutes off.")
    if found["date"] != f"{datetime.fromtimestamp(int(timestamp), UTC):%Y-%m-%d}":
        raise Refused("AuthFailure.SignatureFailure", "The date is not that of the timestamp, in UTC.")
    names = found["names"].split(";")
    headers = "".join(f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in names)
    canonical = f"{request.method}\n/\n\n{headers}\n{';'.join(names)}\n{sha256(request.body)}"
    scope = f"{found['date']}/tms/tc3_request"
    key = f"TC3{KEY_SECRET}".encode()
    for part in (found["date"], "tms", "tc3_request"):
        key = mac(key, part)
    if not same(found["sign"], mac(key, f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{sha256(canonical.encode())}").hex()):
        raise Refused("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")


def _json(said: dict[str, Any]) -> JsonResponse:
    return JsonResponse(said, json_dumps_params={"ensure_ascii": False})
