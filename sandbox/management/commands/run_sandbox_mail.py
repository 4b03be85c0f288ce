"""`manage.py run_sandbox_mail`: the mail server that delivers nothing, in the foreground; see /sandbox/messages."""

import hmac
import signal
from argparse import ArgumentParser

from django.core.management.base import BaseCommand
from django.db import connection

from sandbox.messengers import account
from sandbox.models import Arrival, Messenger
from sandbox.smtp import Mail, MailServer


class Command(BaseCommand):
    help = "Run the SMTP stand-in on loopback until interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=2525)

    def handle(self, *_args: object, **options: object) -> None:
        with MailServer(int(str(options["port"])), check=check, take=keep) as server:
            self.stdout.write(f"SMTP on 127.0.0.1:{server.port}")
            signal.pause()


def check(user: str, password: str) -> bool:
    try:
        mailbox = account("email", user)
        return mailbox is not None and hmac.compare_digest(mailbox.secret.encode(), password.encode())
    finally:
        connection.close()


def keep(mail: Mail) -> None:
    try:
        Arrival.objects.create(
            messenger=Messenger.objects.get(kind="email", key_id=mail.user),
            to=", ".join(mail.recipients)[:200],
            text=f"{mail.subject}\n\n{mail.part('plain')}".replace("\0", ""),
            raw=mail.part("html").replace("\0", ""),
            accepted=True,
            answer="250 2.0.0 Taken",
        )
    finally:
        connection.close()
