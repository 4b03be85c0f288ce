"""`manage.py plant_models`: the models and aliases that come along, as far as they are missing."""

from typing import Any

from django.core.management.base import BaseCommand

from llm.models import Alias, Model
from llm.seeds import plant, plant_aliases


class Command(BaseCommand):
    help = "Makes the models and aliases that come along, as far as they are missing. What is there stays as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{plant(Model)} model(s) and {plant_aliases(Alias)} alias(es) made.")
