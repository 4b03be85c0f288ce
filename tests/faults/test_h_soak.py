"""The ledger is exact: random calls, faults and hang-ups over hot wallets, each charge computed a second time.

The second computation knows only what the upstream did (it writes down every try) and what the client saw; it shares no
code with the product. Texts are short, so that the relay learns nothing about tokens and its estimates stay known.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest
from aiohttp import web

from llm.models import Credential, Usage
from llm.relay.engine import close_engine
from tests.conftest import full
from tests.llm.client import ApiClient
from tests.llm.conftest import World, model
from tests.llm.upstream import Asked, completion, in_a_thread, send_chunk, tokens
from topup.models import RechargeSettings
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
QUOTA_PER_UNIT = 500_000
# Units per 1,000 tokens: in, out. Chosen so that nothing comes out even.
PRICES = {"plain": ("0.1", "0.1"), "odd": ("0.000333", "0.000777"), "free in": ("0", "0.013"), "dear": ("1.7", "3.1")}
RATIOS = {"default": "1", "vip": "0.8", "odd": "0.333"}
# Each has an engine of its own; they have nothing in common but the database.
PROCESSES = 3
KINDS = ["whole", "unreported", "empty", "fails", "busy", "refuses", "breaks", "breaks counting", "errs", "counts"]


@dataclass
class Try:
    """What the upstream did once: the model it was asked for, the texts it wrote, what it reported last, and whether it
    came to its end."""

    model: str
    kind: str
    texts: list[str] = field(default_factory=list)
    reported: tuple[int, int] | None = None
    ended: bool = False


class Provider:
    """Answers at random, and writes down what it did by the mark in the prompt."""

    def __init__(self, choice: random.Random) -> None:
        self.tries: dict[str, list[Try]] = defaultdict(list)
        self._choice = choice

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        mark = asked.body["messages"][0]["content"].split()[0]
        kind = self._choice.choices(KINDS, [8, 3, 1, 2, 2, 1, 2, 2, 2, 2])[0]
        done = Try(asked.body["model"].removesuffix("-id"), kind)
        self.tries[mark].append(done)
        if kind == "fails":
            return web.json_response({"error": {"message": "boiler broke"}}, status=500)
        if kind == "busy":
            return web.json_response({"error": {"message": "busy"}}, status=503, headers={"Retry-After": "0"})
        if kind == "refuses":
            return web.json_response({"error": {"message": "no"}}, status=400)
        words = [f"w{self._choice.randint(0, 9)} " for _ in range(self._choice.randint(1, 10))]
        used = (self._choice.randint(1, 60), self._choice.randint(0, 90))
        if kind == "empty":
            words, used = [], (used[0], 0)
        await asyncio.sleep(self._choice.random() * 0.02)
        if not asked.body.get("stream"):
            reported = None if kind == "unreported" else used
            done.texts, done.reported, done.ended = ["".join(words)], reported, True
            return web.json_response(completion("x", "".join(words), tokens(reported)))
        return await self._stream(asked, done, words, used)

    async def _stream(self, asked: Asked, done: Try, words: list[str], used: tuple[int, int]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        stops = self._choice.randint(0, len(words)) if done.kind in ("breaks", "breaks counting", "errs") else None
        for number, word in enumerate(words):
            if number == stops:
                break
            count = (used[0], number + 1) if done.kind in ("counts", "breaks counting") else None
            done.texts.append(word)
            done.reported = count or done.reported
            await send_chunk(response, asked, {"content": word}, tokens(count))
            await asyncio.sleep(self._choice.choice([0, 0, 0.002]))
        if done.kind in ("breaks", "breaks counting"):
            asked.request.transport.abort()
            return response
        if done.kind == "errs":
            await response.write(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
            return response
        await send_chunk(response, asked, {}, None, finish="stop")
        if done.kind != "unreported":
            await send_chunk(response, asked, None, tokens(used))
            # What was counted before does not become less by the last report.
            done.reported = (used[0], max(used[1], done.reported[1] if done.reported else 0))
        done.ended = True
        await response.write(b"data: [DONE]\n\n")
        return response


# --- The rule, once more ---------------------------------------------------------------------------------------------
def price(name: str, group: str, read: int, written: int) -> int:
    """quota per unit × ratio × (in/1000 × price in + out/1000 × price out), rounded up, at least 1 for anything."""
    if read <= 0 and written <= 0:
        return 0
    cost_in, cost_out = map(Decimal, PRICES[name])
    exact = QUOTA_PER_UNIT * Decimal(RATIOS[group]) * (read * cost_in + written * cost_out) / 1000
    return max(1, int(exact.to_integral_value(ROUND_CEILING)))


def estimate(characters: int) -> int:
    """3.8 characters of plain text are a token."""
    return -(-characters * 10 // 38)


def prompt_estimate(prompt: str) -> int:
    """A message costs five tokens besides its text."""
    return -(-(5 * 38 + len(prompt) * 10) // 38)


def fair(tries: list[Try], group: str, prompt: str, seen: str, streamed: bool) -> set[int]:
    """What may be charged. More than one number only where a connection broke: nobody can say what of the last words
    arrived, but never less than what the client has read."""
    if not tries:
        return {0}
    last = tries[-1]
    if not last.ended and not last.texts:
        return {0}
    if last.ended and last.reported is not None:
        return {price(last.model, group, *last.reported)}
    least = len(seen.split()) if streamed else len(last.texts)
    found = set()
    for count in range(least, len(last.texts) + 1):
        if last.kind == "breaks counting":
            found.add(price(last.model, group, last.reported[0] if last.reported else 0, count) if count else 0)
        else:
            written = estimate(sum(map(len, last.texts[:count])))
            found.add(price(last.model, group, prompt_estimate(prompt), written))
    # When nothing of it arrived, it was a failed try like any other.
    return found | ({0} if least == 0 and not last.ended else set())


@dataclass(frozen=True)
class Asking:
    """One call: who asks what, and after how many pieces he leaves."""

    number: int
    process: int
    group: str
    key: str
    model: str
    streamed: bool
    leave_after: int | None

    @property
    def mark(self) -> str:
        return f"call{self.number}"

    @property
    def prompt(self) -> str:
        return f"{self.mark} please"

    @property
    def body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self.prompt}]
        others = [name for name in PRICES if name != self.model][:2]
        return {
            "model": self.model, "messages": messages, "max_tokens": 100, "stream": self.streamed,
            "fallbacks": others if self.number % 3 == 0 else [],
        }  # fmt: skip


@pytest.fixture
def hot(world: World) -> dict[str, tuple[User, list[str]]]:
    """Three users, one of each group, with a key for each process; and the four models."""
    Credential.objects.update(retry_delay_ms=1)
    RechargeSettings.objects.update_or_create(pk=1, defaults={"group_ratios": RATIOS})
    for name, (cost_in, cost_out) in PRICES.items():
        model(name, input_price=Decimal(cost_in), output_price=Decimal(cost_out))
    found = {}
    for group in RATIOS:
        user = User.objects.create_user(f"hot-{group}", group=group)
        services.credit(user, 10**10, kind=Entry.Kind.GIFT, ref=f"welcome-{group}", actor="test")
        found[group] = user, [create_api_key(user, f"key {number}")[1] for number in range(PROCESSES)]
    return found


def test_H5_every_charge_is_what_the_rule_says_over_random_calls(
    world: World, hot: dict[str, tuple[User, list[str]]], books_agree: Callable[[], None]
) -> None:
    seed = random.randrange(10**6)
    print(f"\nseed {seed}")
    choice = random.Random(seed)
    world.upstream.otherwise = provider = Provider(choice)
    calls = [_random_call(choice, number, hot) for number in range(full(2000, 200))]
    answers: dict[int, Any] = {}

    async def ask(call: Asking) -> None:
        client = ApiClient(call.key)
        answers[call.number] = await client.post(CHAT, call.body, leave_after=call.leave_after)

    async def process(number: int) -> None:
        mine = random.Random(seed + number)
        waiting = [call for call in calls if call.process == number]
        try:
            while waiting:
                together = mine.choice([1, 5, 20, 40])
                now, waiting = waiting[:together], waiting[together:]
                await asyncio.gather(*map(ask, now))
        finally:
            await close_engine()

    with in_a_thread(world.upstream), ThreadPoolExecutor(PROCESSES) as threads:
        for result in [threads.submit(asyncio.run, process(number)) for number in range(PROCESSES)]:
            result.result(600)
    usage = {row.request_id: row for row in Usage.objects.all()}
    entries = {entry.ref: entry for entry in Entry.objects.filter(kind="spend")}
    assert len(usage) == len(calls)
    charged = dict.fromkeys(RATIOS, 0)
    for call in calls:
        answer = answers[call.number]
        row = usage[answer.headers["x-request-id"]]
        seen = answer.text if call.streamed and answer.status == 200 else ""
        expected = fair(provider.tries[call.mark], call.group, call.prompt, seen, call.streamed)
        said = (seed, call, provider.tries[call.mark], row.error)
        assert row.quota in expected, (expected, row.quota, *said)
        assert row.uncollected == 0
        assert -(entries[row.request_id].amount if row.request_id in entries else 0) == row.quota
        assert row.tries == len(provider.tries[call.mark]), said
        charged[call.group] += row.quota
    for group, (user, _) in hot.items():
        wallet = services.wallet_of(user)
        assert (wallet.balance, wallet.used, wallet.held) == (10**10 - charged[group], charged[group], 0)
    assert sum(charged.values()) > 0
    books_agree()


def _random_call(choice: random.Random, number: int, hot: dict[str, tuple[User, list[str]]]) -> Asking:
    group = choice.choice(list(RATIOS))
    process = choice.randrange(PROCESSES)
    streamed = choice.random() < 0.7
    leave_after = choice.choice([None, None, 1, 2, 4, 8]) if streamed else None
    return Asking(number, process, group, hot[group][1][process], choice.choice(list(PRICES)), streamed, leave_after)
