"""Writing the copies of their data that users ask for (accounts/exports.py), and keeping them for a week.

The ZIP grows in a file without a name, which vanishes with the process, and is put into the active bucket when it is
whole. A run that was killed is begun again by the sweep: a copy is of one moment, not of two.
"""

import logging
import secrets
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.signing import Signer
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.accounts import exports, letters
from voicehelper.accounts.exports import LINK_S, ExportRefused, Part, Source
from voicehelper.accounts.forgetting import Person, batches
from voicehelper.accounts.models import DataExport, User

from .backends.base import Label, NoSuchObject, Parts, StoreError
from .buckets import active_bucket, store_of
from .models import Bucket, StoredFile
from .services import FileNotFound, StoreDown, bytes_of

log = logging.getLogger(__name__)

State = DataExport.State
# Longer than the parts between two signs of life take.
LEASE = timedelta(minutes=10)
TRIES = 5
CONTENT_TYPE = "application/zip"
_SAY_EVERY_S = 1.0
_SALT = "storage_backends.exports"


# --- Writing ---------------------------------------------------------------------------------------------------------
def write(export_id: int) -> bool:
    """Make the copy. False: it is made, or somebody else is at it. What goes wrong is tried again, TRIES times."""
    free = Q(busy_until=None) | Q(busy_until__lt=Now())
    waiting = DataExport.objects.filter(free, pk=export_id, state=State.WAITING)
    if not waiting.update(busy_until=Now() + LEASE, tries=F("tries") + 1):
        return False
    export = DataExport.objects.select_related("user").get(pk=export_id)
    try:
        with translation.override(export.user.language or settings.LANGUAGE_CODE):
            return _write(export)
    except Exception:
        log.exception("The copy %s could not be written", export)
        last = export.tries >= TRIES
        facts: dict[str, Any] = {"state": State.FAILED, "finished": Now()} if last else {}
        DataExport.objects.filter(pk=export.pk, state=State.WAITING).update(busy_until=None, **facts)
        return False


def _write(export: DataExport) -> bool:
    """False: it was not wanted any more when it was done."""
    folder = Path(settings.FILES_DIR) / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _drop_object(export)
    with tempfile.TemporaryFile(dir=folder) as content:
        _fill(export, content)
        size = content.tell()
        bucket = active_bucket()
        export.bucket_id, export.key = bucket.pk, f"export/{export.user_id}/{secrets.token_hex(16)}.zip"
        # Before the object, so that none is ever unknown.
        DataExport.objects.filter(pk=export.pk).update(bucket_id=bucket.pk, key=export.key)
        store_of(bucket).put(export.key, content, label_of(export))
    facts: dict[str, Any] = {"size": size, "finished": Now(), "expires": Now() + exports.KEPT, "busy_until": None}
    mine = DataExport.objects.filter(pk=export.pk, state=State.WAITING, key=export.key)
    with transaction.atomic():
        if mine.update(state=State.READY, done=F("total"), **facts):
            letters.export_is_ready(export.user, exports.KEPT.days)
            return True
    # It took so long that somebody began anew, or the copy was dropped, or the account is gone.
    store_of(bucket).delete(export.key)
    return False


def _fill(export: DataExport, content: IO[bytes]) -> None:
    user = export.user
    DataExport.objects.filter(pk=export.pk).update(total=exports.count_parts(user), done=0)
    said, done = time.monotonic(), 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in exports.parts_of(user):
            with archive.open(part.path, "w", force_zip64=True) as into:
                for some in part.content:
                    into.write(some)
                    if time.monotonic() - said > _SAY_EVERY_S:
                        said = _say(export, done)
            done += 1
    content.seek(0, 2)


def _say(export: DataExport, done: int) -> float:
    """That it goes on. Raises FileNotFound when it should not: the account is gone."""
    mine = DataExport.objects.filter(pk=export.pk, state=State.WAITING)
    if not mine.update(done=done, busy_until=Now() + LEASE):
        raise FileNotFound
    return time.monotonic()


# --- Keeping ---------------------------------------------------------------------------------------------------------
def sweep_exports() -> int:
    """Begin those that nobody is at, and delete those whose week is over. Returns how many that was."""
    late = Q(busy_until=None) | Q(busy_until__lt=Now())
    waiting = DataExport.objects.filter(late, state=State.WAITING, asked__lt=Now() - timedelta(seconds=30))
    ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:20])
    over = Q(expires__lt=Now()) | Q(state=State.FAILED, finished__lt=Now() - exports.KEPT)
    ended = list(DataExport.objects.filter(over).exclude(state=State.WAITING).order_by("pk")[:200])
    return sum([write(pk) for pk in ids]) + sum([delete(export) for export in ended])


def delete(export: DataExport) -> bool:
    """The object and then the row. False: the store would not, so far."""
    try:
        _drop_object(export)
    except StoreError as error:
        log.warning("The copy %s could not be deleted: %s", export, error.text)
        return False
    DataExport.objects.filter(pk=export.pk).delete()
    return True


def _drop_object(export: DataExport) -> None:
    if bucket := _bucket_of(export):
        store_of(bucket).delete(export.key)


def _bucket_of(export: DataExport) -> Bucket | None:
    """Where its file is, or was to be."""
    return Bucket.objects.filter(pk=export.bucket_id).first() if export.bucket_id and export.key else None


def forget_exports(person: Person) -> None:
    """Of somebody whose account is deleted. Raises StoreDown."""
    if not all(delete(export) for export in DataExport.objects.filter(user_id=person.user_id)):
        raise StoreDown


def label_of(export: DataExport) -> Label:
    """How the store labels it, and how it is served."""
    day = (export.asked or clock.now()).astimezone(clock.BEIJING)
    return Label(CONTENT_TYPE, f'attachment; filename="voicehelper-{day:%Y-%m-%d}.zip"')


# --- Fetching --------------------------------------------------------------------------------------------------------
def address_of(export: DataExport) -> str:
    """An address that gives the copy to whoever has it, for ten minutes. Raises ExportRefused."""
    bucket = _bucket_of(export)
    try:
        address = store_of(bucket).signed_url(export.key, LINK_S, label_of(export)) if bucket else None
    except StoreError:
        bucket = None
    if bucket is None:
        raise ExportRefused(_("Files cannot be reached at the moment, please try again later"))
    if address:
        return address
    expires = str(int(time.time()) + LINK_S)
    query = urlencode({"expires": expires, "signature": _signature(export.key, expires)})
    return f"{settings.SERVER_ADDRESS}{reverse('storage_backends:export', args=[export.key])}?{query}"


def _signature(key: str, expires: str) -> str:
    return Signer(salt=_SALT).signature(f"GET\n{key}\n{expires}")


def signed_export(key: str, expires: str, signature: str) -> tuple[DataExport, Parts]:
    """The copy that a signed address of ours is for, and its bytes. Raises FileNotFound, StoreDown."""
    if not constant_time_compare(signature, _signature(key, expires)) or int(expires) < time.time():
        raise FileNotFound
    export = DataExport.objects.filter(key=key, state=State.READY, expires__gt=Now()).first()
    bucket = _bucket_of(export) if export else None
    if export is None or bucket is None:
        raise FileNotFound
    try:
        return export, Parts(store_of(bucket).open(key))
    except StoreError as error:
        raise StoreDown from error


# --- Files, as parts of it -------------------------------------------------------------------------------------------
def _mine(user: User) -> Any:
    return StoredFile.objects.filter(user=user, state=StoredFile.State.STORED)


def _file_parts(user: User) -> Iterator[Part]:
    yield Part("files.json", exports.as_json(_mine(user), _file_facts))
    for found in batches(_mine(user).select_related("bucket")):
        for file in found:
            yield Part(_path_of(file), _bytes_of(file))


def _bytes_of(file: StoredFile) -> Iterator[bytes]:
    """One that is gone from its store is empty: the others are wanted all the same."""
    try:
        yield from bytes_of(file)
    except StoreDown as error:
        if not isinstance(error.__cause__, NoSuchObject):
            raise


def _path_of(file: StoredFile) -> str:
    return f"files/{file.pk}-{file.name}"


def _file_facts(file: StoredFile) -> dict[str, Any]:
    return {
        "path": file.key,
        "name": file.name,
        "in_this_copy": _path_of(file),
        "size": file.size,
        "type": file.content_type,
        "sha256": file.sha256,
        "purpose": file.purpose,
        "created": clock.beijing_iso(file.created),
    }


FILES = Source(lambda user: 1 + _mine(user).count(), _file_parts)
