"""Moving quota as a call of a model does, in one line."""

from datetime import timedelta

from voicehelper.accounts.models import User
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

LIFE = timedelta(minutes=15)


def spend(user: User, amount: int, *, ref: str, kind: Entry.Kind = Entry.Kind.SPEND, actor: str = "test") -> None:
    """Take quota that is not held. Raises InsufficientQuota, ValueError."""
    services.hold(user, amount, ref=ref, life=LIFE)
    services.capture(ref, amount, kind=kind, actor=actor)
