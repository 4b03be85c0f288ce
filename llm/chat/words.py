"""Finding conversations by their words.

A message is kept with its words, so that PostgreSQL finds them through one index: what is written without spaces
(Chinese, Japanese, Korean) in pairs of characters, all else in whole words, lower case, and whose it is. So a search
touches only rows of its own user. What the release before wrote is taken in by a task.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from voicehelper.accounts.models import User

from ..models import ChatMessage, ChatSession, SearchWords

# Scripts that have no spaces between words.
_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
# So much of a message is looked at, so long a word kept whole, and so many of them.
_MOST_CHARACTERS = 200_000
_LONGEST_WORD = 64
_MOST_WORDS = 20_000
# A search has so many words, and shows so many places.
LONGEST_SEARCH = 200
_MOST_TERMS = 12
MOST_FOUND = 50
# A word that is not written to its end finds others that begin so, unless that would be half of a language.
_BEGINS = 3
_BEFORE, _AFTER = 40, 120


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def words_in(text: str) -> list[str]:
    """What a text is found by. The last character of a run stands alone too: so every single one begins a word."""
    found: dict[str, None] = {}
    for run in _RUNS.findall(_plain(text[:_MOST_CHARACTERS])[:_MOST_CHARACTERS]):
        if _IS_UNSPACED.match(run):
            found.update(dict.fromkeys(run[at : at + 2] for at in range(len(run))))
        else:
            found[run[:_LONGEST_WORD]] = None
        if len(found) > _MOST_WORDS:
            break
    return list(found)[:_MOST_WORDS]


def terms_in(search: str) -> list[str]:
    """The runs of characters a search is for."""
    return _RUNS.findall(_plain(search[:LONGEST_SEARCH]))[:_MOST_TERMS]


def _query(user_id: int, terms: Sequence[str]) -> str:
    """A tsquery; no term has a quote in it."""
    parts = [f"'{_whose(user_id)}'"]
    for term in terms:
        if not _IS_UNSPACED.match(term):
            parts.append(f"'{term[:_LONGEST_WORD]}'" + (":*" if len(term) >= _BEGINS else ""))
        elif len(term) == 1:
            parts.append(f"'{term}':*")
        else:
            parts += [f"'{term[at : at + 2]}'" for at in range(len(term) - 1)]
    return " & ".join(parts)


def _whose(user_id: int) -> str:
    # No word has a space in it.
    return f"of {user_id}"


# --- Kept ------------------------------------------------------------------------------------------------------------
def keep_words(messages: Sequence[ChatMessage]) -> None:
    """Have messages found by what they say now; their sessions must be loaded with them."""
    rows = [
        SearchWords(message_id=each.pk, words=[_whose(each.session.user_id), *words_in(each.content)])
        for each in messages
    ]
    with transaction.atomic():
        here = ChatMessage.objects.filter(pk__in=[each.pk for each in messages]).select_for_update(no_key=True)
        there = set(here.order_by("pk").values_list("pk", flat=True))
        kept = [row for row in rows if row.message_id in there]
        SearchWords.objects.bulk_create(kept, update_conflicts=True, unique_fields=["message"], update_fields=["words"])
        ChatMessage.objects.filter(pk__in=there).update(searchable=True)


def keep_old_words(most: int = 500) -> int:
    """Take in messages whose words are not kept yet, but those that are being written. Returns how many."""
    waiting = ChatMessage.objects.filter(searchable=False).exclude(complete=False, ended=ChatMessage.Ended.NOT_EARLY)
    found = list(waiting.select_related("session").order_by("pk")[:most])
    if found:
        keep_words(found)
    return len(found)


# --- Found -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Hit:
    """A place where the words stand: a message, or the title of a session (`message` None)."""

    session: ChatSession
    message: ChatMessage | None
    excerpt: list[tuple[str, bool]]


def found_messages(user: User, terms: Sequence[str]) -> QuerySet[ChatMessage]:
    """The user's messages that have all terms, newest first."""
    rows = ChatMessage.objects.filter(words__words__matches=_query(user.pk, terms), session__user=user)
    for term in terms:
        if len(term) > 2 and _IS_UNSPACED.match(term):
            # All its pairs are there; side by side?
            rows = rows.filter(content__icontains=term)
    # By time, which has no index of its own: the words are looked up first.
    return rows.exclude(continues=True).select_related("session").order_by("-created", "-pk")


def search(user: User, text: str) -> list[Hit]:
    """Where the user's conversations have all the words: titles first, then messages, newest first. The same said
    twice in one conversation is found once."""
    terms = terms_in(text)
    if not terms:
        return []
    titled = Q()
    for term in terms:
        titled &= Q(title__icontains=term)
    titles = ChatSession.objects.filter(titled, user=user).order_by("-last", "-pk")[: MOST_FOUND // 5]
    hits = [Hit(session, None, excerpt(session.title, terms)) for session in titles]
    said: set[tuple[int, str]] = {(hit.session.pk, hit.session.title) for hit in hits}
    for message in found_messages(user, terms)[: 2 * MOST_FOUND]:
        if (message.session_id, message.content) not in said:
            said.add((message.session_id, message.content))
            hits.append(Hit(message.session, message, excerpt(message.content, terms)))
    return hits[:MOST_FOUND]


def excerpt(text: str, terms: Sequence[str]) -> list[tuple[str, bool]]:
    """The text around the first place where one of the terms stands, in pieces: True for those that are one."""
    wanted = re.compile("|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True)), re.IGNORECASE)
    first = wanted.search(text)
    begins = max(0, first.start() - _BEFORE) if first else 0
    ends = min(len(text), (first.end() if first else 0) + _AFTER)
    words = ("…" if begins else "") + " ".join(text[begins:ends].split()) + ("…" if ends < len(text) else "")
    return list(_pieces(words, wanted))


def _pieces(words: str, wanted: "re.Pattern[str]") -> Iterator[tuple[str, bool]]:
    at = 0
    for match in wanted.finditer(words):
        if match.start() > at:
            yield words[at : match.start()], False
        yield match.group(), True
        at = match.end()
    if at < len(words):
        yield words[at:], False
