"""Questions that no model answered. Each is kept, with an answer that says so, until it is asked again; where it stands
elsewhere in its conversation already, and where it was refused before a model was asked, it is forgotten."""

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet

from ..models import ChatMessage, ChatSession
from ..providers.base import StreamBroke
from ..relay.errors import CallFailed
from .branches import lift

if TYPE_CHECKING:
    from .conversations import Turn

_FAILED = ChatMessage.Ended.FAILED


class AnswerFailed(Exception):
    """A model was asked and did not answer, because of `cause`; the question is kept."""

    def __init__(self, cause: Exception, session_id: str, message_id: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.session_id = session_id
        self.message_id = message_id


def end_unanswered(turn: "Turn", error: Exception) -> Exception:
    """Keep a question that came to nothing, or forget it. Returns what its asker is told."""
    question = turn.question
    asked = isinstance(error, CallFailed | StreamBroke) and not question.continues
    if asked and not _alike(question).exclude(answer__ended=_FAILED).exists():
        open_ones = ChatMessage.objects.filter(public_id=turn.answer_id, ended=ChatMessage.Ended.NOT_EARLY)
        if open_ones.update(ended=_FAILED, quota=0):
            forget_failed(question)
            return AnswerFailed(error, turn.session.public_id, turn.answer_id)
    take_back(turn)
    return error


def take_back(turn: "Turn") -> None:
    """Forget a question nobody answered, and its session if there is nothing else in it."""
    with transaction.atomic():
        lift(turn.question)
        ChatMessage.objects.filter(pk=turn.question.pk).delete()
    ChatSession.objects.filter(pk=turn.session.pk, messages=None).delete()


def forget_failed(question: ChatMessage) -> None:
    """This question has been asked again: where it failed before, it need not stand, unless something follows it."""
    failed = _alike(question).filter(answer__ended=_FAILED)
    followed = ChatMessage.objects.filter(session=question.session_id, parent__in=failed.values("pk"))
    failed.exclude(pk__in=list(followed.values_list("parent", flat=True))).delete()


def _alike(question: ChatMessage) -> QuerySet[ChatMessage]:
    """The same question in the same place."""
    same = ChatMessage.objects.filter(session=question.session_id, parent=question.parent_id, placed=True)
    same = same.filter(role=ChatMessage.Role.USER, content=question.content, attachments=question.attachments)
    return same.exclude(pk=question.pk)
