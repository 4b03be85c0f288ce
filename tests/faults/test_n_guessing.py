"""Faults N: locks that are tried from the side. Guesses made all at once, and from everywhere in one network."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connections
from django.test import Client
from rest_framework.test import APIClient

from tests.conftest import sampled
from tests.faults.scripted import ScriptedProvider
from tests.merchants import WeChatMerchant
from tests.wechat import WeChat, set_up_mini_program
from topup import services
from topup.models import CodeBatch
from topup.services import brakes
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.api import ratelimit

from .conftest import at_once, balance

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long buyer password"
MANY, LIMIT = 32, 10
NEW = {"new_password1": "a new long password", "new_password2": "a new long password"}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were looked at. Looking takes some time, as it does in earnest."""
    looked_at, verify = [], MD5PasswordHasher.verify

    def look(hasher: MD5PasswordHasher, password: str, encoded: str) -> bool:
        looked_at.append(password)
        time.sleep(0.1)
        return verify(hasher, password, encoded)

    monkeypatch.setattr(MD5PasswordHasher, "verify", look)
    return looked_at


def sign_in(name: str, password: str, address: str = "127.0.0.1") -> Any:
    body = {"username": name, "password": password}
    return APIClient().post("/api/auth/login", body, format="json", REMOTE_ADDR=address)


def through_the_api(_user: User) -> Any:
    return sign_in("buyer", secrets.token_hex(8))


def through_the_page(_user: User) -> Any:
    return Client().post("/accounts/sign-in", {"username": "buyer", "password": secrets.token_hex(8)})


def through_the_admin(_user: User) -> Any:
    return Client().post("/admin/login/", {"username": "buyer", "password": secrets.token_hex(8)})


def through_the_change(user: User) -> Any:
    browser = Client()
    browser.force_login(user)
    return browser.post("/accounts/password", {"old_password": secrets.token_hex(8)} | NEW)


def through_the_step_up(user: User) -> Any:
    batch = services.make_codes(CodeBatch(name="Spring", quota=1, count=1), by="operator")
    browser = Client()
    browser.force_login(user)
    return browser.post(f"/admin/topup/codebatch/{batch.pk}/codes.csv", {"current_password": secrets.token_hex(8)})


def through_the_binding(user: User) -> Any:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_token(user)}")
    return client.post("/api/auth/wx-bind", {"code": "x", "password": secrets.token_hex(8)}, format="json")


DOORS = [
    through_the_api,
    through_the_page,
    through_the_admin,
    through_the_change,
    through_the_step_up,
    through_the_binding,
]


@pytest.mark.parametrize("door", sampled(DOORS, keep=2))
def test_N4_of_thirty_two_wrong_passwords_at_once_ten_are_looked_at(
    door: Callable[[User], Any], checked: list[str]
) -> None:
    user = User.objects.create_superuser("buyer", password=PASSWORD)
    at_once(*[lambda: door(user)] * MANY)
    assert len(checked) == LIMIT
    # And not even the right one is looked at now. The form that changes the password counts for itself.
    assert sign_in("buyer", PASSWORD).status_code == (200 if door is through_the_change else 429)


def test_N4_without_redis_ten_of_thirty_two_are_looked_at_by_each_process(checked: list[str], settings: Any) -> None:
    settings.RATELIMIT_STORAGE = "redis://127.0.0.1:1/0"
    ratelimit.hit("1 per minute", "find out that it is down")
    user = User.objects.create_user("buyer", password=PASSWORD)
    at_once(*[lambda: through_the_api(user)] * MANY)
    assert len(checked) == LIMIT


@pytest.mark.rare
def test_N4_right_passwords_cost_nothing_however_many_there_are(buyer: User) -> None:
    assert {sign_in("buyer", PASSWORD).status_code for _ in range(60)} == {200}
    assert {answer.status_code for answer in at_once(*[lambda: sign_in("buyer", PASSWORD)] * LIMIT)} == {200}
    # Neither does a right one clear what was wrong.
    tries = ["x"] * 9 + [PASSWORD, "x", PASSWORD]
    assert [sign_in("buyer", word).status_code for word in tries] == [401] * 9 + [200, 401, 429]


def test_N4_of_thirty_two_wrong_codes_at_once_ten_are_looked_up(
    buyer: User, as_user: Callable[..., APIClient], books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, together, redeem = [], threading.Barrier(MANY), services.redeem
    monkeypatch.setattr(brakes, "redeem", lambda user, key: looked_up.append(key) or redeem(user, key))
    client = as_user(buyer)

    def guess() -> int:
        together.wait(10)
        return int(client.post("/api/user/topup", {"key": secrets.token_hex(8)}, format="json").status_code)

    answers = at_once(*[guess] * MANY)
    assert (len(looked_up), answers.count(400), answers.count(429)) == (LIMIT, LIMIT, MANY - LIMIT)
    books_agree()


def test_N4_good_codes_cost_no_guess(buyer: User, as_user: Callable[..., APIClient], books_agree: Any) -> None:
    batch = services.make_codes(CodeBatch(name="Spring", quota=1000, count=15), by="operator")
    client = as_user(buyer)
    for text, _row in services.texts_of(batch):
        assert client.post("/api/user/topup", {"key": text}, format="json").status_code == 200
    assert balance(buyer) == 15_000
    books_agree()


def test_I6_N4_of_sixty_four_bad_codes_of_wechat_at_once_thirty_are_asked_about(
    live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    settings.WECHAT_API_BASE_URL = f"{live_server.url}/sandbox/weixin"
    set_up_mini_program()
    wechat = WeChat(live_server.url)
    good = wechat.code("xiaoming"), wechat.code("xiaohong")

    def try_it(code: str = "", address: str = "127.0.0.1") -> Any:
        body = {"code": code or secrets.token_hex(8)}
        return APIClient().post("/api/auth/wx-login", body, format="json", REMOTE_ADDR=address)

    answers = [answer.status_code for answer in at_once(*[try_it] * 64)]
    assert (answers.count(401), answers.count(429)) == (30, 34)
    braked = try_it(good[0])
    assert (braked.status_code, User.objects.count()) == (429, 0)
    assert 1 <= int(braked["Retry-After"]) <= 600
    assert try_it(good[1], "203.0.113.9").status_code == 200


# --- One network -----------------------------------------------------------------------------------------------------
def hosts(network: str) -> Iterator[str]:
    """Addresses of one /64, no two alike."""
    return (f"{network}{number:x}:{number:x}:1:1" for number in range(1, 100))


THIS, NEXT = "2001:db8:0:1:", "2001:db8:0:2:"


def test_N4_one_network_guesses_passwords_fifty_times_from_however_many_addresses(buyer: User) -> None:
    many = hosts(THIS)
    for number in range(50):
        assert sign_in(f"name{number}", "x", next(many)).status_code == 401
    assert sign_in("buyer", PASSWORD, next(many)).status_code == 429
    assert sign_in("buyer", PASSWORD, next(hosts(NEXT))).status_code == 200


@pytest.mark.rare
def test_N4_one_network_shares_the_limits_of_paying_redeeming_signing_up_and_visiting(
    wechat: WeChatMerchant, settings: Any, as_user: Callable[..., APIClient]
) -> None:
    settings.PAY_RATE_LIMIT = "3 per minute"
    many, people = hosts(THIS), [User.objects.create_user(f"user{number}") for number in range(12)]
    pay = {"amount": 10, "payment_method": "wechat"}
    with ScriptedProvider(wechat, settings):
        paid = [
            as_user(user).post("/api/user/wechat/pay", pay, format="json", REMOTE_ADDR=next(many)).status_code
            for user in people[:4]
        ]
    assert paid == [200, 200, 200, 429]
    redeemed = [
        as_user(user).post("/api/user/topup", {"key": "0" * 16}, format="json", REMOTE_ADDR=next(many)).status_code
        for user in people[:11]
    ]
    assert redeemed == [400] * 10 + [429]
    new = {"password1": "a long bot password", "password2": "a long bot password"}
    signed_up = [
        Client().post("/accounts/sign-up", {"username": f"bot{number}"} | new, REMOTE_ADDR=next(many)).status_code
        for number in range(21)
    ]
    assert signed_up == [302] * 20 + [429]
    share = as_user(people[0]).post("/api/share").json()["shareId"]
    for _ in range(3):
        visit = {"shareId": share}
        assert APIClient().post("/api/share/visit", visit, format="json", REMOTE_ADDR=next(many)).status_code == 200
    assert as_user(people[0]).get(f"/api/share/{share}").json()["data"]["visitCount"] == 1
