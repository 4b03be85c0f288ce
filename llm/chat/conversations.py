"""Conversations: a user's sessions and their messages, and the questions that are put to models. writings.py gets the
answers.

A question is stored before a model is asked, with an answer that is empty yet, and both are taken back when the call
fails: what ended with an error changed nothing. Answers without words are not sent along as history.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Now

from storage_backends import services as files
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

from ..models import ChatMessage, ChatSession, Spoken, Usage
from ..relay.call import new_request_id
from ..relay.engine import STOPPED
from ..relay.estimates import weigh_prompt
from ..relay.router import Priority
from . import attachments as attaching

TITLE_LENGTH = 80
LONGEST_QUESTION = 32_000
AUTO = "auto"
# An answer whose writer was not heard of for so long will not be finished.
ORPHANED = timedelta(minutes=1)
# So many answers are looked at for the history, however short they are.
_MOST_HISTORY = 100


class NotFound(Exception):
    """There is no such session or message of this user."""


class UnknownPriority(Exception):
    """A model was asked for as auto:something, and that is no priority."""


class KeyConflict(Exception):
    """The idempotency key was used for another question."""


class AnswerUnderWay(Exception):
    """The same question, with the same idempotency key, is being answered: in that message, if it is known."""

    def __init__(self, answer: ChatMessage | None = None) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that is stored, and what is needed to have it answered. `answer_id` is the answer's public id,
    `request_id` that of the call."""

    user: User
    session: ChatSession
    question: ChatMessage
    answer_id: str
    request_id: str
    body: dict[str, Any]
    models: tuple[str, ...]
    priority: Priority


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is stored, and what it cost. `balance` is the wallet's after it."""

    session_id: str
    message_id: str
    content: str
    model: str
    complete: bool
    state: str
    input_tokens: int
    output_tokens: int
    usage_source: str
    latency_ms: int
    quota: int
    balance: int


# --- Sessions and messages -------------------------------------------------------------------------------------------
def sessions_of(user: User) -> QuerySet[ChatSession]:
    """The user's sessions, the one used last first."""
    return ChatSession.objects.filter(user=user).order_by("-last", "-pk")


def session_of(user: User, session_id: str) -> ChatSession:
    """Raises NotFound."""
    found = ChatSession.objects.filter(user=user, public_id=session_id).first()
    if found is None:
        raise NotFound
    return found


def rename_session(user: User, session_id: str, title: str) -> ChatSession:
    """Raises NotFound."""
    session = session_of(user, session_id)
    session.title = _title(title)
    session.save(update_fields=["title"])
    return session


def delete_session(user: User, session_id: str) -> None:
    """With its messages, spoken ones too; what they cost stays in the usage log. Raises NotFound."""
    session = session_of(user, session_id)
    spoken = Spoken.objects.filter(message__session=session).exclude(path="")
    paths = list(spoken.values_list("path", flat=True))
    with_files = session.messages.exclude(attachments=[]).values_list("attachments", flat=True)
    attached = [each["path"] for several in with_files for each in several]
    session.delete()
    attaching.forget(user, attached)
    for path in paths:
        with suppress(files.FileNotFound):
            files.delete_file(user, path)


def messages_of(user: User, session_id: str) -> QuerySet[ChatMessage]:
    """The messages of a session, oldest first. Raises NotFound."""
    return ChatMessage.objects.filter(session=session_of(user, session_id)).order_by("pk")


def message_of(user: User, message_id: str) -> ChatMessage:
    """Raises NotFound."""
    messages = ChatMessage.objects.select_related("session")
    found = messages.filter(session__user=user, public_id=message_id).first()
    if found is None:
        raise NotFound
    if found.quota is None:
        found.quota = _charged(found.request_id)
    return found


def _charged(request_id: str) -> int | None:
    """What a call cost; None while it is not settled."""
    return Usage.objects.filter(request_id=request_id).values_list("quota", flat=True).first()


# --- Questions -------------------------------------------------------------------------------------------------------
def ask(
    user: User, content: str, *, session_id: str = "", model: str = "", key: str = "", attachments: Sequence[str] = ()
) -> Turn | Answer:
    """Store a question, in a new session if there is none of that id; the answer itself when the key was used before.

    `model` is a name, "auto", or "auto:" and a priority; without it the session's own choice counts. `attachments` are
    paths of the user's own files. Raises UnknownPriority, KeyConflict, AnswerUnderWay, and what attachments.py does.
    """
    digest = _digest(user, key) if key else None
    if digest is not None and (before := _asked_before(user, digest, content)) is not None:
        return before
    # A wrong one is refused before anything is stored.
    attached = attaching.attached(user, attachments, _choice(model)[0])
    try:
        with transaction.atomic():
            session, _ = ChatSession.objects.get_or_create(
                user=user, public_id=session_id or _new_id("chat"), defaults={"title": _title(content)}
            )
            question = ChatMessage.objects.create(
                public_id=_new_id("msg"),
                session=session,
                role=ChatMessage.Role.USER,
                content=content,
                attachments=attached,
                key=digest,
            )
            answer = _begin_answer(session, question)
            session.model_name = model or session.model_name
            ChatSession.objects.filter(pk=session.pk).update(last=Now(), model_name=session.model_name)
    except IntegrityError as error:
        raise AnswerUnderWay from error
    models, priority = _choice(session.model_name)
    body = _body(session, question)
    return Turn(user, session, question, answer.public_id, answer.request_id, body, models, priority)


def _body(session: ChatSession, question: ChatMessage) -> dict[str, Any]:
    asked = {"role": "user", "content": attaching.said(session.user, question)}
    return {"messages": [*_history(session, question), asked]}


def _digest(user: User, key: str) -> str:
    return hashlib.sha256(f"{user.pk}:{key}".encode()).hexdigest()


def _begin_answer(session: ChatSession, question: ChatMessage) -> ChatMessage:
    return ChatMessage.objects.create(
        public_id=_new_id("msg"),
        session=session,
        role=ChatMessage.Role.ASSISTANT,
        question=question,
        content="",
        complete=False,
        request_id=new_request_id(),
        quota=None,
    )


def take_back(turn: Turn) -> None:
    """Forget a question nobody answered, and its session if there is nothing else in it."""
    ChatMessage.objects.filter(pk=turn.question.pk).delete()
    ChatSession.objects.filter(pk=turn.session.pk, messages=None).delete()


def _asked_before(user: User, digest: str, content: str) -> Answer | None:
    question = ChatMessage.objects.filter(key=digest).select_related("answer", "session").first()
    if question is None:
        return None
    if question.content != content:
        raise KeyConflict
    answer = getattr(question, "answer", None)
    if answer is not None:
        answer = message_of(user, answer.public_id)
        if answer.state == "writing":
            raise AnswerUnderWay(answer)
        if answer.quota is not None:
            return answer_of(user, answer)
        if answer.ended:
            # It is charged as soon as that is possible.
            raise AnswerUnderWay
    elif question.created > clock.now() - timedelta(seconds=settings.LLM_TOTAL_SECONDS):
        # Asked of a process of the release before, which adds answers later.
        raise AnswerUnderWay
    # Whoever was answering it has died.
    ChatMessage.objects.filter(pk=question.pk).update(key=None)
    return None


def _choice(model: str) -> tuple[tuple[str, ...], Priority]:
    automatic, _, priority = (model or AUTO).partition(":")
    if automatic != AUTO:
        return (model,), Priority.BALANCED
    try:
        return (), Priority(priority or Priority.BALANCED)
    except ValueError:
        raise UnknownPriority(priority) from None


def _history(session: ChatSession, question: ChatMessage) -> list[dict[str, Any]]:
    """The last questions and answers before this one that fit into the budget, oldest first."""
    answers = ChatMessage.objects.filter(session=session, question_id__lt=question.pk).exclude(content="")
    history: list[dict[str, Any]] = []
    weight = 0.0
    seen: bool | None = None
    for answer in answers.select_related("question").order_by("-question_id")[:_MOST_HISTORY]:
        assert answer.question is not None  # noqa: S101  # what was filtered for
        if answer.question.attachments and seen is None:
            seen = attaching.sees(_choice(session.model_name)[0])
        pair: list[dict[str, Any]] = [
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": attaching.said(session.user, answer.question, seen=bool(seen))},
        ]
        weight += weigh_prompt({"messages": pair})
        if weight > settings.LLM_HISTORY_TOKENS:
            break
        history += pair
    return history[::-1]


def _title(text: str) -> str:
    return " ".join(text.split())[:TITLE_LENGTH]


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


# --- Answers ---------------------------------------------------------------------------------------------------------
def under_way(written: Mapping[str, tuple[str, str]], silent: Sequence[str]) -> set[str]:
    """Store what was written so far (text and model by the answers' public ids), and that those are alive of which
    there is no news. Returns which of them somebody wants stopped."""
    answers = ChatMessage.objects.filter(complete=False)
    with transaction.atomic():
        for answer_id, (content, model) in written.items():
            answers.filter(public_id=answer_id).update(content=content, model_name=model, alive=Now())
        if silent:
            answers.filter(public_id__in=silent).update(alive=Now())
    all_of_them = [*written, *silent]
    wanted = answers.filter(public_id__in=all_of_them, ended=ChatMessage.Ended.STOPPED)
    return set(wanted.values_list("public_id", flat=True))


def write_answer(turn: Turn, content: str, model: str, *, complete: bool) -> None:
    """What was written, and what it cost, if that is settled. Not complete: it broke off, unless it was stopped. Raises
    NotFound when the session was deleted."""
    stopped = When(ended=ChatMessage.Ended.STOPPED, then=Value(ChatMessage.Ended.STOPPED))
    otherwise = Value(ChatMessage.Ended.NOT_EARLY if complete else ChatMessage.Ended.BROKEN)
    found = ChatMessage.objects.filter(public_id=turn.answer_id).update(
        content=content,
        model_name=model,
        complete=complete,
        ended=otherwise if complete else Case(stopped, default=otherwise),
        quota=_charged(turn.request_id),
    )
    if not found:
        raise NotFound


def orphans(most: int = 100) -> list[tuple[ChatMessage, dict[str, Any]]]:
    """Answers whose writers died, and what was asked: oldest first."""
    dead = ChatMessage.objects.filter(complete=False, quota=None, alive__lt=Now() - ORPHANED)
    dead = dead.exclude(ended=ChatMessage.Ended.BROKEN).select_related("session__user", "question")
    found = dead.order_by("alive")[:most]
    return [(answer, _body(answer.session, answer.question)) for answer in found if answer.question]


def bury(answer: ChatMessage, quota: int) -> None:
    """Say that an answer broke off, and what it cost."""
    broken = Case(When(ended=ChatMessage.Ended.NOT_EARLY, then=Value(ChatMessage.Ended.BROKEN)), default=F("ended"))
    charged = _charged(answer.request_id)
    open_ones = ChatMessage.objects.filter(pk=answer.pk, complete=False, quota=None)
    open_ones.update(ended=broken, quota=quota if charged is None else charged)


def stop(user: User, *, message_id: str = "", key: str = "") -> ChatMessage:
    """Have an answer stopped, by its id or by the idempotency key of its question: whichever process writes it hangs up
    on the model. One that is over stays as it is. Raises NotFound."""
    if not message_id:
        asked = ChatMessage.objects.filter(question__key=_digest(user, key))
        message_id = asked.values_list("public_id", flat=True).first() or ""
    answer = message_of(user, message_id)
    open_ones = ChatMessage.objects.filter(pk=answer.pk, complete=False, ended=ChatMessage.Ended.NOT_EARLY)
    if open_ones.update(ended=ChatMessage.Ended.STOPPED):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [STOPPED, answer.request_id])
    return message_of(user, message_id)


def answer_of(user: User, message: ChatMessage) -> Answer:
    """A stored and settled answer. Its numbers are those of the usage log; of a call whose row is archived, only its
    charge is known."""
    usage = Usage.objects.filter(request_id=message.request_id).first() or Usage(
        quota=message.quota or 0, usage_source=Usage.Source.NONE
    )
    return Answer(
        session_id=message.session.public_id,
        message_id=message.public_id,
        content=message.content,
        model=message.model_name,
        complete=message.complete,
        state=message.state,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        usage_source=usage.usage_source,
        latency_ms=usage.latency_ms,
        quota=usage.quota,
        balance=wallet_of(user).balance,
    )
