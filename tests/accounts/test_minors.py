"""Minors' mode: what it refuses, to the second and the fen, and who can switch it off."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client
from django.utils import translation

from llm.models import Usage
from tests.llm.client import ApiClient
from tests.llm.conftest import ASK, CHAT, World, world  # noqa: F401  # a fixture
from tests.merchants import WECHAT
from tests.operators import browser_of
from tests.orders import pending_order
from topup.models import Order
from topup.services import placing
from voicehelper import clock
from voicehelper.accounts import minors
from voicehelper.accounts.minors import MinorLimits, MinorsLimit
from voicehelper.accounts.models import MinorMode, User
from voicehelper.accounts.services import issue_token
from voicehelper.wallet.models import Hold

PAGE, PASSWORD = "/accounts/minors", "a long buyer password"
LIMITS = {"minutes": "60", "recharge": "50", "use": "10", "new_pin": ""}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def hour() -> int:
    return clock.now().astimezone(clock.BEIJING).hour


def on(user: User, limits: MinorLimits = minors.DEFAULT, **facts: Any) -> None:
    """Switched on, and awake at this hour."""
    minors.switch_on(user, limits)
    awake = {"rests_from": (hour() + 12) % 24, "rests_until": (hour() + 13) % 24}
    MinorMode.objects.filter(user=user).update(**awake | facts)


# --- Calls -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def minor(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.give(10**9)
    on(world.user)
    return world


async def in_the_database(work: Callable[[], Any]) -> Any:
    def closing() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await sync_to_async(closing, thread_sensitive=False)()


async def ask(world: World) -> tuple[int, str]:  # noqa: F811
    """By a key, and what was said."""
    answer = await world.client.post(CHAT, ASK)
    return answer.status, str(answer.body)


async def seconds(**facts: Any) -> int:
    """What is counted, before it is set to something else."""

    def work() -> int:
        found = MinorMode.objects.get().seconds
        MinorMode.objects.update(**facts)
        return found

    return int(await in_the_database(work))


@pytest.mark.django_db(transaction=True)
def test_a_minor_is_answered_and_each_question_counts_a_minute(minor: World) -> None:
    now = clock.now()

    async def scenario(w: World) -> list[int]:
        counted, statuses = [], set[int]()
        # Another within the minute adds what it reaches further; a pause of four minutes counts, one of six does not.
        for ago in (0, 4, 6, 0):
            statuses.add((await ask(w))[0])
            counted.append(await seconds(seconds=60, counted_to=now - timedelta(minutes=ago), day=clock_day))
        assert statuses == {200}
        return counted

    clock_day = clock.today()
    first, within, paused, apart = minor.play(scenario)
    assert first == 60
    assert 115 <= within <= 135
    assert 355 <= paused <= 375
    assert apart == 120


@pytest.mark.django_db(transaction=True)
def test_the_last_second_is_answered_and_none_after_it(minor: World) -> None:
    today = clock.today()

    async def scenario(w: World) -> list[tuple[int, str]]:
        said = []
        for facts in ({"seconds": 3599}, {"seconds": 3600}, {"seconds": 3600, "day": today - timedelta(days=1)}):
            await seconds(**{"day": today, **facts})
            said.append(await ask(w))
        return said

    last, after, tomorrow = minor.play(scenario)
    assert (last[0], after[0], tomorrow[0]) == (200, 403, 200)
    assert "the time for today is used up" in after[1]
    # Nothing is held or charged of what was refused; a new day counts anew.
    assert not Hold.objects.filter(state="open").exists()
    assert Usage.objects.count() == 2
    assert MinorMode.objects.get().seconds == 60


@pytest.mark.django_db(transaction=True)
def test_at_night_nothing_is_answered_by_key_or_in_the_chat(minor: World) -> None:
    MinorMode.objects.update(rests_from=hour(), rests_until=(hour() + 1) % 24)
    chat = ApiClient(issue_token(minor.user))

    async def scenario(w: World) -> list[Any]:
        body = {"content": "Say hello", "model": "doubao-pro"}
        by_key, by_page = await ask(w), await chat.post("/api/chat/message", body)
        await in_the_database(lambda: minors.switch_off(minor.user))
        return [by_key[0], by_page, (await chat.post("/api/chat/message", body)).status]

    by_key, by_page, afterwards = minor.play(scenario)
    assert (by_key, by_page.status, afterwards) == (403, 403, 200)
    assert (by_page.json["code"], by_page.json["limit"]) == ("minors_mode", "night")
    assert Usage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_calls_at_once_do_not_spend_more_together_than_one_may_alone(minor: World) -> None:
    """A hundred tokens and the question are some 6,000 quota held, 1,500 charged; ¥0.15 are 10,273 quota."""
    MinorMode.objects.update(use_fen=15)

    async def scenario(w: World) -> tuple[list[int], list[int]]:
        together = await asyncio.gather(*(ask(w) for _number in range(6)))
        return [status for status, _said in together], [(await ask(w))[0] for _number in range(10)]

    together, afterwards = minor.play(scenario)
    assert set(together) == {200, 403}
    assert afterwards[-1] == 403
    wallet = minor.wallet
    assert 0 < wallet.used <= 15 * 500_000 // 730
    assert wallet.held == 0


@pytest.mark.django_db(transaction=True)
def test_whoever_is_none_is_not_asked_about_it(world: World) -> None:  # noqa: F811
    world.give(10**9)
    assert world.play(ask)[0] == 200
    assert not MinorMode.objects.exists()


# --- Recharges -------------------------------------------------------------------------------------------------------
def place(user: User, amount: int) -> Order:
    WECHAT.configure()
    return placing._insert_order(
        user,
        placing.gateway_for_new_orders("wechat"),
        placing.quote_for(user, "wechat", amount),
        placing.configured(),
        way=placing.QR_CODE,
        client_ip="127.0.0.1",
        idempotency_key=None,
    )


@pytest.mark.django_db
def test_orders_of_a_day_reach_the_limit_and_not_a_fen_more(buyer: User, wechat: Any) -> None:
    on(buyer, MinorLimits(60, 2 * 7300, 1000))
    place(buyer, 10)
    Order.objects.filter(pk=place(buyer, 10).pk).update(state="closed")
    place(buyer, 10)
    with pytest.raises(MinorsLimit):
        place(buyer, 1)
    Order.objects.update(created=clock.midnight(clock.today()) - timedelta(seconds=1))
    place(buyer, 10)
    MinorMode.objects.update(recharge_fen=2 * 7300 - 1)
    with pytest.raises(MinorsLimit):
        place(buyer, 10)


@pytest.mark.django_db
def test_pages_and_programs_are_told_why(buyer: User, as_user: Any, settings: Any) -> None:
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    WECHAT.configure()
    on(buyer, MinorLimits(60, 0, 0))
    answer = as_user(buyer).post("/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"}, format="json")
    assert answer.status_code == 403
    assert answer.json()["limit"] == "recharge"
    page = browser_of(buyer).post("/recharge", {"amount": "10", "payment_method": "wechat", "method": "wechat"})
    assert not Order.objects.exists()
    assert page.status_code in {400, 403}


@pytest.mark.django_db(transaction=True)
def test_two_orders_at_once_do_not_pass_the_limit_together(buyer: User) -> None:
    on(buyer, MinorLimits(60, 7300, 1000))
    WECHAT.configure()
    pending_order(buyer, WECHAT, amount=1, state="closed")
    outcomes: list[str] = []

    def buy() -> None:
        try:
            place(buyer, 10)
            outcomes.append("placed")
        except MinorsLimit as error:
            outcomes.append(error.limit)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=buy) for _number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["placed", "recharge", "recharge", "recharge"]


# --- The switch ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_with_a_pin_only_the_pin_switches_it_off_and_guessing_is_braked(buyer: User) -> None:
    browser = browser_of(buyer)
    assert "This is not your password" in browser.post(PAGE, LIMITS | {"password": "wrong", "step": "on"}).text
    assert "A PIN has 4 to 8 digits" in browser.post(PAGE, LIMITS | {"password": PASSWORD, "new_pin": "12a4"}).text
    browser.post(PAGE, LIMITS | {"password": PASSWORD, "new_pin": "2468", "step": "on"})
    buyer.refresh_from_db()
    assert buyer.minor
    mode = MinorMode.objects.get()
    assert (mode.minutes, mode.recharge_fen, mode.use_fen) == (60, 5000, 1000)
    assert "2468" not in mode.pin
    assert "PIN" in browser.get(PAGE).text
    for form in ({"password": PASSWORD, "step": "off"}, {"pin": "1111", "step": "off"}, LIMITS | {"use": "900"}):
        browser.post(PAGE, form)
    assert MinorMode.objects.get().use_fen == 1000
    for _number in range(5):
        answer = browser.post(PAGE, {"pin": "1234", "step": "off"})
    assert answer.status_code == 429
    assert browser.post(PAGE, {"pin": "2468", "step": "off"}).status_code == 429
    assert MinorMode.objects.exists()


@pytest.mark.django_db
def test_the_right_pin_changes_limits_and_switches_it_off(buyer: User) -> None:
    minors.switch_on(buyer, pin="2468")
    browser = browser_of(buyer)
    browser.post(PAGE, LIMITS | {"pin": "2468", "use": "2.50", "step": "on"})
    assert MinorMode.objects.get().use_fen == 250
    browser.post(PAGE, {"pin": "2468", "step": "off"})
    buyer.refresh_from_db()
    assert (buyer.minor, MinorMode.objects.exists()) == (False, False)


@pytest.mark.django_db
def test_without_a_pin_the_password_does(buyer: User) -> None:
    minors.switch_on(buyer)
    browser = browser_of(buyer)
    browser.post(PAGE, {"password": "wrong", "step": "off"})
    assert MinorMode.objects.exists()
    browser.post(PAGE, {"password": PASSWORD, "step": "off"})
    assert not MinorMode.objects.exists()


@pytest.mark.django_db
def test_operators_set_it_and_take_it_away_with_a_reason(browser: Client, buyer: User) -> None:
    page = f"/admin/accounts/user/{buyer.pk}/do"
    browser.post(f"{page}/minors_on/", {"reason": ""})
    assert not MinorMode.objects.exists()
    browser.post(f"{page}/minors_on/", {"reason": "His mother called"})
    assert MinorMode.objects.get().set_by == "operator"
    browser.post(f"{page}/minors_off/", {"reason": "She forgot the PIN"})
    assert not MinorMode.objects.exists()
