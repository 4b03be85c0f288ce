"""Minors' mode: how long, how late and for how much money a minor may use the product, day by day in Beijing.

Calls of models are admitted when their quota is held (llm/relay/call.py), orders when they are written
(topup/services/placing.py); both see what others began before them, so that no two together pass a limit.

Time is counted by minutes that begin with a question: a minute of each, and what lies between two that are at most
five minutes apart. Money of a call is what it holds until it is known what it costs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.api import ratelimit
from voicehelper.postgres import Connection, Statement
from voicehelper.wallet.worth import list_price

from .models import MinorMode, User

PER_USER = "5 per 10 minutes"

# {user_id, ref, quota_per_fen} → what refuses the call (night, time, use), or null: its minute is counted then. The
# hold `ref` is there already, and a wallet's holds are made one after another: those with a lower id came first.
_ADMIT = Statement(
    "accounts_minor_admitted",
    """
    WITH asked AS (
        SELECT * FROM json_to_record($1::json) AS r(user_id bigint, ref text, quota_per_fen numeric)
    ), mode AS MATERIALIZED (
        SELECT m.*, clock_timestamp() AS now, clock_timestamp() AT TIME ZONE 'Asia/Shanghai' AS here
        FROM accounts_minormode m WHERE m.user_id = (SELECT user_id FROM asked) FOR UPDATE
    ), said AS (
        SELECT m.*, here::date AS today, extract(hour FROM here)::int AS hour,
               CASE WHEN day = here::date THEN seconds ELSE 0 END AS counted,
               CASE WHEN day = here::date AND counted_to > now - interval '5 minutes'
                    THEN counted_to ELSE now END AS counts_from
        FROM mode m
    ), money AS (
        SELECT w.user_id, floor(s.use_fen * a.quota_per_fen) AS most,
               COALESCE((SELECT -sum(amount) FROM wallet_entry e WHERE e.wallet_id = w.id AND kind = 'spend'
                         AND created >= s.today::timestamp AT TIME ZONE 'Asia/Shanghai'), 0)
               + COALESCE((SELECT sum(amount) FROM wallet_hold h WHERE h.wallet_id = w.id AND state = 'open'
                           AND h.id <= (SELECT id FROM wallet_hold WHERE ref = a.ref)), 0) AS spent
        FROM wallet_wallet w JOIN said s ON s.user_id = w.user_id CROSS JOIN asked a
    ), judged AS (
        SELECT s.*, CASE
            WHEN rests_from <= rests_until AND hour >= rests_from AND hour < rests_until THEN 'night'
            WHEN rests_from > rests_until AND (hour >= rests_from OR hour < rests_until) THEN 'night'
            WHEN counted >= minutes * 60 THEN 'time'
            WHEN money.spent > money.most THEN 'use' END AS refusal
        FROM said s JOIN money USING (user_id)
    ), noted AS (
        UPDATE accounts_minormode m SET day = j.today, counted_to = GREATEST(counts_from, now + interval '1 minute'),
            seconds = counted + GREATEST(0, extract(epoch FROM now + interval '1 minute' - counts_from))::int
        FROM judged j WHERE m.id = j.id AND refusal IS NULL
    )
    SELECT to_json(refusal) FROM judged
    """,
)


class MinorsLimit(Exception):
    """Minors' mode refuses it: `limit` is night, time, use or recharge."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit

    @property
    def words(self) -> str:
        return {
            "night": _("Minors’ mode is on: nothing is answered at night. Good night!"),
            "time": _("Minors’ mode is on: the time for today is used up. Go on tomorrow."),
            "use": _("Minors’ mode is on: what may be spent today is spent. Go on tomorrow."),
            "recharge": _("Minors’ mode is on: this is more than may be recharged today."),
        }[self.limit]


class WrongPin(Exception):
    """Not the PIN, or the password, that the mode was set with; with `wait_s` it was not looked at."""

    def __init__(self, wait_s: int = 0) -> None:
        super().__init__()
        self.wait_s = wait_s

    @property
    def words(self) -> str:
        return ratelimit.TooMany(self.wait_s).words if self.wait_s else _("This is not the PIN.")


@dataclass(frozen=True)
class MinorLimits:
    """What somebody sets: minutes a day, and fen a day."""

    minutes: int
    recharge_fen: int
    use_fen: int


DEFAULT = MinorLimits(60, 5000, 1000)


# --- Switching it ----------------------------------------------------------------------------------------------------
def mode_of(user: User) -> MinorMode | None:
    """The limits of a user for whom it is on."""
    return MinorMode.objects.filter(user=user).first()


@transaction.atomic
def switch_on(user: User, limits: MinorLimits = DEFAULT, *, pin: str = "", by: str = "") -> MinorMode:
    """On, or other limits while it is on; what was used today stays counted. A PIN replaces the one before."""
    facts: dict[str, Any] = {
        "minutes": limits.minutes,
        "recharge_fen": limits.recharge_fen,
        "use_fen": limits.use_fen,
        "set_by": by,
    }
    if pin:
        facts["pin"] = make_password(pin)
    mode, _made = MinorMode.objects.update_or_create(user=user, defaults=facts)
    User.objects.filter(pk=user.pk).update(minor=True)
    user.minor = True
    return mode


@transaction.atomic
def switch_off(user: User) -> bool:
    """Off, for whoever was checked by `check_pin`, or is an operator. False: it was."""
    User.objects.filter(pk=user.pk).update(minor=False)
    user.minor = False
    return MinorMode.objects.filter(user=user).delete()[0] > 0


def check_pin(mode: MinorMode, typed: str) -> None:
    """Raises WrongPin; wrong ones are counted before they are looked at."""
    try:
        with ratelimit.guess((PER_USER, "minors-pin", str(mode.user_id))) as guess:
            guess.wrong = not check_password(typed, mode.pin)
            if guess.wrong:
                raise WrongPin
    except ratelimit.TooMany as error:
        raise WrongPin(error.wait_s) from None


# --- Keeping to it ---------------------------------------------------------------------------------------------------
def admit_recharge(user: User, fen: int, asked_today: Callable[[], int]) -> None:
    """Whether a minor may order for so much more; in the transaction that writes the order. `asked_today` is what the
    user's orders of today add up to, and is read when no other order of theirs can be written. Raises MinorsLimit."""
    mode = MinorMode.objects.select_for_update().filter(user=user).first()
    if mode is not None and asked_today() + fen > mode.recharge_fen:
        raise MinorsLimit("recharge")


async def admit_call(connection: Connection, user_id: int, ref: str, quota_per_fen: str) -> None:
    """Whether a minor's call may go on, whose hold is `ref`; counts its minute. Raises MinorsLimit, psycopg.Error."""
    asked = {"user_id": user_id, "ref": ref, "quota_per_fen": quota_per_fen}
    if refusal := await connection.run(_ADMIT, asked):
        raise MinorsLimit(refusal)


def quota_per_fen() -> str:
    """What a fen buys at the list price, exactly enough, for PostgreSQL to calculate with."""
    price = list_price()
    return str(price.quota_per_unit / (price.yuan_per_unit * 100))


def minutes_used(mode: MinorMode) -> int:
    """Of today."""
    return mode.seconds // 60 if mode.day == clock.today() else 0
