"""Finished months of growing logs: written into a file, read back, and only then deleted from their table.

What is deleted is what the file says when it is read back, in small transactions that also note how far they came; so a
run that is killed goes on where it was, and no row goes that is not in a file that can be read. Nothing but the hard
disk knows how large a month is: rows, file and ids pass by in pieces.
"""

import gzip
import hashlib
import logging
import secrets
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Func, Max, Q, TextField
from django.db.models.functions import Now

from voicehelper import clock, retention
from voicehelper.retention import GrowingLog

from .backends.base import Label, Parts, StoreError
from .buckets import active_bucket, store_of
from .models import Archive, Retention

log = logging.getLogger(__name__)

State = Archive.State
BATCH = 1_000
# Longer than a month's file takes to be put; a run that was killed is over after that.
LEASE = timedelta(hours=1)
CONTENT_TYPE = "application/gzip"
_READ = 1024 * 1024


class ArchiveDamaged(Exception):
    """What was read back is not what was written; nothing was deleted because of it."""


class LogBusy(Exception):
    """Somebody else is archiving this log at this moment."""


# --- What is kept ----------------------------------------------------------------------------------------------------
def retention_of(growing: GrowingLog) -> Retention:
    """How long an operator wants it kept; made with the log's own months on first use."""
    return Retention.objects.get_or_create(log=growing.name, defaults={"months": growing.months})[0]


def kept_since(growing: GrowingLog) -> date | None:
    """The first day that is kept; None: all of them."""
    months = retention_of(growing).months
    return None if months is None else retention.kept_since(max(months, growing.least), clock.today())


@contextmanager
def _lease(growing: GrowingLog) -> Iterator[None]:
    """Raises LogBusy. Not a lock of the session: that would not outlive a connection pooler's transaction."""
    free = Q(busy_until=None) | Q(busy_until__lt=Now())
    if not Retention.objects.filter(free, log=retention_of(growing).log).update(busy_until=Now() + LEASE):
        raise LogBusy(growing.name)
    try:
        yield
    finally:
        Retention.objects.filter(log=growing.name).update(busy_until=None)


# --- Archiving -------------------------------------------------------------------------------------------------------
def archive(growing: GrowingLog, *, within: timedelta) -> int:
    """Finish what was begun, then archive month after month, oldest first, for as long as `within`. Returns how many
    rows were deleted. Raises LogBusy, StoreError, ArchiveDamaged."""
    first = kept_since(growing)
    if first is None:
        return 0
    until, deleted = time.monotonic() + within.total_seconds(), 0
    with _lease(growing):
        for begun in Archive.objects.filter(log=growing.name, month__lt=first).exclude(state=State.DONE).order_by("pk"):
            deleted += _go_on(growing, begun)
        while time.monotonic() < until and (month := growing.oldest(clock.midnight(first))) is not None:
            deleted += _go_on(growing, _begin(growing, month))
    return deleted


def _begin(growing: GrowingLog, month: date) -> Archive:
    before = Archive.objects.filter(log=growing.name, month=month).aggregate(last=Max("part"))["last"] or 0
    return Archive.objects.create(log=growing.name, month=month, part=before + 1, bucket=active_bucket())


def _go_on(growing: GrowingLog, month: Archive) -> int:
    """From wherever it is to the end. Returns how many rows were deleted."""
    if month.state == State.WRITING and not _write(growing, month):
        return 0
    return _delete(growing, month)


def _write(growing: GrowingLog, month: Archive) -> bool:
    """Write the file. False: there is nothing to write any more, or somebody else was first."""
    folder = Path(settings.FILES_DIR) / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as content:
        rows = _export(growing, month.month, content)
        if not rows:
            month.delete()
            return False
        facts = {"rows": rows, **_measure(content)}
        store = store_of(month.bucket)
        if month.key:
            # Of a try that did not end.
            store.delete(month.key)
        month.key = f"archive/{growing.name}/{month.month:%Y-%m}-{month.part}-{secrets.token_hex(16)}.jsonl.gz"
        # Before the object, so that none is ever unknown.
        Archive.objects.filter(pk=month.pk).update(key=month.key)
        store.put(month.key, content, label_of(month, str(facts["sha256"])))
    mine = Archive.objects.filter(pk=month.pk, state=State.WRITING, key=month.key)
    if mine.update(state=State.DELETING, **facts) != 1:
        store.delete(month.key)
        return False
    month.refresh_from_db()
    return True


def _export(growing: GrowingLog, month: date, content: IO[bytes]) -> int:
    """Write a month's rows, in the order of their ids, as they are in one moment. Returns how many."""
    table = growing.model._meta.db_table
    # The whole row, by the name of its table.
    as_json = Func(template=f"row_to_json({table})::text", output_field=TextField())
    count = 0
    with transaction.atomic(), gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")
        rows = growing.rows(month).order_by("pk").annotate(as_json=as_json).values_list("as_json", flat=True)
        for line in rows.iterator(chunk_size=BATCH):
            packed.write(line.encode() + b"\n")
            count += 1
    return count


def _measure(content: IO[bytes]) -> dict[str, Any]:
    content.seek(0)
    digest, size = hashlib.sha256(), 0
    while part := content.read(_READ):
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


def label_of(month: Archive, sha256: str) -> Label:
    """How the store labels it, and how it is served."""
    name = f"{month.log}-{month.month:%Y-%m}-{month.part}.jsonl.gz"
    return Label(CONTENT_TYPE, f'attachment; filename="{name}"', (("sha256", sha256),))


# --- Deleting --------------------------------------------------------------------------------------------------------
def _delete(growing: GrowingLog, month: Archive) -> int:
    """Delete the rows that are in the file, once it was read back whole. Returns how many."""
    _verify(month)
    ids, deleted = _ids(month), 0
    while batch := list(islice(ids, BATCH)):
        if batch[-1] <= month.deleted_to:
            continue
        with transaction.atomic():
            # What somebody has begun to need again since stays, and is in a later part.
            here = list(growing.rows(month.month).filter(pk__in=batch).order_by("pk").values_list("pk", flat=True))
            count = growing.delete(here) if here else 0
            Archive.objects.filter(pk=month.pk).update(deleted_to=batch[-1], deleted=F("deleted") + count)
        Retention.objects.filter(log=growing.name).update(busy_until=Now() + LEASE)
        deleted += count
    Archive.objects.filter(pk=month.pk).update(state=State.DONE, finished=Now())
    log.info("Archived %s: %d rows in %s, %d deleted now", month, month.rows, month.key, deleted)
    return deleted


def _verify(month: Archive) -> None:
    """Read the file back. Raises ArchiveDamaged; then it is written again, as long as nothing was deleted."""
    digest, rows = hashlib.sha256(), 0
    try:
        for _line in _lines(_watched(bytes_of(month), digest)):
            rows += 1
    except zlib.error:
        rows = -1
    if (rows, digest.hexdigest()) == (month.rows, month.sha256):
        return
    if not month.deleted_to:
        Archive.objects.filter(pk=month.pk, state=State.DELETING).update(state=State.WRITING)
    raise ArchiveDamaged(f"{month.key} in {month.bucket} is not what was written there")


def bytes_of(month: Archive) -> Parts:
    """The file as it comes. Raises StoreError."""
    return Parts(store_of(month.bucket).open(month.key))


def _watched(parts: Parts, digest: Any) -> Iterator[bytes]:
    for part in parts:
        digest.update(part)
        yield part


def _ids(month: Archive) -> Iterator[int]:
    for line in _lines(bytes_of(month)):
        yield orjson.loads(line)["id"]


def _lines(parts: "Parts | Iterator[bytes]") -> Iterator[bytes]:
    unpacker, rest = zlib.decompressobj(wbits=31), b""
    for part in parts:
        *whole, rest = (rest + unpacker.decompress(part)).split(b"\n")
        yield from whole


def failed(growing: GrowingLog, error: Exception) -> str:
    """What to tell the operators."""
    text = str(error.text) if isinstance(error, StoreError) else str(error)
    return f"{growing.name}: {text or type(error).__name__}"
