"""Tencent Cloud SMS: SendSms of 2021-01-11, signed with TC3-HMAC-SHA256.

Signature: https://cloud.tencent.com/document/api/382/52072; SendSms: …/api/382/55981; errors: …/api/382/59177. Every
answer is HTTP 200; each phone number has a `Code` of its own.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from .base import Message, Sent, SMSTransport, TransportError, hmac_sha256, host_of, post, read_json, sha256_hex

BASE_URL = "https://sms.tencentcloudapi.com"
ALGORITHM = "TC3-HMAC-SHA256"
CONTENT_TYPE = "application/json; charset=utf-8"

_TEMPORARY = ("InternalError", "RequestLimitExceeded", "ResourceUnavailable", "FailedOperation.FailResolvePacket")
_HINTS = {
    "AuthFailure.SecretIdNotFound": _("There is no such SecretId, or it is disabled."),
    "AuthFailure.InvalidSecretId": _("There is no such SecretId, or it is disabled."),
    "AuthFailure.SignatureFailure": _("The SecretKey does not belong to the SecretId."),
    "AuthFailure.SignatureExpire": _("This server’s clock is off by more than 5 minutes."),
    "AuthFailure.UnauthorizedOperation": _("Give the key’s user the right QcloudSMSFullAccess."),
    "FailedOperation.SignatureIncorrectOrUnapproved": _("The sign name is not approved at Tencent Cloud."),
    "FailedOperation.TemplateIncorrectOrUnapproved": _("The template is not approved, or its variables do not match."),
    "FailedOperation.InsufficientBalanceInSmsPackage": _("The package of texts is used up."),
    "FailedOperation.PhoneNumberInBlacklist": _("A phone number has refused texts."),
    "InvalidParameterValue.IncorrectPhoneNumber": _("A phone number is not one: write it like +8613800138000."),
    "InvalidParameterValue.SdkAppIdNotExist": _("There is no such SDK app id."),
    "UnsupportedRegion": _("SMS is not offered in this region: use ap-guangzhou."),
}


def authorization(key_id: str, key_secret: str, *, service: str, host: str, body: bytes, timestamp: int) -> str:
    """The Authorization header of a POST, over content-type and host, as the vendor's own example signs."""
    date = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}"
    scope = f"{date}/{service}/tc3_request"
    names = "content-type;host"
    lines = f"content-type:{CONTENT_TYPE}\nhost:{host}\n"
    request = "\n".join(("POST", "/", "", lines, names, sha256_hex(body)))
    text = "\n".join((ALGORITHM, str(timestamp), scope, sha256_hex(request.encode())))
    key = f"TC3{key_secret}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac_sha256(key, part)
    return f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={hmac_sha256(key, text).hex()}"


@dataclass(frozen=True, kw_only=True)
class TencentSMS(SMSTransport):
    """An account at Tencent Cloud; the variables are filled in the order of `text`."""

    sdk_app_id: str
    region: str = "ap-guangzhou"
    base_url: str = BASE_URL

    def send(self, message: Message) -> Sent:
        """One call for all phones: sent when any of them was, and says which were not. Raises TransportError."""
        request = {
            "PhoneNumberSet": list(self.phones),
            "SmsSdkAppId": self.sdk_app_id,
            "SignName": self.sign_name,
            "TemplateId": self.template,
            "TemplateParamSet": list(self.text.fill(message).values()),
        }
        body = json.dumps(request, ensure_ascii=False).encode()
        timestamp = int(self.now().timestamp())
        host = host_of(self.base_url)
        headers = {
            "Host": host,
            "Content-Type": CONTENT_TYPE,
            "X-TC-Action": "SendSms",
            "X-TC-Version": "2021-01-11",
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Region": self.region,
            "Authorization": authorization(
                self.key_id, self.key_secret, service="sms", host=host, body=body, timestamp=timestamp
            ),
        }
        answer = post(f"{self.base_url}/", body, headers, trusted=self.trusted)
        return Sent(_outcome(read_json(answer)), answer.elapsed_ms)


def _outcome(said: dict[str, Any]) -> str:
    """The serial number of the first text sent. Raises TransportError unless one was."""
    response = said.get("Response")
    response = response if isinstance(response, dict) else {}
    if isinstance(response.get("Error"), dict):
        raise _error(str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))[:200])
    phones = [status for status in response.get("SendStatusSet") or [] if isinstance(status, dict)]
    sent = [status for status in phones if status.get("Code") == "Ok"]
    refused = [status for status in phones if status.get("Code") != "Ok"]
    if not sent:
        first = refused[0] if refused else {}
        raise _error(str(first.get("Code", "no status")), str(first.get("Message", ""))[:200])
    left_out = "; ".join(f"{_masked(status.get('PhoneNumber'))}: {status.get('Code')}" for status in refused)
    return f"SerialNo {sent[0].get('SerialNo', '')}" + (f"; not sent to {left_out}" if left_out else "")


def _masked(phone: object) -> str:
    return f"…{str(phone)[-4:]}"


def _error(code: str, text: str) -> TransportError:
    said = f"Tencent Cloud: {text} ({code})"
    if code.startswith("LimitExceeded"):
        hint = _("Tencent Cloud’s own limit of texts is reached; it tries again later.")
        return TransportError(said, permanent=False, hint=hint, retry_after_s=3600)
    if code.startswith(_TEMPORARY):
        return TransportError(said, permanent=False)
    return TransportError(said, permanent=True, hint=_HINTS.get(code, ""))
