"""Channels that lead to the stand-ins."""

from typing import Any

from notifications.models import Channel
from sandbox.management.commands.open_sandbox_messengers import open_account
from sandbox.models import Arrival, Messenger
from voicehelper.secrets import Secret

PHONE = "+8613800138000"


def robot_channel(name: str = "robot", **changes: Any) -> Channel:
    robot = open_account("dingtalk")
    webhook = f"https://oapi.dingtalk.com/robot/send?access_token={robot.key_id}"
    facts = {"kind": "dingtalk", "webhook": Secret(webhook), "secret": Secret(robot.secret), "options": {"mobiles": []}}
    return Channel.objects.create(name=name, **facts | changes)


def aliyun_channel(**changes: Any) -> Channel:
    account = open_account("sms_aliyun")
    options = _sms(account) | {"patterns": [["title", "{title}"], ["time", "{time}"]]} | changes
    return Channel.objects.create(kind="sms_aliyun", name="aliyun", secret=Secret(account.secret), options=options)


def tencent_channel(**changes: Any) -> Channel:
    account = open_account("sms_tencent")
    options = _sms(account) | {"patterns": [["1", "{title}"], ["2", "{time}"]]}
    options |= {"sdk_app_id": account.app_id, "region": "ap-guangzhou"} | changes
    return Channel.objects.create(kind="sms_tencent", name="tencent", secret=Secret(account.secret), options=options)


def mail_channel(port: int, password: str = "mail-password", **changes: Any) -> Channel:
    options = {"host": "127.0.0.1", "port": port, "security": "plain", "sender": "alerts@example.com"}
    options |= {"sender_name": "VoiceHelper", "recipients": ["ops@example.com"], "username": "mailer"} | changes
    return Channel.objects.create(kind="email", name="mail", secret=Secret(password), options=options)


def arrived(kind: str = "dingtalk") -> list[str]:
    """The texts that a stand-in took, oldest first."""
    taken = Arrival.objects.filter(messenger__kind=kind, accepted=True).order_by("pk")
    return list(taken.values_list("text", flat=True))


def refused(kind: str = "dingtalk") -> list[str]:
    return list(Arrival.objects.filter(messenger__kind=kind, accepted=False).values_list("answer", flat=True))


def silence_none() -> None:
    Messenger.objects.update(silenced_until=None)


def _sms(account: Messenger) -> dict[str, Any]:
    common = {"key_id": account.key_id, "sign_name": account.sign_name, "template": account.template}
    return {**common, "phones": [PHONE], "most": 35}
