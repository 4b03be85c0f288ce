"""Tencent Cloud's text moderation (TMS): TextModeration of 2020-12-29, signed with TC3-HMAC-SHA256.

https://cloud.tencent.com/document/product/1124/51860: Content is base64 of at most 10,000 characters; Suggestion is
Pass, Review or Block, and Block is what is to be refused.
"""

import base64
import json
from urllib.parse import urlsplit

from notifications.transports.sms_tencent import authorization

from .base import Found, Moderator, ModeratorAway

BASE_URL = "https://tms.tencentcloudapi.com"
REGION = "ap-guangzhou"


class TencentModerator(Moderator):
    """`service` is the BizType of a policy made in the console."""

    most = 10_000

    async def judge(self, text: str, direction: str) -> Found:
        request = {"Content": base64.b64encode(text.encode()).decode()}
        if self.service:
            request["BizType"] = self.service
        body = json.dumps(request).encode()
        timestamp, host = int(self.now().timestamp()), urlsplit(self.base_url).netloc
        headers = {
            "Host": host,
            "Content-Type": "application/json; charset=utf-8",
            "X-TC-Action": "TextModeration",
            "X-TC-Version": "2020-12-29",
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Region": REGION,
            "Authorization": authorization(
                self.key_id, self.key_secret, service="tms", host=host, body=body, timestamp=timestamp
            ),
        }
        said = (await self._post(body, headers)).json_object() or {}
        response = said.get("Response")
        response = response if isinstance(response, dict) else {}
        if isinstance(response.get("Error"), dict) or "Suggestion" not in response:
            error = response.get("Error") or {}
            raise ModeratorAway(
                f"Tencent Cloud: {str(error.get('Message', ''))[:200]} ({error.get('Code', 'no verdict')})"
            )
        return Found(str(response.get("Label") or "Block")[:100] if response["Suggestion"] == "Block" else "")
