"""Copies of all that is kept of a user: asked for here, written by whoever keeps files (see `written_by`).

What a copy holds is registered by the apps that keep it, as sources of parts. A part is a file within the ZIP; its
bytes come as they are read, so that nobody needs memory for all of them. No part may hold what is another user's.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from voicehelper.api import ratelimit
from voicehelper.spreadsheet import Columns, csv_lines

from .forgetting import BATCH, batches
from .models import DataExport, User

KEPT = timedelta(days=7)
# How long an address of a copy is good, in seconds.
LINK_S = 600
PER_USER = "3 per day"


class ExportRefused(Exception):
    """There is no copy to be had now; `words` say why."""

    def __init__(self, words: str, wait_s: int = 0) -> None:
        super().__init__(words)
        self.words = words
        self.wait_s = wait_s


# --- What is in it ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Part:
    """One file of a copy: its path in the ZIP, and its bytes as they come."""

    path: str
    content: Iterable[bytes]


@dataclass(frozen=True)
class Source:
    """What an app keeps of a user: how many parts that is, and the parts."""

    count: Callable[[User], int]
    parts: Callable[[User], Iterator[Part]]


_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Let these parts be in every copy."""
    _sources[name] = source


def count_parts(user: User) -> int:
    return sum(source.count(user) for source in _sources.values())


def parts_of(user: User) -> Iterator[Part]:
    """All of it, in the order of registration."""
    for source in _sources.values():
        yield from source.parts(user)


def as_json(rows: "QuerySet[Any]", read: Callable[[Any], dict[str, Any]], at_once: int = BATCH) -> Iterator[bytes]:
    """Rows as one JSON array, a row a line, in the memory that so many take."""
    yield b"["
    before = b"\n"
    for found in batches(rows, at_once):
        for row in found:
            yield before + orjson.dumps(read(row), default=str)
            before = b",\n"
    yield b"\n]\n"


def as_csv(rows: "QuerySet[Any]", columns: Columns) -> Iterator[bytes]:
    """Rows as a table for spreadsheets, oldest first, in constant memory."""
    for line in csv_lines(columns, (row for found in batches(rows) for row in found)):
        yield line.encode()


# --- Whoever writes it -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Writer:
    """Who makes files of copies and keeps them: has one (by its id) made elsewhere, gives an address that is good for
    LINK_S (raises ExportRefused), and deletes the file and then the row (False: not yet)."""

    begin: Callable[[int], object]
    address_of: Callable[[DataExport], str]
    delete: Callable[[DataExport], bool]


_writers: list[Writer] = []


def written_by(writer: Writer) -> None:
    """Have copies written and kept by this from now on."""
    _writers[:] = [writer]


def _writer() -> Writer:
    if not _writers:
        raise ImproperlyConfigured("Nobody keeps copies: an app has to call exports.written_by in AppConfig.ready().")
    return _writers[0]


# --- What users do ---------------------------------------------------------------------------------------------------
def ask(user: User) -> DataExport:
    """Have a copy made; one that is being made already is that one. Raises ExportRefused."""
    if under_way := DataExport.objects.filter(user=user, state=DataExport.State.WAITING).first():
        return under_way
    try:
        ratelimit.brake((PER_USER, "export", str(user.pk)))
    except ratelimit.TooMany as error:
        raise ExportRefused(error.words, error.wait_s) from None
    try:
        with transaction.atomic():
            made = DataExport.objects.create(user=user)
    except IntegrityError:
        # The other half of a double click was first.
        return DataExport.objects.filter(user=user).latest("pk")
    # The sweep begins it when the queue is away.
    transaction.on_commit(lambda: _writer().begin(made.pk), robust=True)
    return made


def latest_of(user: User) -> DataExport | None:
    """The last one that is still there."""
    return DataExport.objects.filter(user=user).order_by("-pk").first()


def ready_of(user: User) -> DataExport | None:
    """The copy that can be fetched."""
    ready = DataExport.objects.filter(user=user, state=DataExport.State.READY, expires__gt=Now())
    return ready.order_by("-pk").first()


def address_of(export: DataExport) -> str:
    """Where it can be fetched for LINK_S from now on. Raises ExportRefused."""
    return _writer().address_of(export)


def drop(user: User) -> None:
    """Delete the user's copies that are ready. One whose store is down goes with the sweep."""
    mine = DataExport.objects.filter(user=user).exclude(state=DataExport.State.WAITING)
    mine.update(expires=Now())
    for export in mine:
        _writer().delete(export)
