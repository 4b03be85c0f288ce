"""The contract of POST /api/auth/login and GET /api/user/self, and the life of a token."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.ledger import spend
from voicehelper import clock
from voicehelper.accounts.models import AccessToken, User
from voicehelper.accounts.services import issue_token
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, hold

pytestmark = pytest.mark.django_db

PASSWORD = "a long buyer password"


def login(body: Any, **headers: str) -> Any:
    return APIClient().post("/api/auth/login", body, format="json", **headers)


def self_with(token: str) -> Any:
    return APIClient().get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {token}")


def test_a_right_password_gives_a_token_and_says_who_one_is(buyer: User) -> None:
    answer = login({"username": "buyer", "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "userInfo"}
    facts = {"id": buyer.pk, "username": "buyer", "group": "default", "quota": 0, "held_quota": 0, "used_quota": 0}
    assert answer.json()["userInfo"] == facts
    assert self_with(answer.json()["token"]).json() == {"success": True, "data": facts}


@pytest.mark.parametrize(
    "body",
    [
        {"username": "buyer", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "Buyer", "password": PASSWORD},
        {"username": "buyer", "password": PASSWORD + " "},
    ],
)
def test_a_wrong_name_or_password_is_401_in_chinese(body: dict[str, str], buyer: User) -> None:
    answer = login(body)
    assert (answer.status_code, answer.json()) == (401, {"success": False, "message": "用户名或密码错误"})
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "buyer"},
        {"password": PASSWORD},
        {"username": "", "password": ""},
        {"username": ["buyer"], "password": PASSWORD},
        {"username": "b" * 151, "password": PASSWORD},
        {"username": "buyer", "password": "p" * 1025},
        {"username": "buyer\x00", "password": PASSWORD},
        {"username": "\ud800", "password": PASSWORD},
        {"username": None, "password": None},
        [],
        "text",
        None,
    ],
    ids=str,
)
def test_what_is_no_sign_in_is_400(body: Any, buyer: User) -> None:
    import json

    answer = APIClient().post("/api/auth/login", json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()) == (400, {"success": False, "message": "参数错误"})


def test_a_body_that_is_no_json_is_400_and_another_method_405(buyer: User) -> None:
    client = APIClient()
    for body, kind in (("{", "application/json"), ("username=buyer", "application/x-www-form-urlencoded")):
        assert client.post("/api/auth/login", body, content_type=kind).status_code in (400, 415)
    for method in ("get", "put", "patch", "delete"):
        assert getattr(client, method)("/api/auth/login").status_code == 405


def test_a_stale_token_does_not_keep_one_from_signing_in_again(buyer: User) -> None:
    """The mini program sends its old token along."""
    answer = login({"username": "buyer", "password": PASSWORD}, HTTP_AUTHORIZATION="Bearer vh-stale")
    assert answer.status_code == 200


def test_without_a_token_one_is_asked_to_sign_in(buyer: User) -> None:
    answer = APIClient().get("/api/user/self")
    assert (answer.status_code, answer.json()) == (401, {"success": False, "message": "请先登录"})
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert self_with("vh-nonsense").status_code == 401


def test_a_browser_session_works_as_well(buyer: User) -> None:
    browser = Client()
    browser.force_login(buyer)
    assert browser.get("/api/user/self").json()["data"]["username"] == "buyer"


def test_the_balance_includes_what_is_held(buyer: User, as_user: Callable[..., Any]) -> None:
    credit(buyer, 1000, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    spend(buyer, 100, ref="refund", kind=Entry.Kind.REFUND)
    hold(buyer, 300, ref="call", life=timedelta(minutes=5))
    data = as_user(buyer).get("/api/user/self").json()["data"]
    assert (data["quota"], data["held_quota"], data["used_quota"]) == (900, 300, 0)


# --- Tokens ----------------------------------------------------------------------------------------------------------
def test_a_token_is_kept_as_a_digest_only(buyer: User) -> None:
    text = issue_token(buyer)
    assert text.startswith("vh-")
    assert len(text) >= 40
    kept = AccessToken.objects.values().get()
    assert text not in str(kept)
    assert kept["digest"] == AccessToken.digest_of(text)


def test_the_use_of_a_token_is_noted_now_and_then(buyer: User) -> None:
    token = issue_token(buyer)
    self_with(token)
    first = AccessToken.objects.get().last_used_at
    assert first is not None
    self_with(token)
    assert AccessToken.objects.get().last_used_at == first
    AccessToken.objects.update(last_used_at=clock.now() - timedelta(minutes=6))
    self_with(token)
    assert AccessToken.objects.get().last_used_at >= first


@pytest.mark.parametrize("spelling", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}"])
def test_the_scheme_is_read_whatever_its_case(spelling: str, buyer: User) -> None:
    token = issue_token(buyer)
    answer = APIClient().get("/api/user/self", HTTP_AUTHORIZATION=spelling.format(token))
    assert answer.status_code == 200
