"""Raising and resolving alerts, and sending them again."""

import json
import logging
from collections.abc import Collection
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now

from . import events
from .models import Alert, Channel, Delivery
from .routing import make_deliveries
from .texts import Said, Text, in_our_language, kept

log = logging.getLogger(__name__)

SEND_AGAIN_WITHIN = timedelta(days=1)
SEND_AGAIN_TRIES = 5
_MOST_TEXTS = 8000

_RAISE = """
INSERT INTO notifications_alert (event, level, title, content, key, about, platform, texts, count, resolved_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, 1, '')
ON CONFLICT (key) WHERE resolved_at IS NULL
DO UPDATE SET count = notifications_alert.count + 1, last = statement_timestamp(), content = excluded.content,
    texts = excluded.texts || jsonb_build_object('title', notifications_alert.texts -> 'title')
"""


def raise_alert(
    event: str,
    *,
    title: str | Text,
    level: str = "",
    content: Said = "",
    key: str = "",
    about: Model | str = "",
    platform: str = "",
) -> None:
    """Tell the operators. An alert whose key is open already is counted, not repeated. `about` is the record to look
    at, or its label and key ("llm.model:3"); `platform` whose trouble it is (a name of `events.PLATFORMS`).

    Safe inside a transaction, and then written only if that commits. Never fails its caller: what cannot be stored is
    logged. Raises only what has ended the caller's transaction too, which would else end without a word and without
    what it did."""
    level = level or events.level_of(event)
    texts = {"title": kept(title)[:1], "content": kept(content)}
    said, more = in_our_language(texts["title"]), in_our_language(texts["content"])
    where = about if isinstance(about, str) else f"{about._meta.label_lower}:{about.pk}"
    names = (event[:40], level[:8], said[:200], more[:4000], (key or f"{event}:{said}")[:200])
    row = [*names, where[:150], platform[:40], _as_json(texts)]
    try:
        # A savepoint, where there is a transaction: what goes wrong in here must not undo the caller's work.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_RAISE, [text.replace("\0", "\ufffd") for text in row])
    except Error as error:
        # The alert is the news here, not the traceback.
        log.error("An alert could not be stored (%s): [%s] %s: %s", type(error).__name__, level, said, more)  # noqa: TRY400
        if connection.in_atomic_block and (connection.needs_rollback or connection.closed_in_transaction):
            raise


def _as_json(texts: dict[str, list[Any]]) -> str:
    """Nothing when it is too long: then the columns are shown, which are cut."""
    text = json.dumps(texts, ensure_ascii=False).replace("\\u0000", "\ufffd")
    return text if len(text) <= _MOST_TEXTS else "{}"


def resolve(alert: Alert, *, by: str) -> bool:
    """Close an alert. False: it was closed already."""
    return Alert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=Now(), resolved_by=by) == 1


def resolve_passed(key: str) -> bool:
    """Close the alert with this key: what it told of is over. False: none was open."""
    return resolve_all_passed([key]) > 0


def resolve_all_passed(keys: Collection[str]) -> int:
    """The same for several; how many were open."""
    passed = Alert.objects.filter(key__in=keys, resolved_at=None)
    return passed.update(resolved_at=Now(), resolved_by="VoiceHelper")


def open_keys(beginnings: Collection[str]) -> set[str]:
    """The keys of the alerts that are open, of those that begin like this."""
    begins = reduce(or_, (Q(key__startswith=beginning) for beginning in beginnings))
    return set(Alert.objects.filter(begins, resolved_at=None).values_list("key", flat=True))


def tell_again(alert: Alert) -> int:
    """Send an alert through every channel whose rules want it, whatever became of it before. Returns how many."""
    return make_deliveries([alert])


def send_again(deliveries: QuerySet[Delivery]) -> int:
    """Put deliveries whose fate is settled back into the queue. Returns how many; one that waits already is enough."""
    waiting = Delivery.objects.filter(next_try_at__isnull=False)
    settled = deliveries.filter(next_try_at=None).order_by("alert_id", "channel_id", "-pk")
    latest = settled.distinct("alert_id", "channel_id").values_list("pk", "alert_id", "channel_id")
    open_pairs = set(waiting.values_list("alert_id", "channel_id"))
    chosen = [pk for pk, *pair in latest if tuple(pair) not in open_pairs]
    fresh = {"state": Delivery.State.WAITING, "next_try_at": Now(), "digest": None}
    return Delivery.objects.filter(pk__in=chosen, next_try_at=None).update(**fresh)


def send_failed_again(channel: Channel) -> int:
    """What failed within the last day, once the channel works; not what fails again and again. Returns how many."""
    recent = Delivery.objects.filter(channel=channel, created__gte=Now() - SEND_AGAIN_WITHIN)
    return send_again(recent.filter(state=Delivery.State.FAILED, tries__lt=SEND_AGAIN_TRIES))
