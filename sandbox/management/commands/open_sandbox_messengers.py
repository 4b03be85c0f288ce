"""`manage.py open_sandbox_messengers`: a robot, two SMS accounts and a mailbox at the stand-ins, once; prints them."""

import json
import secrets

from django.core.management.base import BaseCommand

from sandbox.models import Messenger


class Command(BaseCommand):
    """Idempotent: the second run prints the same accounts."""

    help = "Open (or show) an account at each messenger of the sandbox, as JSON."

    def handle(self, *_args: object, **_options: object) -> str:
        """Returns what it prints: kind → key_id, secret, app_id, sign_name, template, variables."""
        return json.dumps({kind: facts(open_account(kind)) for kind in Messenger.Kind.values}, ensure_ascii=False)


def open_account(kind: str) -> Messenger:
    found = Messenger.objects.filter(kind=kind).order_by("pk").first()
    return found or Messenger.objects.create(kind=kind, **_fresh(kind))


def facts(messenger: Messenger) -> dict[str, object]:
    names = ("key_id", "secret", "app_id", "sign_name", "template", "variables")
    return {name: getattr(messenger, name) for name in names}


def _fresh(kind: str) -> dict[str, object]:
    if kind == Messenger.Kind.DINGTALK:
        return {"key_id": secrets.token_hex(32), "secret": f"SEC{secrets.token_hex(32)}"}
    if kind == Messenger.Kind.SMTP:
        return {"key_id": "alerts@sandbox.invalid", "secret": secrets.token_hex(16)}
    if kind == Messenger.Kind.ALIYUN:
        template = {"template": f"SMS_{secrets.randbelow(10**9):09d}", "variables": ["title", "time"]}
        return {
            "key_id": f"LTAI{secrets.token_hex(10)}",
            "secret": secrets.token_hex(15),
            "sign_name": "智能助手",
            **template,
        }
    template = {"template": f"{secrets.randbelow(10**7):07d}", "variables": ["1", "2"]}
    app_id = f"1400{secrets.randbelow(10**6):06d}"
    key = {"key_id": f"AKID{secrets.token_hex(16)}", "secret": secrets.token_hex(16)}
    return {**key, "app_id": app_id, "sign_name": "智能助手", **template}
