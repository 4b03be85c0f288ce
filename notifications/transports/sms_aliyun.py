"""Aliyun SMS: SendSms of 2017-05-25, signed with ACS3-HMAC-SHA256.

Signature: https://help.aliyun.com/document_detail/2593177.html; SendSms: …/document_detail/419273.html; errors:
…/document_detail/101346.html. A call is not idempotent, so one without an answer may send the text twice.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from .base import Message, Sent, SMSTransport, TransportError, hmac_sha256, host_of, post, read_json, sha256_hex

BASE_URL = "https://dysmsapi.aliyuncs.com"
ALGORITHM = "ACS3-HMAC-SHA256"

_TEMPORARY = ("Throttling", "ServiceUnavailable", "InternalError", "isp.SYSTEM_ERROR", "isp.UNKNOWN_ERR_CODE")
_LIMITS = ("isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL")
_HINTS = {
    "InvalidAccessKeyId": _("There is no such AccessKey id, or it is disabled."),
    "SignatureDoesNotMatch": _("The AccessKey secret does not belong to the AccessKey id."),
    "InvalidTimeStamp": _("This server’s clock is off by more than 15 minutes."),
    "isv.SMS_SIGNATURE_ILLEGAL": _("The sign name is not approved at Aliyun, or written differently there."),
    "isv.SMS_TEMPLATE_ILLEGAL": _("The template code does not exist, or is not approved."),
    "isv.TEMPLATE_MISSING_PARAMETERS": _("The template has variables that are not filled: see “Template variables”."),
    "isv.TEMPLATE_PARAMS_ILLEGAL": _("A template variable is filled with what its kind does not allow."),
    "isv.MOBILE_NUMBER_ILLEGAL": _("A phone number is not one: 11 digits, or with the country’s code."),
    "isv.AMOUNT_NOT_ENOUGH": _("The account has no money left."),
    "isv.OUT_OF_SERVICE": _("The account has no money left."),
    "isp.RAM_PERMISSION_DENY": _("Give the AccessKey’s user the right AliyunDysmsFullAccess."),
    "Forbidden.RAM": _("Give the AccessKey’s user the right AliyunDysmsFullAccess."),
}


def encode(text: str) -> str:
    """RFC 3986: what is not a letter, a digit or one of -_.~ is escaped."""
    return quote(text, safe="-_.~")


def query_string(query: Mapping[str, str]) -> str:
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(query.items()))


def authorization(
    key_id: str, key_secret: str, *, method: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> str:
    """The Authorization header over host, content-type and every x-acs-* header of `headers` (lower-case names)."""
    signed = {
        name: value
        for name, value in sorted(headers.items())
        if name in ("host", "content-type") or name.startswith("x-acs-")
    }
    names = ";".join(signed)
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in signed.items())
    request = "\n".join((method, "/", query_string(query), lines, names, sha256_hex(body)))
    signature = hmac_sha256(key_secret.encode(), f"{ALGORITHM}\n{sha256_hex(request.encode())}").hex()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


@dataclass(frozen=True, kw_only=True)
class AliyunSMS(SMSTransport):
    """An account at Aliyun."""

    base_url: str = BASE_URL

    def send(self, message: Message) -> Sent:
        """One call for all phones. Raises TransportError."""
        query = {
            "PhoneNumbers": ",".join(self.phones),
            "SignName": self.sign_name,
            "TemplateCode": self.template,
            "TemplateParam": json.dumps(self.text.fill(message), ensure_ascii=False),
        }
        headers = {
            "host": host_of(self.base_url),
            "x-acs-action": "SendSms",
            "x-acs-version": "2017-05-25",
            "x-acs-date": f"{self.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": sha256_hex(b""),
        }
        headers["Authorization"] = authorization(
            self.key_id, self.key_secret, method="POST", query=query, headers=headers, body=b""
        )
        answer = post(f"{self.base_url}/?{query_string(query)}", b"", headers, trusted=self.trusted)
        said = read_json(answer)
        if said.get("Code") != "OK":
            raise _error(str(said.get("Code", answer.status)), str(said.get("Message", ""))[:200])
        return Sent(f"BizId {said.get('BizId', '')}", answer.elapsed_ms)


def _error(code: str, text: str) -> TransportError:
    said = f"Aliyun: {text} ({code})"
    if code in _LIMITS:
        hint = _("Aliyun’s own limit of texts is reached; it tries again later.")
        return TransportError(said, permanent=False, hint=hint, retry_after_s=3600)
    if code.startswith(_TEMPORARY):
        return TransportError(said, permanent=False)
    hints = (hint for name, hint in _HINTS.items() if code == name or code.startswith(f"{name}."))
    return TransportError(said, permanent=True, hint=next(hints, ""))
