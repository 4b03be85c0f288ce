"""manage.py compare_upstream_bill: one day of a provider's bill beside what was captured."""

import sys
from argparse import ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.management.base import BaseCommand, CommandParser

from llm.providers import PROVIDERS
from llm.upstream_bills import UnusableBill, compare, read_bill

_MOST_BYTES = 16 * 1024 * 1024


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day. Write it as 2026-11-22.") from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ArgumentTypeError(f"{text!r} is no time zone. Write Asia/Shanghai, or UTC.") from None


class Command(BaseCommand):
    help = (
        "Compare the tokens a provider counted on one day with those we captured; more than one percent apart raises an"
        " alert. The file is CSV with the columns model, input_tokens, output_tokens; models by the provider's names."
        " Exit code: 0 they agree, 1 they differ, 2 the file or an option cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", required=True, choices=sorted(PROVIDERS))
        parser.add_argument("--date", required=True, type=_day, help="the day of the bill: 2026-11-22")
        parser.add_argument("--file", required=True, type=Path)
        parser.add_argument(
            "--timezone",
            type=_zone,
            default="Asia/Shanghai",
            help="whose day it is; OpenAI counts in UTC",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            bill = read_bill(_content(options["file"]))
        except UnusableBill as error:
            self.stderr.write(str(error))
            sys.exit(2)
        lines = compare(options["provider"], options["date"], options["timezone"], bill)
        for line in lines:
            self.stdout.write(f"{'differs' if line.differs else 'agrees '}  {line}")
        wrong = sum(line.differs for line in lines)
        self.stdout.write(f"{len(lines)} models compared, {wrong} differ by more than 1 %.")
        if wrong:
            sys.exit(1)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnusableBill(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > _MOST_BYTES:
        raise UnusableBill(f"{path} is larger than {_MOST_BYTES} bytes: that is no daily bill.")
    return content
