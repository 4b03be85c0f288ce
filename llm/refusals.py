"""What keeps a question from being answered, and what is said then: in words to those who chat, and in English, with
all that is known, to those who write programs against /v1."""

from dataclasses import replace

import psycopg
from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from voicehelper.api.errors import ErrorAnswer, Rule, answer_to, database_away
from voicehelper.wallet.services import BudgetSpent, InsufficientQuota

from .chat.attachments import (
    MOST,
    MOST_PICTURE_BYTES,
    MOST_TEXT_BYTES,
    AttachmentsTooLarge,
    CannotSee,
    NotAttachable,
    TooManyAttached,
)
from .chat.branches import ParentGone
from .chat.choices import UnknownPriority
from .chat.conversations import AnswerUnderWay, KeyConflict, NothingToContinue
from .chat.failures import AnswerFailed
from .chat.sessions import NotFound, TooManyPinned
from .chat.voice import NothingToSay
from .providers.base import StreamBroke
from .relay.errors import CallFailed, CallRefused, LedgerAway
from .safety.guard import ContentCut

# What calls of models end with, in words for those who chat. Other codes bring a text that says more.
_CALLS: dict[str, Promise] = {
    "content_filter": _("The content filter does not let this question through; nothing was charged"),
    "content_filter_away": _("The content filter does not answer at the moment, please try again"),
    "model_not_found": _("This model does not exist or is switched off: choose another one"),
    "no_provider": _("No model is available yet"),
    "not_a_recording": _("This file is no recording that can be understood: send mp3, wav, m4a, ogg, webm or flac"),
    "too_long": _("The recording is too long: a minute at the most"),
    "upstream_overloaded": _("The model is overloaded, please try again later"),
    "upstream_rate_limited": _("The model is overloaded, please try again later"),
    "upstream_timeout": _("The model did not answer in time, please try again"),
    "upstream_error": _("The model failed, please try again or choose another one"),
}


# Who has to wait longer is not told to try again.
_SOON_S = 90


def _call(status: int, code: str, text: str, *, param: str = "", retry_after_s: int = 0) -> ErrorAnswer:
    words = _CALLS.get(code, text)
    return ErrorAnswer(status, words, code, technical=text, param=param, retry_after_s=retry_after_s)


def _refused(error: CallRefused) -> ErrorAnswer:
    return _call(error.status, error.code, error.text, param=error.param, retry_after_s=error.retry_after_s)


def _failed(error: CallFailed) -> ErrorAnswer:
    retry_after_s = 0 if error.retry_after_s is None else max(1, round(error.retry_after_s))
    if error.refusal is not None:
        code = error.refusal.code or "upstream_refused"
        status = 413 if error.refusal.status == 413 else 400
        return _call(status, code, str(error), param=error.refusal.param)
    if error.overloaded:
        return _call(503, "upstream_overloaded", str(error), retry_after_s=retry_after_s)
    if error.rate_limited:
        return _call(429, "upstream_rate_limited", str(error), retry_after_s=retry_after_s or 5)
    if error.timed_out:
        return _call(504, "upstream_timeout", str(error))
    return _call(502, "upstream_error", str(error), retry_after_s=retry_after_s)


def _cut(error: ContentCut) -> ErrorAnswer:
    words = _("The content filter ended the answer here; it is charged as far as it was written")
    return ErrorAnswer(400, words, error.code, technical=error.text)


def _broke(error: StreamBroke) -> ErrorAnswer:
    overloaded = error.overloaded
    return _call(503 if overloaded else 502, "upstream_overloaded" if overloaded else "upstream_error", error.told)


def _kept(error: AnswerFailed) -> ErrorAnswer:
    """Where the question stands, for whoever asks it again."""
    where = {"sessionId": error.session_id, "messageId": error.message_id}
    return replace(answer_to(error.cause), more=where)


def _insufficient(_error: InsufficientQuota) -> ErrorAnswer:
    """OpenAI says 429 here, which its clients retry, twice and in vain; 402 they raise at once, and Anthropic's
    billing_error is 402 as well."""
    words = _("Your quota does not cover this question: recharge at %(url)s, or choose a cheaper model")
    text = "The quota does not cover this call (its prompt and max_tokens). Recharge, or ask for fewer tokens."
    url = f"{settings.SERVER_ADDRESS}{reverse('topup:recharge')}"
    return ErrorAnswer(402, words % {"url": url}, "insufficient_quota", technical=text)


def _budget_spent(error: BudgetSpent) -> ErrorAnswer:
    """OpenAI's clients repeat a 429 after Retry-After, or sooner: not when it is of no use for the next minutes."""
    if error.limit == "quota":
        code = "key_quota_exceeded"
        text = "The quota of this API key does not cover this call (its prompt and max_tokens)."
    elif error.limit == "rpm":
        code, text = "rate_limit_exceeded", f"More than {error.rpm} calls a minute with this key."
    else:
        code = "rate_limit_exceeded"
        text = f"More than {error.tpm} tokens a minute with this key: this call may use {error.tokens} more."
    headers = {} if 0 < error.wait_s <= _SOON_S else {"x-should-retry": "false"}
    for what, most, left in (("requests", error.rpm, error.calls_left), ("tokens", error.tpm, error.tokens_left)):
        if most is not None:
            headers |= {f"x-ratelimit-limit-{what}": str(most), f"x-ratelimit-remaining-{what}": str(max(0, left))}
            if (error.limit == "rpm") == (what == "requests") and error.wait_s:
                headers[f"x-ratelimit-reset-{what}"] = f"{error.wait_s}s"
    return replace(_call(429, code, text, retry_after_s=error.wait_s), headers=headers)


def _attachments_too_large(_error: Exception) -> ErrorAnswer:
    most = {"picture": f"{MOST_PICTURE_BYTES // 1024**2} MB", "text": f"{MOST_TEXT_BYTES // 1024} KB"}
    words = _("Too large for a model: a picture may have %(picture)s, a text %(text)s") % most
    return ErrorAnswer(413, words, "attachments_too_large")


def _too_many_attached(_error: Exception) -> ErrorAnswer:
    return ErrorAnswer(400, _("At most %(most)s files go along with a question") % {"most": MOST}, "too_many_attached")


def _ledger_away(error: Exception) -> ErrorAnswer:
    return replace(database_away(error), retry_after_s=2)


REFUSALS: dict[type[Exception], Rule] = {
    CallRefused: _refused,
    CallFailed: _failed,
    ContentCut: _cut,
    StreamBroke: _broke,
    AnswerFailed: _kept,
    InsufficientQuota: _insufficient,
    BudgetSpent: _budget_spent,
    LedgerAway: _ledger_away,
    psycopg.Error: _ledger_away,
    NotFound: ErrorAnswer(404, _("There is no such thing"), "not_found"),
    UnknownPriority: ErrorAnswer(
        400, _("Choose auto, auto:cost, auto:speed or auto:quality, or name a model"), "unknown_priority"
    ),
    NotAttachable: ErrorAnswer(
        415, _("Models read pictures (PNG, JPEG, GIF, WebP) and texts, not this kind of file"), "not_attachable"
    ),
    TooManyAttached: _too_many_attached,
    CannotSee: ErrorAnswer(400, _("This model does not look at pictures: choose one that does"), "cannot_see"),
    AttachmentsTooLarge: _attachments_too_large,
    ParentGone: ErrorAnswer(404, _("What this follows is not there any more: load the page again"), "parent_gone"),
    NothingToContinue: ErrorAnswer(409, _("There is nothing in this answer to go on with"), "nothing_to_continue"),
    TooManyPinned: ErrorAnswer(409, _("So many conversations cannot be pinned: unpin one first"), "too_many_pinned"),
    NothingToSay: ErrorAnswer(400, _("There is nothing in it that could be spoken"), "nothing_to_say"),
    KeyConflict: ErrorAnswer(409, _("This idempotency key was used for a different question"), "idempotency_conflict"),
    AnswerUnderWay: ErrorAnswer(409, _("This question is being answered"), "under_way"),
}
