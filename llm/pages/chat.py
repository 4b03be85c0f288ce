"""The chat page: conversations at the left, one of them in the middle, a field to write in.

It works without JavaScript: the form posts, with the files that go along, waits for the whole answer and shows it. With
it, the form asks through the streaming API and the answer is written as it comes.
"""

import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from storage_backends.services import FileNotFound, FileRefused, StoreDown
from voicehelper.accounts.services import user_of
from voicehelper.api import ratelimit
from voicehelper.api.errors import answer_to
from voicehelper.later import Later
from voicehelper.numbers import grouped
from voicehelper.wallet.services import InsufficientQuota
from voicehelper.wallet.shown_balance import shown_balance

from .. import services
from ..chat import attachments as attaching
from ..chat import conversations
from ..chat.branches import ParentGone, Tree, place_of
from ..chat.choices import UnknownPriority
from ..chat.conversations import LONGEST_QUESTION, Answer, Turn
from ..chat.failures import AnswerFailed
from ..chat.sessions import LONGEST_PROMPT, NotFound
from ..chat.writings import writings
from ..models import ChatSession
from ..relay.threads import in_thread
from . import display, voice_prices
from .sessions import list_facts, session_or_404

TURNS_SHOWN = 100
# What keeps a question from being put.
_REFUSED = (
    ratelimit.TooMany,
    UnknownPriority,
    ParentGone,
    conversations.NothingToContinue,
    conversations.KeyConflict,
    conversations.AnswerUnderWay,
    attaching.TooManyAttached,
    attaching.NotAttachable,
    attaching.AttachmentsTooLarge,
    attaching.CannotSee,
    FileNotFound,
    FileRefused,
    StoreDown,
)

EXAMPLES = (
    gettext_lazy("Explain quantum entanglement to a ten-year-old"),
    gettext_lazy("Write a polite e-mail that moves a meeting to Friday"),
    gettext_lazy("A Python function that reads a CSV file, with an example"),
)


class AskForm(forms.Form):
    """What the chat page posts. `intent` is fresh in every page sent, so a double click asks once."""

    content = forms.CharField(max_length=LONGEST_QUESTION)
    model = forms.CharField(max_length=64, required=False)
    intent = forms.RegexField(r"^[0-9a-f]{32}\Z")
    parent = forms.CharField(max_length=40, required=False)


class AgainForm(forms.Form):
    """The button below an answer that was pressed."""

    intent = forms.RegexField(r"^[0-9a-f]{32}\Z")
    go_on = forms.BooleanField(required=False)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def chat(request: HttpRequest, session_id: str = "") -> HttpResponseBase:
    """A conversation, or the start of one; posting asks."""
    session = session_or_404(request, session_id) if session_id else None
    if request.method != "POST":
        return _page(request, session)
    form = AskForm(request.POST)
    if not form.is_valid():
        text = _("Write a question of at most %(most)s characters.") % {"most": grouped(LONGEST_QUESTION)}
        return _page(request, session, problem=text, status=400)
    try:
        asked = _ask(request, session_id, form.cleaned_data)
    except _REFUSED as error:
        return _refused(request, session, error)
    return _answered(asked) if isinstance(asked, Answer) else _when_answered(request, session, asked)


def _ask(request: HttpRequest, session_id: str, said: dict[str, Any]) -> Turn | Answer:
    """Of the files that go along some are new, some went along before."""
    user, kept = user_of(request), request.POST.getlist("attachments")[: attaching.MOST]
    ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-user", str(user.pk)))
    text, key = said["content"].replace("\r\n", "\n"), f"page:{said['intent']}"
    where = {"session_id": session_id, "model": said["model"], "parent": said["parent"]}
    paths = attaching.keep(user, request.FILES.getlist("files"))
    try:
        asked = conversations.ask(user, text, key=key, attachments=[*kept, *paths], **where)
    except Exception:
        attaching.forget(user, paths)
        raise
    if isinstance(asked, Answer):
        # Sent twice.
        attaching.forget(user, paths)
    return asked


def _when_answered(request: HttpRequest, session: ChatSession | None, turn: Turn) -> Later:
    """No thread waits while the model thinks."""
    language = translation.get_language()

    def refused(error: Exception) -> HttpResponse:
        with translation.override(language):
            return _refused(request, session, error)

    async def make() -> HttpResponse:
        try:
            return _answered(await writings().begin(turn).end())
        except AnswerFailed as error:
            # The page says so, and asks again.
            return _answered(error)
        except Exception as error:  # noqa: BLE001  # the edge: every error has a page
            await in_thread(attaching.forget, turn.user, [each["path"] for each in turn.question.attachments])
            return await in_thread(refused, error)

    return Later(make)


def _answered(answer: Answer | AnswerFailed) -> HttpResponse:
    return redirect(f"{reverse('chat:session', args=[answer.session_id])}#{answer.message_id}")


def _refused(request: HttpRequest, session: ChatSession | None, error: Exception) -> HttpResponse:
    refusal, broke = answer_to(error), isinstance(error, InsufficientQuota)
    return _page(request, session, problem="" if broke else refusal.text, broke=broke, status=refusal.status)


@login_required
@require_POST
def again(request: HttpRequest, session_id: str, message_id: str) -> HttpResponseBase:
    """Another answer to the question of an answer, beside that one; or more of one that ended early."""
    session, form = session_or_404(request, session_id), AgainForm(request.POST)
    if not form.is_valid():
        return redirect("chat:session", session_id)
    user = user_of(request)
    try:
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-user", str(user.pk)))
        key = f"page:{form.cleaned_data['intent']}"
        do = conversations.go_on if form.cleaned_data["go_on"] else conversations.ask_again
        asked = do(user, message_id, key=key)
    except NotFound:
        raise Http404 from None
    except _REFUSED as error:
        return _refused(request, session, error)
    return _answered(asked) if isinstance(asked, Answer) else _when_answered(request, session, asked)


@dataclass(frozen=True)
class Branch:
    """What of a conversation is in sight: a page of a branch, and where the next question goes on."""

    turns: list[display.ShownTurn]
    page: Page[int]
    leaf: str

    def question(self, message_id: str) -> display.ShownTurn | None:
        return next((turn for turn in self.turns if turn.mine and turn.id == message_id), None)


def _branch(request: HttpRequest, session: ChatSession, rate: Fraction) -> Branch:
    """The branch that was asked in last, or the one through `?turn=`, and of it the page with that."""
    tree = Tree(session)
    turn = request.GET.get("turn")
    try:
        through = place_of(session, turn) if turn else None
    except ParentGone:
        through = None
    line = tree.through(through)
    pages = Paginator(line[::-1], TURNS_SHOWN)
    number = request.GET.get("page") or (1 + line[::-1].index(through) // TURNS_SHOWN if through in line else 1)
    page = pages.get_page(number)
    leaf = tree.ids[line[-1]] if line else ""
    return Branch(display.turns(tree, list(page.object_list)[::-1], rate), page, leaf)


def _page(
    request: HttpRequest, session: ChatSession | None, *, problem: str = "", broke: bool = False, status: int = 200
) -> HttpResponse:
    user = user_of(request)
    account = shown_balance(user)
    offers = display.offers(user, account.rate)
    asked = request.POST if request.method == "POST" else request.GET
    facts: dict[str, Any] = {
        "account": account,
        "session": session,
        **list_facts(user),
        "offers": offers,
        "chosen": _chosen(offers, asked.get("model") or (session.model_name if session else "")),
        "examples": EXAMPLES,
        "typed": asked.get("content", "")[:LONGEST_QUESTION],
        "most": LONGEST_QUESTION,
        "attachments": display.ATTACHMENTS,
        "most_prompt": LONGEST_PROMPT,
        "intent": secrets.token_hex(16),
        "hears": bool(services.models_now("speech_to_text")),
        "hearing": voice_prices.hearing(user, account.rate),
        "speaking": voice_prices.speaking(user, account.rate),
        "speaks": bool(services.models_now("text_to_speech")),
        "problem": problem,
        "broke": broke,
        # What the script fills in.
        "blank": display.ShownTurn("", mine=False, text=""),
        "blank_mine": display.ShownTurn("", mine=True, text=""),
    }
    if session is not None:
        branch = _branch(request, session, account.rate)
        facts |= {"page": branch.page, "turns": branch.turns, "leaf": branch.leaf, "turn": request.GET.get("turn", "")}
        facts["parent"] = asked.get("parent") or branch.leaf
        if edited := branch.question(request.GET.get("edit", "")):
            facts |= {"typed": edited.text, "parent": edited.parent, "kept": edited.attachments}
    return render(request, "llm/chat.html", facts, status=status)


def _chosen(offers: list[display.ShownOffer], name: str) -> display.ShownOffer | None:
    """The model that is asked for, or else the first there is."""
    return next((offer for offer in offers if offer.value == name), offers[0] if offers else None)
