"""Receiving a file: its bytes go to a file without a name, which vanishes with the process, and never into memory."""

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from .services import FileRefused, FileTooLarge

# Of one user, in one process.
AT_ONCE = 3


class TwoFiles(FileRefused):
    """One file at a time."""


class NotAForm(FileRefused):
    """It came in no form that can be read."""


class OneFile(FileUploadHandler):
    """Takes one file, up to FILE_MAX_BYTES. Raises FileTooLarge and TwoFiles while the body is still coming."""

    _content: IO[bytes] | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self._content is not None:
            raise TwoFiles
        folder = Path(settings.FILES_DIR) / "incoming"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._content = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by whoever made the handler

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._content is not None  # noqa: S101  # new_file came first
        if start + len(raw_data) > settings.FILE_MAX_BYTES:
            raise FileTooLarge
        self._content.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        return UploadedFile(self._content, self.file_name, self.content_type, file_size)

    def close(self) -> None:
        """What came is gone."""
        if self._content is not None:
            self._content.close()


class TooManyAtOnce(Exception):
    """This user sends several files already."""


_under_way: Counter[int] = Counter()
_counting = threading.Lock()


@contextmanager
def one_of_a_few(user_id: int) -> Iterator[None]:
    """A slow sender occupies a thread: nobody gets all of them. Raises TooManyAtOnce."""
    with _counting:
        if _under_way[user_id] >= AT_ONCE:
            raise TooManyAtOnce
        _under_way[user_id] += 1
    try:
        yield
    finally:
        with _counting:
            _under_way[user_id] -= 1
            if not _under_way[user_id]:
                del _under_way[user_id]
