"""The local disk, or whatever is mounted there. Several machines need one that they share, or an S3 store."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO

from django.core.exceptions import SuspiciousOperation
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils.translation import gettext_lazy as _

from .base import Body, Label, Listed, NoSuchObject, Store, StoreError


class LocalStore(Store):
    """Files under one folder, readable by us alone."""

    def __init__(self, folder: Path) -> None:
        self._files = FileSystemStorage(
            location=str(folder), file_permissions_mode=0o600, directory_permissions_mode=0o700
        )

    def put(self, key: str, content: IO[bytes], label: Label) -> None:
        content.seek(0)
        try:
            saved = self._files.save(key, File(content))
            _to_disk(self._path(saved))
        except OSError as error:
            self.delete(key)
            raise _failed(error) from error
        if saved != key:
            self.delete(saved)
            raise StoreError(_("There is such a file already."))

    def open(self, key: str) -> Body:
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise NoSuchObject(_("There is no such file.")) from None
        except OSError as error:
            raise _failed(error) from error

    def has(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _failed(error) from error

    def listed(self, prefix: str, after: str, limit: int) -> list[Listed]:
        try:
            return list(islice(_walk(Path(self._files.location), "", prefix, after), limit))
        except OSError as error:
            raise _failed(error) from error

    def signed_url(self, key: str, seconds: int, label: Label) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        try:
            return Path(self._files.path(key))
        except SuspiciousOperation:
            raise NoSuchObject(_("There is no such file.")) from None


def _to_disk(path: Path) -> None:
    """A row must not outlive its file in a power cut."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _walk(folder: Path, at: str, prefix: str, after: str) -> Iterator[Listed]:
    """The files below in the order of their keys; folders that cannot hold one of those asked for are not entered."""
    if not folder.is_dir():
        return
    entries = [(f"{at}{entry.name}{'/' * entry.is_dir(follow_symlinks=False)}", entry) for entry in os.scandir(folder)]
    for key, entry in sorted(entries, key=lambda pair: pair[0].encode()):
        if key.endswith("/"):
            wanted = key.startswith(prefix) or prefix.startswith(key)
            if wanted and (key > after or after.startswith(key)):
                yield from _walk(Path(entry.path), key, prefix, after)
        elif key.startswith(prefix) and key > after:
            facts = entry.stat(follow_symlinks=False)
            yield Listed(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))


def _failed(error: OSError) -> StoreError:
    return StoreError(
        _("The disk refuses: %(reason)s.") % {"reason": error.strerror or type(error).__name__},
        _("Look at the folder FILES_DIR: is there room, and may VoiceHelper write there?"),
    )
