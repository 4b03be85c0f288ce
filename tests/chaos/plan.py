"""What is going to happen, drawn from a seed: who buys and how it goes, and what breaks meanwhile.

The same seed draws the same purchases and the same events. How they meet is up to the machine.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HOT, COLD = 3, 12
HOT_SHARE = 0.85
GATEWAYS = ("wechat", "alipay")
# How a purchase ends, and how often.
ROADS = {
    "paid": 50,
    "paid inside create": 6,
    "never paid": 6,
    "paid as it expires": 8,
    "paid late": 6,
    "given back": 24,
}
# What breaks, and how often; of each kind one after the other, past the other kinds. A second or so between two.
EVENTS = {
    "processes": {"kill web": 2, "kill worker": 1},
    "ways": {
        "provider down": 5,
        "provider silent": 3,
        "provider slow": 3,
        "provider errs": 8,
        "database resets": 5,
        "database down": 3,
        "database slow": 2,
        "commit unanswered": 4,
    },
    "shop": {"gateway off": 1, "another account": 2, "another version": 1},
    "bills": {"bill": 1},
}
EVERY_S = {"processes": 1.5, "ways": 1.5, "shop": 1.5, "bills": 20.0}


@dataclass(frozen=True)
class Plan:
    """How much of it: orders, seconds at most for placing them, and the seed. `calm`: so many times as long passes
    between two events. While a way is down hardly anybody can buy, and a long run needs most of its time for that."""

    orders: int
    seconds: float
    seed: int
    buyers: int = 24
    calm: float = 1.0


@dataclass(frozen=True)
class GiveBack:
    """A refund in the console: so many seconds after the payment, this share of it; whether its notice is lost."""

    wait_s: float
    share: float
    lost: bool


@dataclass(frozen=True)
class Purchase:
    """One order from its buyer's side. `notice` are faults of the payment's notice."""

    number: int
    buyer: int
    gateway: str
    amount: int
    road: str
    wait_s: float
    notice: dict[str, dict[str, Any]]
    polls: int
    give_back: tuple[GiveBack, ...] = field(default=())


def purchases(plan: Plan) -> Iterator[Purchase]:
    choice = random.Random(plan.seed)
    for number in range(plan.orders):
        buyer = choice.randrange(HOT) if choice.random() < HOT_SHARE else HOT + choice.randrange(COLD)
        (road,) = choice.choices(list(ROADS), list(ROADS.values()))
        yield Purchase(
            number=number,
            buyer=buyer,
            gateway=choice.choice(GATEWAYS),
            amount=choice.randint(1, 30),
            road=road,
            wait_s=choice.choice([0, 0, 0.1, 0.5]),
            notice=_notice(choice, never_lost=road == "paid late"),
            polls=choice.choice([0, 0, 1, 2]),
            give_back=tuple(_give_back(choice)) if road == "given back" else (),
        )


def _notice(choice: random.Random, *, never_lost: bool) -> dict[str, dict[str, Any]]:
    """Providers repeat it; here within a second. A late payment of which nobody tells is for the bill alone."""
    faults: dict[str, dict[str, Any]] = {"hurry": {"seconds": 1}}
    kind = choice.choice(["", "", "drop", "duplicate", "delay", "delay"])
    if kind == "duplicate":
        faults[kind] = {"copies": choice.randint(2, 5)}
    elif kind == "delay":
        faults[kind] = {"seconds": round(choice.random() * 3, 1)}
    elif kind and not never_lost:
        faults[kind] = {}
    return faults


def _give_back(choice: random.Random) -> Iterator[GiveBack]:
    """All of it, a part, two parts, or a part and then the rest."""
    shares = choice.choice([[1.0], [1.0], [0.6], [0.2, 0.3], [0.4, 1.0]])
    for share in shares:
        yield GiveBack(choice.choice([0, 0, 0.2, 1, 3]), share, choice.random() < 0.4)


def events(plan: Plan, kind: str) -> Iterator[tuple[float, str, random.Random]]:
    """Without end: seconds until the next, what it is, and what draws its details."""
    choice = random.Random(f"{plan.seed} {kind}")
    while True:
        (name,) = choice.choices(list(EVENTS[kind]), list(EVENTS[kind].values()))
        yield choice.expovariate(1 / (EVERY_S[kind] * plan.calm)), name, random.Random(choice.random())
