"""Forgetting a person, table by table: what each app does about it is registered here when the app is ready.

Every step finds by itself what is left to do, works in small transactions, and may be repeated: a run that was killed
is begun again. What a row's own foreign key says decides about the rest: CASCADE goes, PROTECT is the books and stays.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import CASCADE, CharField, ForeignObjectRel, Model, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, Now

from notifications.models import Alert, Mail
from voicehelper.differences import words
from voicehelper.wallet.models import Adjustment

from .models import LoggedChange, User, WeChatIdentity

# Rows in one transaction; of those that have many below them, fewer.
BATCH, FEW = 500, 20
# Fields by which somebody is known.
_NAMING = {"username", "email", "new_email", "first_name", "last_name", "openid", "unionid"}


@dataclass(frozen=True)
class Person:
    """Who is forgotten: the user, and every text that names them. Longest first: one may be part of another."""

    user_id: int
    joined: Any
    names: tuple[str, ...]

    @property
    def pseudonym(self) -> str:
        """What stands for their names from now on. Nobody can sign up with it: a name has no #."""
        return f"deleted#{self.user_id}"

    def unnamed(self, said: Any) -> Any:
        """A text, or what JSON keeps, without them. A name counts where it stands by itself, not within a word."""
        match said:
            case str():
                for name in self.names:
                    said = re.sub(rf"(?<![\w.@+-]){re.escape(name)}(?![\w@+-])", self.pseudonym, said)
            case list():
                return [self.unnamed(each) for each in said]
            case dict():
                return {key: self.unnamed(each) for key, each in said.items()}
        return said


_steps: dict[str, Callable[[Person], None]] = {}
_names: list[Callable[[User], Iterable[str]]] = []


def register_names(names_in: Callable[[User], Iterable[str]]) -> None:
    """What else names a user, in an app's own tables."""
    _names.append(names_in)


def register(name: str, step: Callable[[Person], None]) -> None:
    """Let `step` be part of forgetting somebody. It may raise: then all is tried again later."""
    _steps[name] = step


def person_of(user: User) -> Person:
    """What names a user now."""
    found = {user.username, user.email, user.new_email, user.first_name, user.last_name, *_before_operators(user)}
    for openid, unionid in WeChatIdentity.objects.filter(user=user).values_list("openid", "unionid"):
        found |= {openid, unionid}
    for names_in in _names:
        found |= set(names_in(user))
    names = sorted(found - {"", words(""), f"deleted#{user.pk}"}, key=len, reverse=True)
    return Person(user.pk, user.date_joined, tuple(names))


def _before_operators(user: User) -> Iterator[str]:
    """What named them until an operator wrote something else; only the log knows, and before it kept values it kept
    the name of the time."""
    yield from _lines_about(user.pk).values_list("object_repr", flat=True).distinct()
    for values in LoggedChange.objects.filter(entry__in=_lines_about(user.pk)).values_list("values", flat=True):
        for change in values:
            if change.get("field") in _NAMING:
                yield from (each for each in (change.get("old"), change.get("new")) if isinstance(each, str))


def _lines_about(user_id: int) -> "QuerySet[LogEntry]":
    of_user = ContentType.objects.get_for_model(User)
    return LogEntry.objects.filter(content_type=of_user, object_id=str(user_id))


def forget(person: Person) -> None:
    """All but the user's own row. Raises what a step raises. First where names are looked for: the steps after it
    take those away by which they are known. Former names are known by the operators' log alone."""
    in_texts = [_forget_mails, _forget_in_alerts, _forget_in_log]
    for step in [*in_texts, *_steps.values(), _end_sessions, _delete_what_is_theirs]:
        step(person)


def batches(rows: "QuerySet[Any]", size: int = BATCH) -> Iterator[list[Any]]:
    """Rows in the order of their ids, so many at a time."""
    after = 0
    while found := list(rows.filter(pk__gt=after).order_by("pk")[:size]):
        yield found
        after = found[-1].pk


def unname(rows: "QuerySet[Any]", fields: Sequence[str], person: Person) -> None:
    """Write the pseudonym where a text of these rows, or what they keep as JSON, names the person."""
    named = Q()
    for field in fields:
        for name in person.names:
            named |= Q(**{f"{field}_text__contains": name})
    if not named:
        return
    for found in batches(rows.alias(**{f"{field}_text": Cast(field, TextField()) for field in fields}).filter(named)):
        for row in found:
            texts = {field: _fitting(row, field, person.unnamed(getattr(row, field))) for field in fields}
            if any(getattr(row, field) != text for field, text in texts.items()):
                type(row)._default_manager.filter(pk=row.pk).update(**texts)


def _fitting(row: Model, field: str, said: Any) -> Any:
    """What the column holds of a text."""
    return said[: row._meta.get_field(field).max_length] if isinstance(said, str) else said  # type: ignore[union-attr]


# --- What accounts themselves know of -----------------------------------------------------------------------------
def _forget_in_alerts(person: Person) -> None:
    """What operators were told since the person came, and why they gave quota."""
    alerts = Alert.objects.filter(last__gte=person.joined)
    unname(alerts, ["title", "content", "texts"], person)
    for name in person.names:
        # Keys tell open alerts apart: no two may become one.
        alerts.filter(key__contains=name).update(key=Concat(Value("forgotten:"), Cast("pk", CharField())))
    unname(Adjustment.objects.filter(wallet__user_id=person.user_id), ["reason"], person)


def _forget_in_log(person: Person) -> None:
    """What operators did since the person came. Whoever did it, and when, stays."""
    mine = _lines_about(person.user_id)
    with _words_of_the_log_change():
        unname(LoggedChange.objects.filter(entry__action_time__gte=person.joined), ["values"], person)
        unname(LogEntry.objects.filter(action_time__gte=person.joined), ["object_repr", "change_message"], person)
        LoggedChange.objects.filter(entry__in=mine).update(values=[])
        mine.update(object_repr=person.pseudonym, change_message="")


@contextmanager
def _words_of_the_log_change() -> Iterator[None]:
    """The operators' log lets nobody change a line, but for the words of one, for whoever says so in a transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('voicehelper.forgets', 'on', true)")
        yield


def _forget_mails(person: Person) -> None:
    for name in person.names:
        if "@" in name:
            Mail.objects.filter(to__iexact=name).delete()


def _end_sessions(person: Person) -> None:
    """Also those that were never noted: only what they hold says whose they are."""
    Session.objects.filter(browser__user_id=person.user_id).delete()
    after = ""
    while found := list(Session.objects.filter(pk__gt=after, expire_date__gt=Now()).order_by("pk")[:BATCH]):
        theirs = [each.pk for each in found if str(each.get_decoded().get("_auth_user_id")) == str(person.user_id)]
        Session.objects.filter(pk__in=theirs).delete()
        after = found[-1].pk


def _delete_what_is_theirs(person: Person) -> None:
    """Whatever would go with the user's row: conversations, keys, tokens, identities, factors, answers that are kept.
    The log of operators does not, though Django says so."""
    for relation in User._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and getattr(relation, "on_delete", None) is CASCADE:
            model: Any = relation.related_model
            rows = model._base_manager.filter(**{relation.field.name: person.user_id})
            while model is not LogEntry and (ids := list(rows.values_list("pk", flat=True)[:FEW])):
                model._base_manager.filter(pk__in=ids).delete()
