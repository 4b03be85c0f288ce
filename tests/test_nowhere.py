"""Where nothing is, and where we are at fault."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIClient


@pytest.mark.parametrize("path", ["/api/nothing", "/api/user/keys/-158", "/api/"])
def test_programs_are_told_in_json(path: str, db: None) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer.json()["success"]) == (404, False)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer sk-x"}, {"api-key": "sk-x"}, {"x-goog-api-key": "k"}, {"accept": "application/json"}],
)
def test_Q_C5_programs_are_known_by_their_keys_too_wherever_they_ask(headers: dict[str, str], db: None) -> None:
    answer = Client().post("/v1beta/models/x:generateContent", {}, headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (404, False)


def test_people_get_a_page(db: None) -> None:
    answer = Client(headers={"accept-language": "en"}).get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def raises(monkeypatch: pytest.MonkeyPatch, error: Exception, *names: str) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        raise error

    for name in names:
        monkeypatch.setattr(name, fail)


def asks_in_english(**more: Any) -> APIClient:
    return APIClient(raise_request_exception=False, HTTP_ACCEPT_LANGUAGE="en", **more)


def test_what_is_our_fault_is_json_to_programs_and_a_page_to_people_and_explained_to_nobody(
    buyer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = RuntimeError("the secret of our code")
    raises(monkeypatch, fault, "topup.api.users.recharge_offer", "topup.pages.recharge.shown_balance")
    client = asks_in_english()
    client.force_login(buyer)
    answer = client.get("/api/user/topup/info")
    said = {"success": False, "message": "Something went wrong on our side", "code": "internal_error"}
    assert (answer.status_code, answer.json()) == (500, said)
    page = client.get("/recharge")
    assert (page.status_code, page["Content-Type"].partition(";")[0]) == (500, "text/html")
    assert b"secret" not in answer.content + page.content


def test_without_its_database_each_route_says_so_in_its_own_dialect(
    buyer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["recharge_offer", "services.quote_for"]
    away = OperationalError("server closed the connection")
    raises(monkeypatch, away, *(f"topup.api.users.{name}" for name in names), "llm.services.offers_now")
    raises(monkeypatch, away, "topup.services.receiving.receive_notice")
    client = asks_in_english()
    client.force_login(buyer)
    words = "The service is not available for a moment, please try again"
    price = client.post("/api/user/amount", {"amount": 1, "payment_method": "wechat"}, format="json")
    info, models = client.get("/api/user/topup/info"), client.get("/api/chat/models")
    assert price.json() == {"message": "error", "data": words}
    assert info.json() == {"success": False, "message": words}
    assert models.json() == {"success": False, "message": words, "code": "unavailable"}
    # A provider must not take this for success, and sends its notice again.
    notice = Client().post("/api/alipay/notify", "a=b", content_type="application/x-www-form-urlencoded")
    assert notice.content == b"fail: try again"
    for answer in (price, info, models, notice):
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
