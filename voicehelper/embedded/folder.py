"""The data folder: everything that a run keeps, and the lock that gives it to one run at a time."""

import fcntl
import os
from pathlib import Path

from voicehelper.embedded.process import EmbeddedError, stop_leftovers

ROOT = Path(__file__).resolve().parents[2]


def data_folder() -> Path:
    """`VOICEHELPER_DATA`, by default `.data` in the checkout."""
    return ROOT / (os.environ.get("VOICEHELPER_DATA") or ".data")


def prepare(folder: Path) -> None:
    """Make the parts that services need. Private, since keys and all data are in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in ("logs", "run"):
        (folder / part).mkdir(exist_ok=True)


def write_private(file: Path, text: str) -> None:
    """Replace the file by one that only we can read; a reader sees the old text or the new, never half of it."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(text)
    new.replace(file)


class Lock:
    """Held until `release` or until we end. Raises EmbeddedError when another run has the folder."""

    def __init__(self, folder: Path) -> None:
        try:
            prepare(folder)
            self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"{folder}: {error.strerror}. Choose another folder: VOICEHELPER_DATA=…") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 20).decode() or "?"
            os.close(self._descriptor)
            raise EmbeddedError(
                f"Another run (process {holder}) uses {folder}. Stop it, or choose another folder: VOICEHELPER_DATA=…"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        stop_leftovers(folder)

    def release(self) -> None:
        os.close(self._descriptor)
