"""DingTalk's group robot: a text message to a webhook, signed with the robot's secret.

https://open.dingtalk.com/document/robots/custom-robot-access and …/customize-robot-security-settings. Every answer is
HTTP 200; only `errcode` tells. Beyond 20 messages a minute the robot is silenced for ten minutes.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus, urlsplit

from django.utils.translation import gettext_lazy as _

from .base import Clock, Message, Sent, Transport, TransportError, hmac_sha256, post, read_json

BASE_URL = "https://oapi.dingtalk.com"
# The whole body may have 20,000 bytes.
MOST_BYTES = 18_000
SILENCED_S = 600

_TOO_FAST = {130101, 410100}
_SECURITY = 310000
_NO_ROBOT = {300001, 300005, 400101, 400106}
_STOPPED = {400013, 400102}


def token_of(webhook: str) -> str:
    """The robot's access token, out of its webhook's address; empty when there is none."""
    try:
        return (parse_qs(urlsplit(webhook.strip()).query).get("access_token") or [""])[0].strip()
    except ValueError:
        return ""


def sign(secret: str, timestamp_ms: int) -> str:
    """base64(HMAC-SHA256(secret, "timestamp\\nsecret")), before it is quoted for the query."""
    return base64.b64encode(hmac_sha256(secret.encode(), f"{timestamp_ms}\n{secret}")).decode()


@dataclass(frozen=True)
class DingTalk(Transport):
    """One robot. Without a secret it sends unsigned (a robot that checks keywords or addresses instead)."""

    token: str = field(repr=False)
    secret: str = field(repr=False, default="")
    mobiles: tuple[str, ...] = ()
    base_url: str = BASE_URL
    trusted: bool = False
    now: Clock = lambda: datetime.now(UTC)
    target = "robot/send"

    def send(self, message: Message) -> Sent:
        """Critical messages call everybody, others the mobiles. Raises TransportError."""
        body = json.dumps(payload(message, self.mobiles), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = post(self._url(), body, headers, trusted=self.trusted)
        said = read_json(answer)
        code = said.get("errcode")
        if code != 0:
            raise _error(code, str(said.get("errmsg", ""))[:200])
        return Sent(elapsed_ms=answer.elapsed_ms)

    def _url(self) -> str:
        url = f"{self.base_url}/robot/send?access_token={quote_plus(self.token)}"
        if not self.secret:
            return url
        timestamp_ms = int(self.now().timestamp() * 1000)
        return f"{url}&timestamp={timestamp_ms}&sign={quote_plus(sign(self.secret, timestamp_ms))}"


def payload(message: Message, mobiles: tuple[str, ...] = ()) -> dict[str, object]:
    """The JSON of a text message. The people called are named in the text too: DingTalk shows them there."""
    everybody = message.level == "critical"
    times = f" ×{message.count:,}" if message.count > 1 else ""
    parts = [f"{message.icon} [{message.level.upper()}] {message.title}{times}", message.content]
    open_it, time = _("Open it"), _("Time")
    if message.link:
        parts.append(f"{open_it}: {message.link}")
    parts.append(f"{time}: {message.time_text}")
    if mobiles and not everybody:
        parts.append(" ".join(f"@{mobile}" for mobile in mobiles))
    text = "\n\n".join(filter(None, parts)).encode()
    if len(text) > MOST_BYTES:
        text = text[:MOST_BYTES].decode(errors="ignore").encode() + "…".encode()
    at = {"atMobiles": list(mobiles), "isAtAll": everybody}
    return {"msgtype": "text", "text": {"content": text.decode()}, "at": at}


def _error(code: object, text: str) -> TransportError:
    said = f"DingTalk: {text} (errcode {code})"
    low = text.lower()
    if code in _TOO_FAST or "too fast" in low:
        hint = _("More than 20 messages in a minute: the robot is silenced for ten minutes, then it goes on.")
        return TransportError(said, permanent=False, hint=hint, retry_after_s=SILENCED_S)
    if code == -1:
        return TransportError(said, permanent=False, hint=_("DingTalk is busy."), retry_after_s=30)
    if code == _SECURITY:
        return TransportError(said, permanent=True, hint=_security_hint(low))
    if code in _NO_ROBOT:
        return TransportError(said, permanent=True, hint=_("There is no such robot: copy its webhook address anew."))
    if code in _STOPPED:
        return TransportError(said, permanent=True, hint=_("The robot was stopped, or its group is gone."))
    return TransportError(said, permanent=True)


def _security_hint(text: str) -> object:
    if "sign" in text or "timestamp" in text:
        return _("The secret is not this robot’s (it begins with SEC), or this server’s clock is off.")
    if "keyword" in text:
        return _("The robot wants a keyword. Use VoiceHelper as keyword, or choose signing instead.")
    if "ip" in text or "whitelist" in text:
        return _("This server’s address is not in the robot’s list of allowed addresses.")
    return _("The robot’s security settings refuse the message.")
