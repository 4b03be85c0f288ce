"""manage.py rotate_secrets: encrypt what is stored with the newest key. Exit 1 when a secret cannot be read."""

import sys
import time
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from voicehelper import rotation


class Command(BaseCommand):
    help = "Encrypts every stored secret anew with the first key of VOICEHELPER_SECRET_KEYS; then the others may go."

    def handle(self, *args: Any, **options: Any) -> None:
        with suppress(rotation.NotRotated):
            rotation.begin(by="manage.py rotate_secrets")
        while (found := rotation.latest()) is not None and found.finished is None:
            if rotation.work() is None:
                # A worker is at it.
                time.sleep(1)
        assert found is not None  # noqa: S101  # begun above, if not before
        uses, _whole = rotation.key_uses()
        count = sum(use.count for use in uses if use.newest)
        self.stdout.write(f"{count} secret(s) are encrypted with the newest key.")
        for row in found.unreadable:
            self.stdout.write(self.style.ERROR(f"No key opens {row}. Put its key back, or enter the secret again."))
        if found.unreadable:
            sys.exit(1)
