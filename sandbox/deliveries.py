"""Sending notices: the first try at once from a thread, further ones from the Celery task, until they are acknowledged.

A try is claimed under SKIP LOCKED by moving `next_try_at` into the future, so that two workers never send the same one;
a worker that dies leaves its claim to run out. Nothing is ever sent to a host that is not this machine.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import requests
from django.db import connection, transaction
from django.utils import timezone
from urllib3.exceptions import HTTPError

from .base import check_notify_url
from .gateways import gateway_of
from .models import Delivery

TIMEOUT_S = 5
CLAIM = timedelta(seconds=60)
MOST_BYTES = 4096


def deliver(limit: int = 100) -> int:
    """Send what is due, at most `limit` notices. Returns how many were tried."""
    tried = 0
    while tried < limit and send():
        tried += 1
    return tried


def send(pk: int | None = None) -> bool:
    """Send the notice, or the one that has waited longest. False: nothing is due, or somebody else is sending it."""
    delivery = _claim(pk)
    if delivery is None:
        return False
    with ThreadPoolExecutor(delivery.copies) as pool:
        answers = list(pool.map(lambda _: _post(delivery), range(delivery.copies)))
    _record(delivery, answers)
    return True


def send_soon(delivery: Delivery) -> None:
    """Send from a thread of its own when it is due; the caller goes on."""
    if delivery.next_try_at is None:
        return
    wait_s = max(0.0, (delivery.next_try_at - timezone.now()).total_seconds())
    thread = threading.Timer(wait_s, _send_and_hang_up, [delivery.pk])
    thread.daemon = True
    thread.start()


def send_again(delivery: Delivery) -> None:
    """Send it now, whatever became of it before."""
    Delivery.objects.filter(pk=delivery.pk).update(acknowledged_at=None, next_try_at=timezone.now())
    delivery.refresh_from_db()
    transaction.on_commit(lambda: send_soon(delivery))


def _send_and_hang_up(pk: int) -> None:
    try:
        send(pk)
    finally:
        connection.close()


def _claim(pk: int | None) -> Delivery | None:
    due = Delivery.objects.filter(acknowledged_at=None, next_try_at__lte=timezone.now())
    if pk is not None:
        due = due.filter(pk=pk)
    with transaction.atomic():
        locked = due.select_for_update(skip_locked=True, of=("self",)).select_related("trade__merchant")
        delivery = locked.order_by("next_try_at").first()
        if delivery is not None:
            Delivery.objects.filter(pk=delivery.pk).update(next_try_at=timezone.now() + CLAIM)
    return delivery


def _post(delivery: Delivery) -> tuple[bool, str]:
    """One HTTP request. Returns whether it was acknowledged, and the answer as a person would note it."""
    gateway = gateway_of(delivery.trade)
    if wrong := check_notify_url(delivery.url):
        return False, wrong
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                delivery.url,
                data=delivery.body.encode(),
                headers={"Content-Type": gateway.NOTICE_TYPE, **gateway.notice_headers(delivery)},
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            )
            text = answer.raw.read(MOST_BYTES, decode_content=True).decode(errors="replace").replace("\0", "")
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return False, f"no answer: {type(error).__name__}"
    return gateway.acknowledged(answer.status_code, text), " ".join([str(answer.status_code), *text.split()])


def _record(delivery: Delivery, answers: list[tuple[bool, str]]) -> None:
    """Put down what came back and when to try again. One acknowledgement of several copies is enough."""
    acknowledged = sum(1 for ok, _text in answers if ok)
    note = next((text for ok, text in answers if not ok), answers[0][1])
    if len(answers) > 1:
        note = f"{acknowledged}/{len(answers)}: {note}"
    now = timezone.now()
    more = delivery.tries < len(delivery.schedule) and not acknowledged
    Delivery.objects.filter(pk=delivery.pk).update(
        tries=delivery.tries + 1,
        copies=1,
        last_answer=note[:200],
        acknowledged_at=now if acknowledged else None,
        next_try_at=now + timedelta(seconds=float(delivery.schedule[delivery.tries])) if more else None,
    )
