"""manage.py rotate_secrets: encrypt what is stored with the newest key. Exit 1 when a secret cannot be read."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from voicehelper import secrets


class Command(BaseCommand):
    help = "Encrypts every stored secret anew with the first key of VOICEHELPER_SECRET_KEYS; then the others may go."

    def handle(self, *args: Any, **options: Any) -> None:
        count, unreadable = secrets.rotate()
        self.stdout.write(f"{count} secret(s) are encrypted with the newest key.")
        for row in unreadable:
            self.stdout.write(self.style.ERROR(f"No key opens {row}. Put its key back, or enter the secret again."))
        if unreadable:
            sys.exit(1)
