"""Files of users: store, find, open, delete, give away for a while.

The row comes first and goes last: `writing` → the object → `stored`, and `deleting` → no object → no row. What a crash
leaves between two steps the sweep finishes (sweeping.py). A provider is never called inside a transaction.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.signing import Signer
from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from voicehelper import clock
from voicehelper.accounts.forgetting import Person, batches
from voicehelper.accounts.models import User

from .backends.base import Label, NoSuchObject, Parts, StoreError
from .buckets import active_bucket, store_of
from .contents import HEAD_BYTES, clean_name, disposition_of, ending_of, type_of
from .models import Bucket, StoredFile

log = logging.getLogger(__name__)

# The longest life of a signed address.
MOST_SECONDS = 600
_READ = 1024 * 1024
State = StoredFile.State
Purpose = StoredFile.Purpose


class FileRefused(Exception):
    """Base of what is wrong with a file that somebody wants to store; nothing was changed."""


class EmptyFile(FileRefused):
    """It holds nothing."""


class FileTooLarge(FileRefused):
    """It is larger than FILE_MAX_BYTES."""


class QuotaFull(FileRefused):
    """The user's files would be more, or larger, than FILES_PER_USER and FILE_BYTES_PER_USER allow."""


class FileNotFound(Exception):
    """This user has no such file."""


class StoreDown(Exception):
    """The store refuses or does not answer; nothing was changed that the user can see."""


@dataclass(frozen=True)
class _Facts:
    size: int
    sha256: str
    content_type: str


def store_file(
    user: User, name: str, content: IO[bytes], *, purpose: StoredFile.Purpose = StoredFile.Purpose.UPLOAD
) -> StoredFile:
    """Keep a file that can be rewound; constant memory. Raises FileRefused, StoreDown."""
    facts = _look_at(content)
    file = _enter(user, name, facts, purpose)
    try:
        with _reaching(file.bucket):
            store_of(file.bucket).put(file.key, content, label_of(file))
    except BaseException:
        # Also when reading it failed, or we are being stopped.
        _give_up(file)
        raise
    if not file.move(State.STORED, allowed=[State.WRITING]):
        # It took so long that the sweep gave it up.
        remove(file)
        raise StoreDown
    return file


def _give_up(file: StoredFile) -> None:
    file.move(State.DELETING, allowed=[State.WRITING])
    remove(file)


def _look_at(content: IO[bytes]) -> _Facts:
    """Raises EmptyFile, FileTooLarge."""
    content.seek(0)
    head = content.read(HEAD_BYTES)
    digest, size = hashlib.sha256(head), len(head)
    while part := content.read(_READ):
        digest.update(part)
        size += len(part)
        if size > settings.FILE_MAX_BYTES:
            raise FileTooLarge
    if not size:
        raise EmptyFile
    return _Facts(size, digest.hexdigest(), type_of(head))


def _enter(user: User, name: str, facts: _Facts, purpose: StoredFile.Purpose) -> StoredFile:
    """The row of a file that is about to be written. Raises QuotaFull."""
    with transaction.atomic():
        # One file of a user at a time, or several at once would fit where one does.
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).values_list("pk").first()
        if purpose == StoredFile.Purpose.UPLOAD:
            check_room(user, facts.size)
        return StoredFile.objects.create(
            user=user,
            bucket=active_bucket(),
            key=_new_key(user, facts.content_type),
            name=clean_name(name, facts.content_type),
            size=facts.size,
            sha256=facts.sha256,
            content_type=facts.content_type,
            purpose=purpose,
        )


def check_room(user: User, size: int) -> None:
    """Whether a file of so many bytes fits into the user's share. Raises QuotaFull."""
    if size > settings.FILE_MAX_BYTES:
        raise FileTooLarge
    count, total = used_by(user)
    if count + 1 > settings.FILES_PER_USER or total + size > settings.FILE_BYTES_PER_USER:
        raise QuotaFull


def used_by(user: User) -> tuple[int, int]:
    """How many uploads a user has, and their bytes."""
    mine = StoredFile.objects.filter(user=user, purpose=StoredFile.Purpose.UPLOAD).exclude(state=State.DELETING)
    found = mine.aggregate(count=Count("pk"), total=Sum("size"))
    return found["count"], int(found["total"] or 0)


def _new_key(user: User, content_type: str) -> str:
    """128 random bits: nobody finds a file by trying."""
    day = clock.now().astimezone(clock.BEIJING)
    return f"u/{user.pk}/{day:%Y-%m-%d}/{secrets.token_hex(16)}.{ending_of(content_type)}"


def label_of(file: StoredFile) -> Label:
    """How the store labels it, and how it is served."""
    uploaded = file.created.isoformat(timespec="seconds") if hasattr(file.created, "isoformat") else ""
    facts = (("sha256", file.sha256), ("uploaded", uploaded), ("purpose", str(file.purpose)))
    return Label(file.content_type, disposition_of(file.name, file.content_type), facts)


# --- Finding ---------------------------------------------------------------------------------------------------------
def file_of(user: User, path: str) -> StoredFile:
    """The user's own file. Raises FileNotFound, also for other people's."""
    found = _files_of(user).filter(key=path).first()
    if found is None:
        raise FileNotFound
    return found


def list_files(user: User, prefix: str = "", limit: int = 100, after: str = "") -> list[StoredFile]:
    """The user's files whose paths begin so, the newest day first; `after` is the last path of the page before."""
    files = _files_of(user).filter(key__startswith=prefix) if prefix else _files_of(user)
    if after:
        files = files.filter(key__lt=after)
    return list(files.order_by("-key")[:limit])


def _files_of(user: User) -> "QuerySet[StoredFile]":
    return StoredFile.objects.select_related("bucket").filter(user=user, state=State.STORED)


def open_file(user: User, path: str) -> tuple[StoredFile, Parts]:
    """The user's own file and its bytes as they come. Raises FileNotFound, StoreDown."""
    file = file_of(user, path)
    return file, bytes_of(file)


def read_file(user: User, path: str, most: int) -> tuple[StoredFile, bytes]:
    """The same for small ones, as a whole. Raises FileTooLarge as well."""
    file = file_of(user, path)
    if file.size > most:
        raise FileTooLarge
    with _reaching(file.bucket):
        return file, b"".join(bytes_of(file))


def bytes_of(file: StoredFile) -> Parts:
    """Raises StoreDown before the first byte."""
    with _reaching(file.bucket):
        try:
            return Parts(store_of(file.bucket).open(file.key))
        except NoSuchObject:
            log.error("The object of %s is gone from %s", file.key, file.bucket)  # noqa: TRY400  # nothing to trace
            raise


# --- Giving away for a while -----------------------------------------------------------------------------------------
def signed_url(file: StoredFile, seconds: int = MOST_SECONDS) -> str:
    """An address that shows this one file to whoever has it, ten minutes at the most. Raises StoreDown."""
    seconds = max(1, min(seconds, MOST_SECONDS))
    with _reaching(file.bucket):
        address = store_of(file.bucket).signed_url(file.key, seconds, label_of(file))
    return address or _our_url(file.key, seconds)


def _our_url(key: str, seconds: int) -> str:
    """For stores without addresses of their own."""
    return f"{settings.SERVER_ADDRESS}{page_url(key, seconds)}"


def page_url(key: str, seconds: int = MOST_SECONDS) -> str:
    """Where our own pages show a file, whatever its store: they load nothing from elsewhere. The signature is in the
    query, which we never log."""
    expires = str(int(time.time()) + seconds)
    query = urlencode({"expires": expires, "signature": _signature(key, expires)})
    return f"{reverse('storage_backends:signed', args=[key])}?{query}"


def _signature(key: str, expires: str) -> str:
    return Signer(salt="storage_backends.signed_url").signature(f"GET\n{key}\n{expires}")


def signed_file(key: str, expires: str, signature: str) -> StoredFile:
    """The file that a signed address of ours is for. Raises FileNotFound when it is not, or not any more."""
    if not constant_time_compare(signature, _signature(key, expires)) or int(expires) < time.time():
        raise FileNotFound
    file = StoredFile.objects.select_related("bucket").filter(key=key, state=State.STORED).first()
    if file is None:
        raise FileNotFound
    return file


# --- Deleting --------------------------------------------------------------------------------------------------------
def delete_file(user: User, path: str) -> None:
    """Gone for the user at once; the object goes now, or with the sweep when the store is down. Raises FileNotFound."""
    file = file_of(user, path)
    if not file.move(State.DELETING, allowed=[State.STORED]):
        raise FileNotFound
    remove(file)


def remove(file: StoredFile) -> bool:
    """Delete the object and then the row of a file that is being deleted. False: the store would not, so far."""
    try:
        store_of(file.bucket).delete(file.key)
    except StoreError as error:
        _complain(file.bucket, error)
        return False
    StoredFile.objects.filter(pk=file.pk).exclude(state=State.STORED).delete()
    return True


def forget_files(person: Person) -> None:
    """All files of somebody whose account is deleted. Raises StoreDown while a store is: then some are left."""
    files = StoredFile.objects.filter(user_id=person.user_id)
    files.exclude(state=State.DELETING).update(state=State.DELETING, moved=Now())
    for found in batches(files.select_related("bucket")):
        if not all(remove(file) for file in found):
            raise StoreDown


@contextmanager
def _reaching(bucket: Bucket) -> Iterator[None]:
    """What its store says goes into the log; whoever wanted something of it is told StoreDown."""
    try:
        yield
    except StoreError as error:
        _complain(bucket, error)
        raise StoreDown from error


def _complain(bucket: Bucket, error: Any) -> None:
    log.warning("The bucket %s: %s (%s)", bucket.name, error.text, error.code)
