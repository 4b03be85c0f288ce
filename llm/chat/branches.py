"""The tree that the questions of a conversation make, and its branches.

A question follows another one, or begins the conversation. Those that follow the same one are its siblings: an edited
question, or the same one again for another answer. A branch leads from the beginning to a question that none follows.
Answers from before they knew their questions stand in the tree as if they were some.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import MD5

from ..models import ChatMessage, ChatSession

# In `parentId`: at the beginning of the conversation.
ROOT = "root"


class ParentGone(Exception):
    """What a question is to follow is not in its conversation."""


@dataclass(frozen=True, slots=True)
class TurnVersions:
    """That there are others in the place of a message, and which: the ids of questions whose branches have the one
    before and the one after; empty where there is none."""

    number: int
    total: int
    previous: str
    next: str


class Tree:
    """The questions of one conversation, by their primary keys."""

    def __init__(self, session: ChatSession) -> None:
        rows = ChatMessage.objects.filter(session=session, question=None).order_by("pk")
        self.ids: dict[int, str] = {}
        self.parents: dict[int, int | None] = {}
        previous: int | None = None
        for pk, public_id, parent, placed in rows.values_list("pk", "public_id", "parent_id", "placed"):
            found = parent if placed else previous
            self.ids[pk] = public_id
            self.parents[pk] = found if found in self.parents else None
            previous = pk

    @property
    def newest(self) -> int | None:
        """The question that was put last."""
        return next(reversed(self.parents), None)

    def line(self, leaf: int | None) -> list[int]:
        """From the beginning to that question; empty without one."""
        found: list[int] = []
        while leaf is not None and leaf in self.parents:
            found.append(leaf)
            leaf = self.parents[leaf]
        return found[::-1]

    def through(self, question: int | None) -> list[int]:
        """The branch with that question that was asked in last; without one, of all."""
        if question is None or question not in self.parents:
            return self.line(self.newest)
        # Children are younger: whatever descends from it is met before it.
        youngest: dict[int, int] = {}
        for pk in reversed(self.parents):
            parent = self.parents[pk]
            leaf = youngest.setdefault(pk, pk)
            if parent is not None:
                youngest[parent] = max(youngest.get(parent, 0), leaf)
        return self.line(youngest[question])

    def versions(self, line: Iterable[int]) -> dict[int, tuple[TurnVersions | None, TurnVersions | None]]:
        """Of questions: which others there are in the place of each, and which other answers to the same."""
        children: dict[int | None, list[int]] = {}
        for pk, parent in self.parents.items():
            children.setdefault(parent, []).append(pk)
        several = {pk: children[self.parents[pk]] for pk in line if len(children[self.parents[pk]]) > 1}
        asked = ChatMessage.objects.filter(pk__in={pk for all_of_them in several.values() for pk in all_of_them})
        words = dict(asked.values_list("pk", MD5("content")))
        return {pk: self._versions(pk, siblings, words) for pk, siblings in several.items()}

    def _versions(
        self, question: int, siblings: Sequence[int], words: dict[int, str]
    ) -> tuple[TurnVersions | None, TurnVersions | None]:
        groups: dict[str, list[int]] = {}
        for pk in siblings:
            groups.setdefault(words.get(pk, ""), []).append(pk)
        own = groups[words.get(question, "")]
        # Of another question its newest answer.
        questions = [question if group is own else group[-1] for group in groups.values()]
        return self._among(questions, question), self._among(own, question)

    def _among(self, several: Sequence[int], this: int) -> TurnVersions | None:
        if len(several) < 2:
            return None
        at = several.index(this)
        before = self.ids[several[at - 1]] if at else ""
        after = self.ids[several[at + 1]] if at + 1 < len(several) else ""
        return TurnVersions(at + 1, len(several), before, after)


def place_of(session: ChatSession, parent: str | None) -> int | None:
    """The question that the next one follows: that of the message named, none for the beginning, and without a name
    the one that was put last. Raises ParentGone."""
    if parent == ROOT:
        return None
    if not parent:
        return Tree(session).newest
    named = ChatMessage.objects.filter(session=session, public_id=parent).values_list("pk", "question_id").first()
    if named is None:
        raise ParentGone(parent)
    pk, question = named
    return question or pk


def lift(question: ChatMessage) -> None:
    """Before a question goes: what follows it follows what it followed."""
    ChatMessage.objects.filter(session=question.session_id, parent=question.pk).update(parent=question.parent_id)


# Of the questions of one conversation that have no place: each follows the one before it, whoever wrote that.
_PLACE = """
    UPDATE llm_chatmessage m SET parent_id = before.pk, placed = true
    FROM (
        SELECT q.id, (
            SELECT max(p.id) FROM llm_chatmessage p
            WHERE p.session_id = q.session_id AND p.question_id IS NULL AND p.id < q.id
        ) AS pk
        FROM llm_chatmessage q WHERE q.session_id = ANY(%s) AND q.question_id IS NULL AND NOT q.placed
    ) before
    WHERE m.id = before.id AND NOT m.placed
"""


def place_old_questions(most: int = 200) -> int:
    """Write down where the questions stand that the release before wrote, of so many conversations. Returns of how
    many."""
    unplaced = ChatMessage.objects.filter(question=None, placed=False).order_by()
    found = list(unplaced.values_list("session", flat=True).distinct()[:most])
    if found:
        with connection.cursor() as cursor:
            cursor.execute(_PLACE, [found])
    return len(found)


def answers_of(questions: Sequence[int]) -> dict[int, ChatMessage]:
    """The answers to questions, by the questions' primary keys."""
    answers = ChatMessage.objects.filter(question_id__in=questions)
    return {answer.question_id: answer for answer in answers if answer.question_id is not None}
