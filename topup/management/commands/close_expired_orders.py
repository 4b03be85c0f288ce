"""manage.py close_expired_orders: what the scheduled sweep does, at once."""

from typing import Any

from django.core.management.base import BaseCommand

from topup.services import follow_orders


class Command(BaseCommand):
    help = "Ask the providers about open orders, credit the paid ones, close those whose time is over."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{follow_orders(budget_s=3600)} orders looked after.")
