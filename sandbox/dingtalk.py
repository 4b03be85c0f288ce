"""DingTalk's group robot: `POST /robot/send?access_token=…&timestamp=…&sign=…`.

As strict as the real one: the signature, the clock (one hour), the content type, the size; and more than twenty
messages in a minute silence the robot for ten. Every answer is HTTP 200.
"""

import base64
import json
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from .messengers import Letter, Refused, account, mac, receive, same, taken_since
from .models import Messenger

MOST_BYTES = 20_000
PER_MINUTE = 20
SILENCE = timedelta(minutes=10)


@csrf_exempt
def send(request: HttpRequest) -> HttpResponse:
    """The robot's webhook."""
    token = request.GET.get("access_token", "")
    unknown = Refused(300005, "token is not exist") if token else Refused(40035, "缺少参数 access_token")
    return receive(request, account("dingtalk", token), unknown, _read, _write)


def _write(refused: Refused) -> dict[str, Any]:
    return {"errcode": refused.code, "errmsg": refused.text}


def _read(request: HttpRequest, robot: Messenger, letter: Letter) -> None:
    if request.method != "POST":
        raise Refused(43002, "需要POST请求")
    if request.content_type != "application/json":
        raise Refused(43004, "需要application/json")
    _check_signature(request, robot)
    if len(request.body) > MOST_BYTES:
        raise Refused(460101, "message too long, exceed 20000 bytes")
    body = _json(request.body)
    letter.text, letter.to = _text(body), _called(body)
    _check_speed(robot)
    letter.answer = {"errcode": 0, "errmsg": "ok"}


def _check_signature(request: HttpRequest, robot: Messenger) -> None:
    timestamp = request.GET.get("timestamp", "")
    now_ms = timezone.now().timestamp() * 1000
    if not timestamp.isdecimal() or abs(int(timestamp[:20]) - now_ms) > 3_600_000:
        raise Refused(310000, "invalid timestamp")
    right = base64.b64encode(mac(robot.secret.encode(), f"{timestamp}\n{robot.secret}")).decode()
    if not same(request.GET.get("sign", ""), right):
        raise Refused(310000, "sign not match")


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(40035, "缺少参数 json")
    return found


def _text(body: dict[str, Any]) -> str:
    if body.get("msgtype") != "text":
        raise Refused(400105, "不支持的消息类型")
    text = body.get("text")
    content = text.get("content") if isinstance(text, dict) else None
    if not isinstance(content, str) or not content.strip():
        raise Refused(40035, "缺少参数 text.content")
    return content


def _called(body: dict[str, Any]) -> str:
    at = body.get("at")
    if not isinstance(at, dict):
        return ""
    if at.get("isAtAll") is True:
        return "@all"
    return " ".join(f"@{mobile}" for mobile in at.get("atMobiles") or [])


def _check_speed(robot: Messenger) -> None:
    now = timezone.now()
    silenced = robot.silenced_until is not None and robot.silenced_until > now
    if not silenced and taken_since(robot, 60) < PER_MINUTE:
        return
    if not silenced:
        Messenger.objects.filter(pk=robot.pk).update(silenced_until=now + SILENCE)
    raise Refused(130101, "send too fast, exceed 20 times per minute")
