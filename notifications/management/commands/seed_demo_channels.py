"""manage.py seed_demo_channels: alert channels that lead to the sandbox. Refuses outside demo and test mode."""

import json
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from notifications.models import Channel
from voicehelper.secrets import Secret

NAMES = {"dingtalk": "钉钉值班群", "sms_aliyun": "阿里云短信", "sms_tencent": "腾讯云短信"}
PHONE = "13800138000"


class Command(BaseCommand):
    help = "Make a DingTalk and two SMS channels with the sandbox's keys, unless there is any channel."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION or not settings.SANDBOX:
            raise CommandError("Demo data is for demo and test mode with SANDBOX=True only.")
        if Channel.objects.exists():
            return
        answer = StringIO()
        call_command("open_sandbox_messengers", stdout=answer)
        for kind, account in json.loads(answer.getvalue()).items():
            if kind in NAMES:
                # Texts cost, in earnest: the demo shows how to keep them for one's own switching on.
                facts = {"enabled": kind == "dingtalk", "secret": Secret(account["secret"])}
                Channel.objects.create(kind=kind, name=NAMES[kind], **facts, **_facts(kind, account))


def _facts(kind: str, account: dict[str, Any]) -> dict[str, Any]:
    if kind == "dingtalk":
        webhook = f"https://oapi.dingtalk.com/robot/send?access_token={account['key_id']}"
        return {"webhook": Secret(webhook), "options": {"mobiles": [PHONE]}}
    texts = ("{title}", "{time}")
    options = {
        "key_id": account["key_id"],
        "sign_name": account["sign_name"],
        "template": account["template"],
        "patterns": [list(pair) for pair in zip(account["variables"], texts, strict=True)],
        "most": 35,
        "phones": [PHONE],
    }
    if kind == "sms_tencent":
        options |= {"sdk_app_id": account["app_id"], "region": "ap-guangzhou"}
    return {"options": options}
