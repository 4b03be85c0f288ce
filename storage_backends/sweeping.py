"""The sweep: finishes what crashes left between row and object, and compares a piece of each bucket with its rows.

A few objects that no row knows, and a few rows whose object is gone, are cleared away. Many of either look like a
restored backup, a changed prefix or a bucket that somebody else uses too: then nothing is deleted, and an alert says
so.
"""

import logging
import re
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper import clock

from .backends.base import Listed, Store, StoreError
from .buckets import store_of
from .models import Bucket, StoredFile
from .services import remove

log = logging.getLogger(__name__)

# Longer than any upload takes; what is being written then will never be finished.
WRITING = timedelta(hours=3)
DELETING = timedelta(minutes=2)
# An object without a row is left alone for so long, and so are parts of an upload.
STRAY = timedelta(days=1)
BATCH = 500
# More strays than this in one batch are no accident.
A_FEW = 20
_OURS = re.compile(r"u/[0-9]+/(\d{4}-\d\d-\d\d|probe)/[0-9a-f]{32}\.[a-z0-9]{1,8}")
State = StoredFile.State


def sweep() -> int:
    """One round. Returns how many files it cleared away."""
    now = clock.now()
    cleared = finish(now)
    for bucket in Bucket.objects.order_by("pk"):
        try:
            cleared += _compare(bucket, now)
        except StoreError as error:
            log.warning("The bucket %s could not be compared: %s", bucket.name, error.text)
    return cleared


def finish(now: datetime) -> int:
    """Delete what was being deleted, what was never written to its end, and what deleted accounts left."""
    late = Q(state=State.WRITING, moved__lt=now - WRITING)
    _give_up(StoredFile.objects.filter(late | Q(state=State.STORED, user=None)))
    waiting = StoredFile.objects.filter(state=State.DELETING, moved__lt=now - DELETING)
    files = waiting.select_related("bucket").order_by("moved")[:BATCH]
    cleared, down = 0, set[int]()
    for file in files:
        # A store that is down once is down for the rest of this round.
        if file.bucket_id in down:
            continue
        if remove(file):
            cleared += 1
        else:
            down.add(file.bucket_id)
    return cleared


def _give_up(files: "QuerySet[StoredFile]") -> None:
    chosen = list(files.order_by("pk").values_list("pk", flat=True)[:BATCH])
    # Old enough for the round that finds it.
    StoredFile.objects.filter(pk__in=chosen).update(state=State.DELETING, moved=Now() - DELETING - timedelta(seconds=1))


def _compare(bucket: Bucket, now: datetime) -> int:
    """The next piece of a bucket, and of the rows that belong there."""
    store = store_of(bucket)
    found = store.listed("u/", bucket.swept_to, BATCH)
    last = found[-1].key if len(found) == BATCH else ""
    keys = {listed.key for listed in found}
    rows = StoredFile.objects.filter(bucket=bucket, key__gt=bucket.swept_to)
    if last:
        rows = rows.filter(key__lte=last)
    cleared = _clear_strays(bucket, store, [listed for listed in found if listed.modified < now - STRAY])
    cleared += _clear_ghosts(bucket, store, rows.filter(state=State.STORED, moved__lt=now - DELETING), keys)
    if not last:
        store.abort_unfinished(now - STRAY)
    Bucket.objects.filter(pk=bucket.pk).update(swept_to=last)
    return cleared


def _clear_strays(bucket: Bucket, store: Store, found: list[Listed]) -> int:
    """Objects without a row."""
    ours = [listed.key for listed in found if _OURS.fullmatch(listed.key)]
    known = set(StoredFile.objects.filter(key__in=ours).values_list("key", flat=True))
    strays = [key for key in ours if key not in known]
    if len(strays) > A_FEW:
        count = len(strays)
        title = Text(gettext_noop("%(bucket)s: %(count)s objects without a row"), bucket=bucket.name, count=count)
        _tell(bucket, "strays", title, Text(gettext_noop("Is the bucket shared, or was a backup restored?")))
        return 0
    for key in strays:
        log.warning("Deleting %s from %s: no row knows it", key, bucket.name)
        store.delete(key)
    return len(strays)


def _clear_ghosts(bucket: Bucket, store: Store, rows: "QuerySet[StoredFile]", keys: set[str]) -> int:
    """Rows without an object."""
    missing = [file for file in rows.order_by("key")[: 2 * BATCH] if file.key not in keys]
    # The list may be older than the object.
    ghosts = [file for file in missing[: A_FEW + 1] if not store.has(file.key)]
    if not ghosts:
        return 0
    if len(ghosts) > A_FEW:
        title = Text(gettext_noop("%(bucket)s: many files are gone"), bucket=bucket.name)
        content = Text(gettext_noop("Was the bucket emptied, or its prefix changed? No row was deleted."))
        _tell(bucket, "many", title, content)
        return 0
    names = ", ".join(file.key for file in ghosts)
    title = Text(gettext_noop("%(bucket)s: %(count)s files are gone"), bucket=bucket.name, count=len(ghosts))
    told = Text(gettext_noop("Somebody deleted their objects; their rows were deleted: %(names)s"), names=names)
    _tell(bucket, "files are gone", title, told)
    StoredFile.objects.filter(pk__in=[file.pk for file in ghosts], state=State.STORED).delete()
    return len(ghosts)


def _tell(bucket: Bucket, what: str, title: Text, content: Text) -> None:
    raise_alert(
        "files_differ",
        title=title,
        content=content,
        key=f"files_differ:{bucket.pk}:{what}",
        about=bucket,
    )
