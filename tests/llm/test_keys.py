"""Keys with limits: what they may spend and when, on which models, from where; exact over all processes."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from llm.models import Alias
from voicehelper import clock
from voicehelper.accounts.key_limits import KeyLimits
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import change_api_key, create_api_key
from voicehelper.wallet import audit, services
from voicehelper.wallet.batch import Ledger
from voicehelper.wallet.models import Budget, Entry, Hold
from voicehelper.wallet.services import BudgetSpent
from voicehelper.wallet.statements import REAP, run

from .conftest import ASK, STREAM, World
from .test_batch import with_ledgers
from .upstream import chat

pytestmark = pytest.mark.django_db(transaction=True)

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ALL = {
    "name": "laptop", "quota": 5000, "period": "week", "expiresAt": "2099-01-01T00:00:00+08:00", "rpm": 60, "tpm": 9000,
    "models": ["doubao-pro", "claude-*"], "addresses": ["203.0.113.7/24", "2001:db8::1", "::ffff:198.51.100.9"],
}  # fmt: skip
KEPT = {**ALL, "addresses": ["203.0.113.0/24", "2001:db8::1/128", "198.51.100.9/32"]}
UNLIMITED = dict.fromkeys(("quota", "expiresAt", "rpm", "tpm", "remaining"), None) | {"models": [], "addresses": []}


# --- Making and changing ---------------------------------------------------------------------------------------------
def test_Q_C2_a_keys_limits_are_kept_shown_and_changed(
    buyer: User, other_user: User, as_user: Callable[..., APIClient]
) -> None:
    client = as_user(buyer)
    made = client.post("/api/user/keys", ALL, format="json").json()["data"]
    assert set(made) == {"id", "name", "key"}
    address = f"/api/user/keys/{made['id']}"
    (listed,) = client.get("/api/user/keys").json()["data"]
    assert listed == client.get(address).json()["data"]
    assert {name: listed[name] for name in ALL} == KEPT
    assert (listed["used"], listed["remaining"]) == (0, 5000)
    changed = client.patch(address, {"rpm": 5, "addresses": None}, format="json").json()["data"]
    assert {name: changed[name] for name in ALL} == {**KEPT, "rpm": 5, "addresses": []}
    nothing = {**UNLIMITED, "name": "new name"}
    del nothing["remaining"]
    freed = client.patch(address, nothing, format="json").json()["data"]
    assert {name: freed[name] for name in UNLIMITED} == UNLIMITED
    assert as_user(other_user).patch(address, {"name": "mine"}, format="json").status_code == 404
    assert ApiKey.objects.get().name == "new name"


def test_Q_C2_what_cannot_be_kept_is_refused(buyer: User, as_user: Callable[..., APIClient]) -> None:
    client = as_user(buyer)
    key, _ = create_api_key(buyer, "k")
    wrong: list[dict[str, Any]] = [
        {"unlimited_quota": True}, {"remain_quota": 5}, {"expires_at": "2099-01-01"},
        {"quota": 0}, {"quota": -1}, {"quota": "much"}, {"quota": 1.5}, {"quota": 2**63}, {"quota": True},
        {"period": "year"}, {"period": ""}, {"expiresAt": "soon"}, {"expiresAt": "2001-01-01T00:00:00Z"},
        {"models": "doubao-pro"}, {"models": [5]}, {"models": ["a b"]}, {"models": [""]}, {"models": ["x"] * 101},
        {"addresses": ["203.0.113.0/33"]}, {"addresses": ["example.org"]}, {"addresses": [3405803783]},
        {"rpm": 0}, {"tpm": 0}, {"tpm": -1}, {"rpm": "1e3"},
    ]  # fmt: skip
    for body in wrong:
        for answer in (
            client.post("/api/user/keys", {"name": "new", **body}, format="json"),
            client.patch(f"/api/user/keys/{key.pk}", body, format="json"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameters"), body
            assert next(iter(body)) in answer.json()["message"]
    assert list(ApiKey.objects.values_list("name", flat=True)) == ["k"]
    assert Budget.objects.get().quota is None


# --- At the door -----------------------------------------------------------------------------------------------------
def limited(world: World, **limits: Any) -> ApiKey:
    """The world's key, with limits."""
    key = change_api_key(world.user, ApiKey.objects.get().pk, limits)
    assert key is not None
    return key


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_key_that_does_not_fit_is_refused_in_the_clients_dialect(world: World, path: str) -> None:
    world.give(10_000_000)
    past = clock.now() - timedelta(seconds=1)
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({"expires_at": past}, 401, "authentication_error", "expired"),
        ({"models": ("doubao-lite",)}, 403, "permission_error", "doubao-pro"),
        ({"addresses": ("203.0.113.0/24",)}, 403, "permission_error", "127.0.0.1"),
        ({"quota": 10}, 429, "rate_limit_error", "quota"),
        ({"tpm": 50}, 429, "rate_limit_error", "50 tokens a minute"),
    ]

    async def scenario(w: World) -> list[Any]:
        answers = []
        for limits, *_expected, word in cases:
            await asyncio.to_thread(lambda limits=limits: (limited(w, **{**free, **limits}), connection.close()))
            # The relay hears of a changed key a moment later.
            async with asyncio.timeout(20):
                while word not in (answer := await w.client.post(path, ASK)).json["error"]["message"]:
                    await asyncio.sleep(0.05)
            answers.append(answer)
        return answers

    free = {name: value for name, value in vars(KeyLimits()).items() if name != "period"}
    for (limits, status, kind, word), answer in zip(cases, world.play(scenario), strict=True):
        assert (answer.status, answer.json["error"]["type"]) == (status, kind), limits
        assert word in answer.json["error"]["message"]
        assert answer.headers.get("x-should-retry") == ("false" if status == 429 else None)
    assert world.upstream.asked == []
    assert not Hold.objects.exists()


def test_a_key_for_some_models_sees_and_gets_no_others(world: World) -> None:
    world.give(10_000_000)
    Alias.objects.create(pattern="gpt-small", model_id=_id("doubao-lite"), shown=True)
    Alias.objects.create(pattern="gpt-large", model_id=_id("doubao-pro"), shown=True)
    limited(world, models=("gpt-small", "doubao-emb*"))

    async def scenario(w: World) -> tuple[Any, ...]:
        listed = await w.client.get("/v1/models")
        asked = [await w.client.post(CHAT, {**ASK, "model": name}) for name in ("gpt-small", "doubao-lite", "auto")]
        return listed.json, asked, await w.client.post(CHAT, {**ASK, "model": "gpt-large"})

    listed, asked, other = world.play(scenario)
    assert [model["id"] for model in listed["data"]] == ["gpt-small", "doubao-embedding", "doubao-lite"]
    assert [answer.status for answer in asked] == [200] * 3
    assert {asked.body["model"] for asked in world.upstream.asked} == {"ep-20241201140014-lite"}
    assert (other.status, other.json["error"]["code"]) == (403, "model_not_allowed")


def _id(name: str) -> int:
    from llm.models import Model

    return Model.objects.get(name=name).pk


def test_calls_per_minute_say_when_the_next_is_possible(world: World) -> None:
    world.give(10_000_000)
    limited(world, rpm=3)

    async def scenario(w: World) -> list[Any]:
        return await asyncio.gather(*(w.client.post(CHAT, (ASK, STREAM)[n % 2]) for n in range(8)))

    answers = world.play(scenario)
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 5
    refused = next(answer for answer in answers if answer.status == 429)
    assert 55 <= int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == f"{refused.headers['retry-after']}s"
    assert (refused.json["error"]["code"], "x-should-retry" in refused.headers) == ("rate_limit_exceeded", False)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_the_limits_of_a_key_leave_is_told_with_every_answer(world: World, streamed: bool) -> None:
    world.give(10_000_000)
    limited(world, rpm=5, tpm=5000)
    body = {**ASK, "stream": streamed}

    async def scenario(w: World) -> list[Any]:
        return [await w.client.post(door, body) for door in (CHAT, "/v1/messages", CHAT)]

    first, second, third = world.play(scenario)
    assert [answer.status for answer in (first, second, third)] == [200] * 3
    names = [f"x-ratelimit-{fact}-{what}" for what in ("requests", "tokens") for fact in ("limit", "reset")]
    assert [first.headers[name] for name in names] == ["5", "61s", "5000", "61s"]
    assert (first.headers["x-ratelimit-remaining-requests"], third.headers["x-ratelimit-remaining-requests"]) == (
        "4", "2",
    )  # fmt: skip
    # Its own reservation counts, as at OpenAI; of the calls before it what they really used.
    left = [int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in (first, third)]
    assert 5000 - 150 < left[0] < 5000 - 100
    assert left[1] == left[0] - 2 * 30
    told = {name: value for name, value in second.headers.items() if "ratelimit" in name}
    assert told.pop("anthropic-ratelimit-requests-remaining") == "3"
    assert told["anthropic-ratelimit-requests-limit"] == "5"
    moment = datetime.fromisoformat(told["anthropic-ratelimit-tokens-reset"])
    assert 50 < (moment - clock.now()).total_seconds() < 62
    assert not any(name.startswith("x-") for name in told)


def test_what_is_not_limited_is_not_told_of(world: World) -> None:
    world.give(10_000_000)
    limited(world, rpm=2)

    async def scenario(w: World) -> list[Any]:
        return [await w.client.post(door, ASK) for door in (CHAT, "/v1/messages", "/v1/messages")]

    first, _second, refused = world.play(scenario)
    assert {name for name in first.headers if "ratelimit" in name and "expose" not in name} == {
        f"x-ratelimit-{fact}-requests" for fact in ("limit", "remaining", "reset")
    }
    assert (refused.status, refused.headers["anthropic-ratelimit-requests-remaining"]) == (429, "0")
    assert "T" in refused.headers["anthropic-ratelimit-requests-reset"]


def test_a_key_with_a_quota_alone_has_no_limits_to_tell_of(world: World) -> None:
    world.give(10_000_000)
    limited(world, quota=100_000)
    answer = world.play(lambda w: w.client.post(CHAT, ASK))
    assert answer.status == 200
    assert not any("ratelimit" in name for name in answer.headers)


def test_what_a_call_really_used_is_what_its_key_has_used(world: World) -> None:
    """Held for 100 tokens of output and more of input, used 3 and 4; what is not used is free for others at once."""
    world.give(10_000_000)
    key = limited(world, quota=100_000, tpm=5000)
    world.upstream.otherwise = chat((3, 4))
    world.play(lambda w: w.client.post(CHAT, ASK))
    budget = Budget.objects.get(api_key=key)
    assert (budget.used, budget.held) == (7 * 50, 0)
    assert [(one["c"], one["t"]) for one in budget.lately] == [(1, 7)]


# --- The count -------------------------------------------------------------------------------------------------------
def budgeted(user: User, **limits: Any) -> Budget:
    budget = create_api_key(user, "k", KeyLimits(**limits))[0].budget
    assert budget is not None
    return budget


def rich(name: str = "rich") -> User:
    user = User.objects.create(username=name)
    services.credit(user, 1_000_000, kind=Entry.Kind.GIFT, ref=f"gift-{name}", actor="test")
    return user


async def attempt(ledger: Ledger, user: User, ref: str, budget: Budget, amount: int, tokens: int = 0) -> str:
    """ "ok", or what did not cover it."""
    try:
        await ledger.hold(user.pk, amount, ref=ref, budget_id=budget.pk, tokens=tokens)
    except BudgetSpent as error:
        return error.limit
    return "ok"


@pytest.mark.parametrize(
    ("limits", "tokens", "limit"),
    [({"quota": 1009, "period": "day"}, 0, "quota"), ({"rpm": 10}, 0, "rpm"), ({"tpm": 109}, 10, "tpm")],
    ids=["quota", "rpm", "tpm"],
)
def test_O4_a_hundred_clients_of_one_key_get_what_it_covers_and_nothing_more(
    limits: dict[str, Any], tokens: int, limit: str
) -> None:
    """Over four ledgers that know nothing of each other; a second key of the user stays free."""
    user = rich()
    budget, other = budgeted(user, **limits), budgeted(user)

    async def scenario(*ledgers: Ledger) -> list[str]:
        asks = [attempt(ledgers[n % 4], user, f"a{n}", budget, 100, tokens) for n in range(100)]
        asks += [attempt(ledgers[n % 4], user, f"b{n}", other, 100, 10) for n in range(20)]
        return await asyncio.gather(*asks)

    told = with_ledgers(4, scenario)
    assert sorted(told[:100]) == ["ok"] * 10 + [limit] * 90
    assert told[100:] == ["ok"] * 20
    assert audit.run(full=True).findings == []


def test_O4_no_period_spends_more_than_its_quota_whenever_calls_begin_and_end() -> None:
    """Four ledgers; calls under way while the period ends, again and again, and use anything up to what was held."""
    user = rich()
    budget = budgeted(user, quota=500, period="day")
    spent: dict[int, int] = {}

    def night() -> None:
        """The day that was counted is over: as if all of it had been a day earlier."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE wallet_hold SET counted_since = counted_since - interval '1 day'")
            cursor.execute("UPDATE wallet_budget SET counted_since = counted_since - interval '1 day'")
        connection.close()

    async def one(ledger: Ledger, number: int) -> None:
        ref, used = f"call-{number}", random.randint(0, 60)
        if await attempt(ledger, user, ref, budget, 60) != "ok":
            return
        day = nights
        await asyncio.sleep(random.random() * 0.05)
        settled = await ledger.settle(ref, used, actor="test")
        spent[day] = spent.get(day, 0) + settled.charged

    nights = 0

    async def scenario(*ledgers: Ledger) -> None:
        nonlocal nights
        for _ in range(4):
            await asyncio.gather(*(one(ledgers[n % 4], nights * 1000 + n) for n in range(60)))
            begun = await attempt(ledgers[0], user, f"over-{nights}", budget, 1)
            await asyncio.to_thread(night)
            if begun == "ok":
                settled = await ledgers[1].settle(f"over-{nights}", 1, actor="test")
                spent[nights] += settled.charged
            nights += 1

    with_ledgers(4, scenario)
    assert len(spent) == 4
    assert all(0 < quota <= 500 for quota in spent.values()), spent
    assert audit.run(full=True).findings == []


@pytest.mark.parametrize(
    ("period", "since", "left"),
    [
        ("day", "today", 0), ("day", "yesterday", 100), ("week", "monday", 0), ("week", "sunday", 100),
        ("month", "first", 0), ("month", "month before", 100), ("total", "month before", 0),
    ],
)  # fmt: skip
def test_a_period_begins_at_midnight_in_beijing(period: str, since: str, left: int) -> None:
    """What was counted from the period's first moment on counts; what ended a microsecond before does not."""
    user, today, moment = rich(), clock.today(), timedelta(microseconds=1)
    begins = {
        "today": clock.midnight(today),
        "yesterday": clock.midnight(today) - moment,
        "monday": clock.midnight(today - timedelta(days=today.weekday())),
        "sunday": clock.midnight(today - timedelta(days=today.weekday())) - moment,
        "first": clock.midnight(today.replace(day=1)),
        "month before": clock.midnight(today.replace(day=1)) - moment,
    }
    budget = budgeted(user, quota=100, period=period)
    Budget.objects.filter(pk=budget.pk).update(used=100, counted_since=begins[since])
    budget.refresh_from_db()
    assert budget.counted(clock.now())[0] == 100 - left
    expected = "ok" if left else "quota"
    assert with_ledgers(1, lambda ledger: attempt(ledger, user, "a", budget, 100)) == expected
    budget.refresh_from_db()
    assert (budget.used, budget.held) == (0, 100) if left else (100, 0)


def test_a_minute_is_any_sixty_seconds() -> None:
    user = rich()
    budget = budgeted(user, rpm=3, tpm=100)
    now = int(clock.now().timestamp())
    for ages, tokens, expected in [
        ([59, 30, 1], 1, "rpm"), ([60, 59, 1], 1, "rpm"), ([62, 30, 1], 1, "ok"), ([59, 1], 21, "tpm"),
        ([59, 1], 20, "ok"), ([62, 1], 60, "ok"), ([], 101, "tpm"),
    ]:  # fmt: skip
        now = int(clock.now().timestamp())
        lately = [{"s": now - age, "c": 1, "t": 40} for age in ages]
        Budget.objects.filter(pk=budget.pk).update(lately=lately)
        ref = f"{ages}-{tokens}"
        assert with_ledgers(1, lambda ledger, r=ref, t=tokens: attempt(ledger, user, r, budget, 1, t)) == expected, ref


def test_a_hold_that_is_reaped_is_free_for_the_key_again() -> None:
    user = rich()
    budget = budgeted(user, quota=100)
    assert with_ledgers(1, lambda ledger: attempt(ledger, user, "a", budget, 100)) == "ok"
    Hold.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert run(REAP, {"limit": 10}) == 1
    assert with_ledgers(1, lambda ledger: attempt(ledger, user, "b", budget, 100)) == "ok"
    assert audit.run(full=True).findings == []


def test_another_period_counts_anew_and_calls_under_way_end_where_they_began() -> None:
    user = rich()
    key, _ = create_api_key(user, "k", KeyLimits(quota=100))
    assert key.budget is not None

    async def scenario(ledger: Ledger) -> str:
        assert await attempt(ledger, user, "a", key.budget, 100) == "ok"
        await asyncio.to_thread(lambda: (change_api_key(user, key.pk, {"period": "day"}), connection.close()))
        second = await attempt(ledger, user, "b", key.budget, 100)
        await ledger.settle("a", 100, actor="test")
        return second

    assert with_ledgers(1, scenario) == "ok"
    budget = Budget.objects.get(pk=key.budget.pk)
    assert (budget.used, budget.held) == (0, 100)
    assert audit.run(full=True).findings == []


def test_a_small_call_is_not_refused_because_of_a_large_one_beside_it() -> None:
    user = rich()
    budget = budgeted(user, quota=100, tpm=100)

    async def scenario(ledger: Ledger) -> list[str]:
        sizes = [(101, 1), (60, 1), (1, 101), (40, 50)]
        return await asyncio.gather(*(attempt(ledger, user, f"{n}", budget, *size) for n, size in enumerate(sizes)))

    assert with_ledgers(1, scenario) == ["quota", "ok", "tpm", "ok"]


def test_Q_C6_a_key_tells_its_own_limits(world: World) -> None:
    world.give(1_000_000)
    limited(world, quota=2000, rpm=10, models=("doubao-*",))

    async def scenario(w: World) -> list[Any]:
        assert (await w.client.post(CHAT, {**ASK, "max_tokens": 10})).status == 200
        return [(await w.client.get(path)).json for path in ("/v1/key", "/v1/dashboard/billing/subscription")]

    key, subscription = world.play(scenario)
    used = key["data"]["used"]
    limits = key["data"]["limits"]
    assert 0 < used < 2000
    assert (limits["quota"], limits["used"], limits["remaining"]) == (2000, used, 2000 - used)
    assert (limits["rpm"], limits["models"]) == (10, ["doubao-*"])
    assert (key["data"]["left"], key["data"]["available"]) == (2000 - used, 1_000_000 - used)
    assert subscription["hard_limit_usd"] == 2000 / 500_000
