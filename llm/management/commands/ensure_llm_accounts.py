"""`manage.py ensure_llm_accounts`: what the first call of a server does anyway, done now."""

from typing import Any

from django.core.management.base import BaseCommand

from llm.credentials import ensure_environment_credentials


class Command(BaseCommand):
    help = "Makes the accounts that ARK_API_KEY, OPENAI_API_KEY and ANTHROPIC_API_KEY name, or brings them up to date."

    def handle(self, *args: Any, **options: Any) -> None:
        changed = ensure_environment_credentials()
        self.stdout.write(f"{changed} account(s) made or changed.")
