"""What the stand-ins for messengers have in common: a desk that takes a message or refuses it, and keeps both."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from .models import Arrival, Messenger


class Refused(Exception):
    """The messenger says no. `code` is its own; `status` the HTTP status that comes with it."""

    def __init__(self, code: str | int, text: str, status: int = 200) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.status = status


@dataclass
class Letter:
    """A message as it came: to whom, what it says, and its number, which may be used once. An answer without error can
    still say that nobody is sent anything; then it is not `taken`."""

    to: str = ""
    text: str = ""
    nonce: str = ""
    taken: bool = True
    answer: dict[str, Any] = field(default_factory=dict)


# Reads a request into a letter; writes down in it what is known before it refuses. Raises Refused.
Read = Callable[[HttpRequest, Messenger, Letter], None]


def receive(
    request: HttpRequest, messenger: Messenger | None, unknown: Refused, read: Read, write: Callable[[Refused], Any]
) -> HttpResponse:
    """Answer one request, one at a time for each account; what came is kept, whatever became of it."""
    if messenger is None:
        return JsonResponse(write(unknown), status=unknown.status, json_dumps_params={"ensure_ascii": False})
    letter, refused = Letter(), None
    with transaction.atomic():
        locked = Messenger.objects.select_for_update().get(pk=messenger.pk)
        try:
            read(request, locked, letter)
        except Refused as refusal:
            refused = refusal
        Arrival.objects.create(
            messenger=locked,
            to=letter.to[:200].replace("\0", ""),
            text=letter.text.replace("\0", ""),
            raw=request.body.decode(errors="replace").replace("\0", ""),
            accepted=refused is None and letter.taken,
            answer=str(refused or ("ok" if letter.taken else letter.answer))[:200],
            nonce=letter.nonce[:64] if refused is None else "",
        )
    answer = write(refused) if refused else letter.answer
    status = refused.status if refused else 200
    return JsonResponse(answer, status=status, json_dumps_params={"ensure_ascii": False})


def taken_since(messenger: Messenger, seconds: float, **which: Any) -> int:
    """How many messages were taken within the last `seconds`."""
    since = timezone.now() - timedelta(seconds=seconds)
    return messenger.arrivals.filter(accepted=True, at__gt=since, **which).count()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def account(kind: str, key_id: str) -> Messenger | None:
    return Messenger.objects.filter(kind=kind, key_id=key_id[:64].replace("\0", "")).first()
