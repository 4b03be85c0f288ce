"""What every store can do: put, open, delete and list objects, sign an address. Plain values in, plain values out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol


class StoreError(Exception):
    """A store refused or did not answer: what happened, and how an operator mends it. Whether anything was done is not
    known. `code` is the far side's."""

    def __init__(self, text: Any, hint: Any = "", code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code


class NoSuchObject(StoreError):
    """There is no object under this key."""


@dataclass(frozen=True)
class Listed:
    """An object as a store lists it; `size` in bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Label:
    """What an object is labelled with when it is put: its type, how it is shown, and facts for whoever looks there."""

    content_type: str
    disposition: str
    facts: tuple[tuple[str, str], ...] = ()


class Body(Protocol):
    """An object's bytes as they come."""

    def read(self, amount: int, /) -> bytes: ...
    def close(self) -> None: ...


class Store(ABC):
    """A place for objects, each under its key. Every method raises StoreError."""

    @abstractmethod
    def put(self, key: str, content: IO[bytes], label: Label) -> None:
        """Store from the beginning of a file that can be rewound, in constant memory. After an error nothing is left of
        it, as far as the far side could be told."""

    @abstractmethod
    def open(self, key: str) -> Body:
        """Raises NoSuchObject."""

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether there is such an object."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """What is not there is no error."""

    @abstractmethod
    def listed(self, prefix: str, after: str, limit: int) -> list[Listed]:
        """Up to `limit` objects in the order of their keys' bytes, those behind `after`."""

    @abstractmethod
    def signed_url(self, key: str, seconds: int, label: Label) -> str | None:
        """An address that shows this one object, until then, under this label; None: this store has no addresses."""

    def abort_unfinished(self, before: datetime) -> int:
        """Drop the parts of uploads that began before then and were never finished. Returns how many uploads."""
        return 0


class Parts:
    """A body in parts of 256 KiB. Closes it at the end, or when told to: also if nothing was read."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        try:
            while part := self._body.read(256 * 1024):
                yield part
        finally:
            self.close()

    def close(self) -> None:
        self._body.close()
