"""Aliyun's content moderation 2.0: TextModerationPlus of 2022-03-02, signed with ACS3-HMAC-SHA256.

https://help.aliyun.com/document_detail/2671445.html: services llm_query_moderation and llm_response_moderation, at most
2,000 characters; RiskLevel is none, low, medium or high, and high is what is to be refused.
"""

import json
import secrets
from datetime import UTC
from urllib.parse import urlencode, urlsplit

from notifications.transports.base import sha256_hex
from notifications.transports.sms_aliyun import authorization

from .base import QUESTION, Found, Moderator, ModeratorAway

BASE_URL = "https://green-cip.cn-shanghai.aliyuncs.com"
_CONTENT_TYPE = "application/x-www-form-urlencoded"


class AliyunModerator(Moderator):
    """`service` in place of the two for questions to models and their answers."""

    async def judge(self, text: str, direction: str) -> Found:
        service = self.service or ("llm_query_moderation" if direction == QUESTION else "llm_response_moderation")
        form = {"Service": service, "ServiceParameters": json.dumps({"content": text}, ensure_ascii=False)}
        body = urlencode(form).encode()
        headers = {
            "host": urlsplit(self.base_url).netloc,
            "content-type": _CONTENT_TYPE,
            "x-acs-action": "TextModerationPlus",
            "x-acs-version": "2022-03-02",
            "x-acs-date": f"{self.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": sha256_hex(body),
        }
        headers["Authorization"] = authorization(
            self.key_id, self.key_secret, method="POST", query={}, headers=headers, body=body
        )
        answer = await self._post(body, headers)
        said = answer.json_object() or {}
        data = said.get("Data")
        if said.get("Code") != 200 or not isinstance(data, dict):
            raise ModeratorAway(f"Aliyun: {str(said.get('Message', ''))[:200]} ({said.get('Code', answer.status)})")
        if data.get("RiskLevel") != "high":
            return Found()
        labels = [str(each.get("Label", "")) for each in data.get("Result") or () if isinstance(each, dict)]
        return Found(",".join(filter(None, labels))[:100] or "high")
