"""Moving quota as a call of a model does, in one line."""

from datetime import datetime, timedelta

from django.db import connection

from voicehelper.accounts.models import User
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

LIFE = timedelta(minutes=15)


def spend(user: User, amount: int, *, ref: str, kind: Entry.Kind = Entry.Kind.SPEND, actor: str = "test") -> None:
    """Take quota that is not held. Raises InsufficientQuota, ValueError."""
    services.hold(user, amount, ref=ref, life=LIFE)
    services.capture(ref, amount, kind=kind, actor=actor)


def dated(after: int, moment: datetime) -> None:
    """As if the entries above one had been written then. The ledger refuses that, unless its triggers sleep."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE wallet_entry SET created = %s WHERE id > %s", [moment, after])
        cursor.execute("SET session_replication_role = origin")
