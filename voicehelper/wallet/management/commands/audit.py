"""manage.py audit: do the books agree? Exit 0 when they do, 1 with the rows that break a rule."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from voicehelper.wallet import audit


class Command(BaseCommand):
    help = "Check every invariant of the ledger and the orders; exits 1 and names the rows that break one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--incremental", action="store_true", help="Only what changed since the last clean audit.")
        parser.add_argument("--chain", default="", help="One that an earlier audit printed: it must still be there.")

    def handle(self, *args: Any, **options: Any) -> None:
        run = audit.run(full=not options["incremental"], chain=options["chain"])
        for line in audit.open_ends():
            self.stdout.write(self.style.WARNING(line))
        for finding in run.findings:
            self.stdout.write(self.style.ERROR(finding))
        if run.findings:
            self.stdout.write(f"{len(run.findings)} findings: the books do not agree.")
            sys.exit(1)
        if run.chain:
            self.stdout.write(f"Chain of closed periods: {run.chain}")
        self.stdout.write(self.style.SUCCESS("The books agree."))
