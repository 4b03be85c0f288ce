"""Questions that are put to models, and their answers as they are stored. writings.py gets the answers, sessions.py has
the conversations, branches.py says which question follows which, prompts.py what a model is sent.

A question is stored before a model is asked, with an answer that is empty yet. What becomes of both when the call fails
says failures.py; nothing is charged then.
"""

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

from ..models import ChatMessage, ChatSession, Usage
from ..relay.call import new_request_id
from . import attachments as attaching
from .branches import ROOT, Tree, place_of
from .choices import ModelChoice, choice_of
from .failures import forget_failed
from .prompts import body_of
from .sessions import NotFound, notify_stop, session_of, title_of
from .words import keep_words

log = logging.getLogger(__name__)

LONGEST_QUESTION = 32_000
# What a model is asked to go on with an answer that broke off.
GO_ON = "请从中断处继续，不要重复已有内容。Continue exactly where you broke off; repeat nothing."
# An answer whose writer was not heard of for so long will not be finished.
ORPHANED = timedelta(minutes=1)


class KeyConflict(Exception):
    """The idempotency key was used for another question."""


class AnswerUnderWay(Exception):
    """The same question, with the same idempotency key, is being answered: in that message, if it is known."""

    def __init__(self, answer: ChatMessage | None = None) -> None:
        super().__init__()
        self.answer = answer


class NothingToContinue(Exception):
    """The answer has no words, or is being written."""


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
    choice: ModelChoice


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


# --- Messages ---------------------------------------------------------------------------------------------------------
def messages_of(user: User, session_id: str) -> QuerySet[ChatMessage]:
    """The messages of a session, oldest first. Raises NotFound."""
    return _with_parents(ChatMessage.objects.filter(session=session_of(user, session_id)).order_by("pk"))


def _with_parents(rows: QuerySet[ChatMessage]) -> QuerySet[ChatMessage]:
    return rows.select_related("question", "parent").defer("question__content", "parent__content")


def message_of(user: User, message_id: str) -> ChatMessage:
    """Raises NotFound."""
    messages = _with_parents(ChatMessage.objects.select_related("session"))
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
    user: User,
    content: str,
    *,
    session_id: str = "",
    model: str = "",
    key: str = "",
    parent: str | None = None,
    setting: Mapping[str, Any] | None = None,
    continues: bool = False,
    attachments: Sequence[str] = (),
) -> Turn | Answer:
    """Store a question, in a new session if there is none of that id; the answer itself when the key was used before.

    `model` is a name, or "auto" (choices.py); without it the session's own choice counts. `parent` is what it follows
    (branches.place_of), `setting` changes the session's system_prompt and temperature. One that `continues` has the
    answer of `parent` go on. Raises UnknownPriority, KeyConflict, AnswerUnderWay, ParentGone, NothingToContinue,
    and what attachments.attached does. `attachments` are paths of the user's own files.
    """
    digest = _digest(user, key) if key else None
    if digest is not None and (before := _asked_before(user, digest, content)) is not None:
        return before
    # A wrong one is refused before anything is stored.
    attached = attaching.attached(user, attachments, choice_of(model).models)
    try:
        with transaction.atomic():
            session, _ = ChatSession.objects.get_or_create(
                user=user, public_id=session_id or _new_id("chat"), defaults={"title": title_of(content)}
            )
            question = _put(session, content, digest, place_of(session, parent), attached, continues=continues)
            answer = _begin_answer(session, question)
            changes = {**(setting or {}), "model_name": model or session.model_name}
            ChatSession.objects.filter(pk=session.pk).update(last=Now(), **changes)
            for name, value in changes.items():
                setattr(session, name, value)
    except IntegrityError as error:
        raise AnswerUnderWay from error
    body = body_of(session, question)
    return Turn(user, session, question, answer.public_id, answer.request_id, body, choice_of(session.model_name))


def _put(
    session: ChatSession,
    content: str,
    digest: str | None,
    follows: int | None,
    attached: list[dict[str, Any]],
    *,
    continues: bool,
) -> ChatMessage:
    if continues:
        _check_continues(follows)
    return ChatMessage.objects.create(
        public_id=_new_id("msg"),
        session=session,
        role=ChatMessage.Role.USER,
        content=content,
        attachments=attached,
        key=digest,
        parent_id=follows,
        placed=True,
        continues=continues,
    )


def ask_again(user: User, answer_id: str, *, key: str = "") -> Turn | Answer:
    """Put the question of an answer once more, in its place: the two stand beside each other. Raises what `ask` raises,
    and NotFound."""
    answer = message_of(user, answer_id)
    if answer.question is None:
        raise NotFound
    tree = Tree(answer.session)
    parent = tree.parents.get(answer.question.pk)
    before = ROOT if parent is None else tree.ids[parent]
    content, session_id = answer.question.content, answer.session.public_id
    again: dict[str, Any] = {"parent": before, "continues": answer.question.continues}
    again["attachments"] = [each["path"] for each in answer.question.attachments]
    return ask(user, content, session_id=session_id, key=key, **again)


def go_on(user: User, answer_id: str, *, key: str = "") -> Turn | Answer:
    """Have an answer go on that ended early. Raises what `ask` raises, and NotFound."""
    session_id = message_of(user, answer_id).session.public_id
    return ask(user, GO_ON, session_id=session_id, key=key, parent=answer_id, continues=True)


def _check_continues(question: int | None) -> None:
    answer = ChatMessage.objects.filter(question_id=question).first() if question else None
    if answer is None or not answer.content or answer.state == "writing":
        raise NothingToContinue


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
        failed = answer.ended == ChatMessage.Ended.FAILED
        if answer.quota is not None and not failed:
            return answer_of(user, answer)
        if answer.ended and not failed:
            # It is charged as soon as that is possible.
            raise AnswerUnderWay
    elif question.created > clock.now() - timedelta(seconds=settings.LLM_TOTAL_SECONDS):
        # Asked of a process of the release before, which adds answers later.
        raise AnswerUnderWay
    # Whoever was answering it has died, or the model failed.
    ChatMessage.objects.filter(pk=question.pk).update(key=None)
    return None


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
    forget_failed(turn.question)
    both = ChatMessage.objects.filter(Q(pk=turn.question.pk) | Q(public_id=turn.answer_id))
    try:
        keep_words(list(both.select_related("session")))
    except DatabaseError as error:
        log.warning("The words of %s are kept in a while: %s", turn.answer_id, error)


def orphans(most: int = 100) -> list[tuple[ChatMessage, dict[str, Any]]]:
    """Answers whose writers died, and what was asked: oldest first."""
    dead = ChatMessage.objects.filter(complete=False, quota=None, alive__lt=Now() - ORPHANED)
    dead = dead.exclude(ended=ChatMessage.Ended.BROKEN).select_related("session__user", "question")
    found = dead.order_by("alive")[:most]
    return [(answer, body_of(answer.session, answer.question)) for answer in found if answer.question]


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
        notify_stop(answer.request_id)
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
