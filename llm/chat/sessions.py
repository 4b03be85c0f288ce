"""A user's conversations: listed, renamed, pinned, set, deleted."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from storage_backends import services as files
from voicehelper.accounts.models import User

from ..models import ChatMessage, ChatSession, Spoken
from ..relay.engine import STOPPED
from . import attachments

TITLE_LENGTH = 80
LONGEST_PROMPT = 8_000
WARMEST = Decimal(2)
# Pinned ones stand above every page of the list.
_MOST_PINNED = 100
# Deleted together in one go.
_AT_ONCE = 200


class NotFound(Exception):
    """There is no such session or message of this user."""


class TooManyPinned(Exception):
    """Another conversation cannot be pinned."""


def sessions_of(user: User) -> QuerySet[ChatSession]:
    """The user's sessions, the one used last first."""
    return ChatSession.objects.filter(user=user).order_by("-last", "-pk")


def session_of(user: User, session_id: str) -> ChatSession:
    """Raises NotFound."""
    found = ChatSession.objects.filter(user=user, public_id=session_id).first()
    if found is None:
        raise NotFound
    return found


# --- Listed ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of the list ends: the next one goes on behind it."""

    last: datetime
    pk: int

    def __str__(self) -> str:
        return f"{self.last.isoformat()}_{self.pk}"

    @classmethod
    def read(cls, text: str) -> "Position | None":
        """None when it is none."""
        moment, _, pk = text.partition("_")
        if not (pk.isascii() and pk.isdigit() and len(pk) < 19):
            return None
        try:
            last = datetime.fromisoformat(moment)
        except ValueError:
            return None
        # Beyond these no database has it.
        return cls(last, int(pk)) if last.tzinfo and 2000 <= last.year < 2200 else None


def pinned_of(user: User) -> list[ChatSession]:
    """The pinned ones, the last pinned first."""
    return list(ChatSession.objects.filter(user=user).exclude(pinned=None).order_by("-pinned")[:_MOST_PINNED])


def page_of_sessions(user: User, after: Position | None, most: int) -> tuple[list[ChatSession], Position | None]:
    """So many of the others behind a position, the one used last first; and where the next page begins, if there is
    one. Nothing is counted or skipped, however many there are."""
    rows = sessions_of(user).filter(pinned=None)
    if after is not None:
        # The first condition follows from the second; the index can use it.
        beyond = Q(last__lt=after.last) | Q(last=after.last, pk__lt=after.pk)
        rows = rows.filter(Q(last__lte=after.last), beyond)
    found = list(rows[: most + 1])
    shown = found[:most]
    return shown, Position(shown[-1].last, shown[-1].pk) if len(found) > most else None


# --- Changed ---------------------------------------------------------------------------------------------------------
def change_session(user: User, session_id: str, changes: Mapping[str, Any]) -> ChatSession:
    """Set any of title, pinned (True or False), system_prompt and temperature (None: as the model likes). Raises
    NotFound, TooManyPinned."""
    session = session_of(user, session_id)
    changes = dict(changes)
    pinned = changes.pop("pinned", None)
    if "title" in changes:
        changes["title"] = title_of(changes["title"])
    if pinned and session.pinned is None:
        if ChatSession.objects.filter(user=user).exclude(pinned=None).count() >= _MOST_PINNED:
            raise TooManyPinned
        changes["pinned"] = Now()
    elif pinned is False:
        changes["pinned"] = None
    if changes:
        ChatSession.objects.filter(pk=session.pk).update(**changes)
        session.refresh_from_db()
    return session


def title_of(text: str) -> str:
    """A title out of the first words of a question."""
    return " ".join(text.split())[:TITLE_LENGTH]


# --- Deleted ---------------------------------------------------------------------------------------------------------
def delete_session(user: User, session_id: str) -> None:
    """With its messages, spoken ones too; what they cost stays in the usage log. Raises NotFound."""
    _delete(user, [session_of(user, session_id).pk])


def delete_all_sessions(user: User) -> int:
    """All there are now. Returns how many."""
    deleted = 0
    while found := list(ChatSession.objects.filter(user=user).order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]):
        _delete(user, found)
        deleted += len(found)
    return deleted


def _delete(user: User, sessions: Sequence[int]) -> None:
    _hang_up(sessions)
    spoken = Spoken.objects.filter(message__session__in=sessions).exclude(path="")
    paths = list(spoken.values_list("path", flat=True))
    with_files = ChatMessage.objects.filter(session__in=sessions).exclude(attachments=[])
    attached = [each["path"] for several in with_files.values_list("attachments", flat=True) for each in several]
    ChatSession.objects.filter(user=user, pk__in=sessions).delete()
    attachments.forget(user, attached)
    for path in paths:
        with suppress(files.FileNotFound):
            files.delete_file(user, path)


def _hang_up(sessions: Sequence[int]) -> None:
    """Answers nobody will find are not written on: whichever process writes one hangs up on the model."""
    writing = ChatMessage.objects.filter(session__in=sessions, complete=False, ended=ChatMessage.Ended.NOT_EARLY)
    for request_id in writing.values_list("request_id", flat=True):
        notify_stop(request_id)


def notify_stop(request_id: str) -> None:
    """Tell every process that a call is not wanted any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [STOPPED, request_id])
