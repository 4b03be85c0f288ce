"""The list of conversations beside the chat, and what is done with them: found, renamed, pinned, set, taken along,
deleted."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import user_of
from voicehelper.api.errors import answer_to
from voicehelper.later import Later

from ..chat import export, sessions, words
from ..chat.sessions import LONGEST_PROMPT, TITLE_LENGTH, WARMEST, NotFound, Position, TooManyPinned
from ..models import ChatSession
from . import display

SESSIONS_SHOWN = 50


class TitleForm(forms.Form):
    """The new name of a conversation."""

    title = forms.CharField(max_length=TITLE_LENGTH)


class SettingForm(forms.Form):
    """What goes along with every question of a conversation."""

    system_prompt = forms.CharField(max_length=LONGEST_PROMPT, required=False)
    temperature = forms.DecimalField(min_value=0, max_value=WARMEST, max_digits=3, decimal_places=2, required=False)

    def clean_system_prompt(self) -> str:
        return str(self.cleaned_data["system_prompt"]).replace("\r\n", "\n").strip()


def list_facts(user: User, after: Position | None = None) -> dict[str, Any]:
    """What sessions.html shows: the pinned ones on top of the first page, the others by age, and where more are."""
    shown, more = sessions.page_of_sessions(user, after, SESSIONS_SHOWN)
    groups = display.by_age(shown, clock.now())
    if after is None and (pinned := sessions.pinned_of(user)):
        groups.insert(0, display.Group(_("Pinned"), pinned))
    return {"groups": groups, "more": more, "continued": after is not None}


@never_cache
@login_required
@require_safe
def older(request: HttpRequest) -> HttpResponse:
    """The next page of the list: a page of its own, out of which the script takes the list."""
    facts = list_facts(user_of(request), Position.read(request.GET.get("after", "")))
    return render(request, "llm/conversations.html", facts)


@never_cache
@login_required
@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Where conversations have the words looked for; without any, the list."""
    user, text = user_of(request), request.GET.get("q", "").strip()[: words.LONGEST_SEARCH]
    if not text:
        return redirect("chat:older")
    return render(request, "llm/conversations.html", {"q": text, "hits": words.search(user, text)})


@login_required
@require_POST
def rename(request: HttpRequest, session_id: str) -> HttpResponse:
    """Give a conversation another name."""
    form = TitleForm(request.POST)
    _change(request, session_id, form.cleaned_data if form.is_valid() else {})
    return redirect("chat:session", session_id)


@login_required
@require_POST
def pin(request: HttpRequest, session_id: str) -> HttpResponse:
    """Keep a conversation on top of the list, or no longer."""
    try:
        _change(request, session_id, {"pinned": request.POST.get("pinned") == "yes"})
    except TooManyPinned as error:
        messages.warning(request, answer_to(error).text)
    return redirect("chat:session", session_id)


@login_required
@require_POST
def setting(request: HttpRequest, session_id: str) -> HttpResponse:
    """What goes along with every question from now on; what is out of bounds changes nothing."""
    form = SettingForm(request.POST)
    _change(request, session_id, form.cleaned_data if form.is_valid() else {})
    return redirect("chat:session", session_id)


def _change(request: HttpRequest, session_id: str, changes: dict[str, Any]) -> None:
    """Without any changes it is still looked at whose conversation it is."""
    try:
        sessions.change_session(user_of(request), session_id, changes)
    except NotFound:
        raise Http404 from None


@login_required
@require_POST
def delete(request: HttpRequest, session_id: str) -> HttpResponse:
    """Delete a conversation; the page has asked before."""
    try:
        sessions.delete_session(user_of(request), session_id)
    except NotFound:
        raise Http404 from None
    return redirect("chat:new")


@login_required
@require_POST
def delete_all(request: HttpRequest) -> HttpResponse:
    """Delete all conversations; the page has asked before, and wants a tick."""
    if request.POST.get("sure") == "yes":
        sessions.delete_all_sessions(user_of(request))
    return redirect("chat:new")


@never_cache
@login_required
@require_safe
def download(request: HttpRequest, session_id: str = "") -> HttpResponseBase:
    """One conversation, or all of them, as a file."""
    kind = export.JSON if request.GET.get("as") == export.JSON else export.MARKDOWN
    user = user_of(request)
    session = session_or_404(request, session_id) if session_id else None

    async def make() -> StreamingHttpResponse:
        return export.download(user, kind, session)

    return Later(make)


def session_or_404(request: HttpRequest, session_id: str) -> ChatSession:
    try:
        return sessions.session_of(user_of(request), session_id)
    except NotFound:
        raise Http404 from None
