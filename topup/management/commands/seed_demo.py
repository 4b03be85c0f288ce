"""manage.py seed_demo: demo accounts, and the gateways and models pointed at the sandbox. Demo and test mode only."""

import json
from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from topup.services.options import read_options, write_options
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

GIFT_UNITS = 10
QUOTA_PER_UNIT = 500_000
WELCOME = "demo-welcome"


class Command(BaseCommand):
    help = "Make the demo accounts (admin/admin, demo/demo) and switch on the gateways with the sandbox's keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--history", action="store_true", help="and a month of made-up business (seed_history)")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION or not settings.SANDBOX:
            raise CommandError("Demo data is for demo and test mode with SANDBOX=True only.")
        with transaction.atomic():
            _make_users()
        _switch_on_gateways()
        # The first call of a server would make them too; the admin shall show them before it.
        call_command("ensure_llm_accounts", stdout=StringIO())
        if options["history"]:
            call_command("seed_history")
        _welcome_demo()


def _make_users() -> None:
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", password="admin")  # noqa: S106  # public, demo mode only
    if not User.objects.filter(username="demo").exists():
        User.objects.create_user("demo", password="demo")  # noqa: S106  # public, demo mode only


def _welcome_demo() -> None:
    """Last: what demo did before ends with nothing left, and this is what it starts with."""
    if not Entry.objects.filter(kind=Entry.Kind.GIFT, ref=WELCOME).exists():
        credit(
            User.objects.get(username="demo"),
            GIFT_UNITS * QUOTA_PER_UNIT,
            kind=Entry.Kind.GIFT,
            ref=WELCOME,
            actor="seed_demo",
            reason="演示账号的体验额度",
        )


def _switch_on_gateways() -> None:
    """Ask the sandbox for accounts, as an operator would ask a provider; what is set already stays, and what such an
    account has been given since is added."""
    answer = StringIO()
    call_command("open_sandbox_accounts", "--options", stdout=answer)
    for account in json.loads(answer.getvalue()):
        now = read_options()
        (name, number), *_others = account.items()
        if not now[name]:
            write_options(account)
        elif now[name] == number:
            write_options({key: value for key, value in account.items() if now[key] == "" and not now.get(f"{key}Set")})
