"""Sessions, keys and usage: the user's own things, and nobody else's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from llm.models import ChatMessage, ChatSession, Usage
from voicehelper import clock
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import KEYS_PER_USER

pytestmark = pytest.mark.django_db

NOT_FOUND = {"success": False, "message": "没有找到", "code": "not_found"}


@pytest.fixture
def session(buyer: User) -> ChatSession:
    """A question and its answer."""
    made = ChatSession.objects.create(user=buyer, public_id="s-1", title="Hello")
    question = ChatMessage.objects.create(public_id="msg_q", session=made, role="user", content="Hello?")
    ChatMessage.objects.create(
        public_id="msg_a", session=made, role="assistant", question=question, content="Hi", model_name="m", quota=7
    )
    return made


def used(user: User, number: int, *, model: str = "doubao-pro", days_ago: float = 0, quota: int = 10) -> Usage:
    row = Usage.objects.create(
        request_id=f"req_{user.pk}_{number}", user=user, model_name=model, operation="chat", input_tokens=3,
        output_tokens=4, quota=quota, usage_source="provider", outcome="ok", latency_ms=120,
    )  # fmt: skip
    Usage.objects.filter(pk=row.pk).update(created=clock.now() - timedelta(days=days_ago))
    return row


# --- Sessions --------------------------------------------------------------------------------------------------------
def test_sessions_are_listed_by_their_last_message(buyer: User, session: ChatSession, as_user: Any) -> None:
    later = session.last + timedelta(minutes=1)
    ChatSession.objects.create(user=buyer, public_id="s-2", title="Later", model_name="doubao-pro", last=later)
    data = as_user(buyer).get("/api/chat/sessions?page_size=1").json()["data"]
    assert (data["page"], data["page_size"], data["total"]) == (1, 1, 2)
    assert [(row["sessionId"], row["title"], row["model"]) for row in data["items"]] == [("s-2", "Later", "doubao-pro")]
    second = as_user(buyer).get("/api/chat/sessions?page_size=1&page=2").json()["data"]["items"]
    assert [(row["sessionId"], row["model"]) for row in second] == [("s-1", "auto")]
    assert second[0]["created"].endswith("+08:00")


def test_a_session_shows_its_messages(buyer: User, session: ChatSession, as_user: Any) -> None:
    items = as_user(buyer).get("/api/chat/sessions/s-1/messages").json()["data"]["items"]
    assert [(item["messageId"], item["role"], item["content"], item["quota"]) for item in items] == [
        ("msg_q", "user", "Hello?", 0),
        ("msg_a", "assistant", "Hi", 7),
    ]
    one = as_user(buyer).get("/api/chat/messages/msg_a").json()["data"]
    assert one == items[1]
    assert (one["complete"], one["model"], one["settled"]) == (True, "m", True)


def test_a_message_learns_its_price_from_the_usage_log(buyer: User, session: ChatSession, as_user: Any) -> None:
    """As when the process died between the settlement and the message."""
    usage = used(buyer, 1, quota=33)
    ChatMessage.objects.filter(public_id="msg_a").update(quota=None, request_id="req_unsettled")
    told = as_user(buyer).get("/api/chat/messages/msg_a").json()["data"]
    assert (told["settled"], told["quota"]) == (False, None)
    ChatMessage.objects.filter(public_id="msg_a").update(request_id=usage.request_id)
    told = as_user(buyer).get("/api/chat/messages/msg_a").json()["data"]
    assert (told["settled"], told["quota"]) == (True, 33)


def test_a_session_is_renamed_and_deleted(buyer: User, session: ChatSession, as_user: Any) -> None:
    client = as_user(buyer)
    renamed = client.patch("/api/chat/sessions/s-1", {"title": "  A new\n name "}, format="json")
    assert (renamed.status_code, renamed.json()["data"]["title"]) == (200, "A new name")
    for title in ("", "   ", "x" * 81, 5, None):
        assert client.patch("/api/chat/sessions/s-1", {"title": title}, format="json").status_code == 400
    deleted = client.delete("/api/chat/sessions/s-1")
    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert not ChatMessage.objects.exists()
    assert client.delete("/api/chat/sessions/s-1").status_code == 404


def test_I1_another_users_sessions_do_not_exist(
    other_user: User, staff: User, session: ChatSession, as_user: Callable[..., APIClient]
) -> None:
    for who in (other_user, staff):
        client = as_user(who)
        answers = [
            client.get("/api/chat/sessions/s-1/messages"),
            client.get("/api/chat/messages/msg_a"),
            client.patch("/api/chat/sessions/s-1", {"title": "mine"}, format="json"),
            client.delete("/api/chat/sessions/s-1"),
        ]
        assert [(answer.status_code, answer.json()) for answer in answers] == [(404, NOT_FOUND)] * 4
        assert client.get("/api/chat/sessions").json()["data"]["total"] == 0
    session.refresh_from_db()
    assert session.title == "Hello"


def test_I1_nobody_is_told_to_sign_in(session: ChatSession, as_user: Callable[..., APIClient]) -> None:
    client = as_user(None)
    paths = ["chat/sessions", "chat/sessions/s-1/messages", "chat/messages/msg_a", "chat/models", "user/keys"]
    for path in [*paths, "user/usage", "user/usage/summary"]:
        answer = client.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), path


# --- Keys ------------------------------------------------------------------------------------------------------------
def test_a_keys_text_is_shown_once(buyer: User, as_user: Callable[..., APIClient]) -> None:
    client = as_user(buyer)
    made = client.post("/api/user/keys", {"name": " my  laptop "}, format="json").json()["data"]
    assert set(made) == {"id", "name", "key"}
    assert (made["name"], made["key"][:3]) == ("my laptop", "sk-")
    answer = client.get("/api/user/keys")
    assert made["key"] not in answer.content.decode()
    (listed,) = answer.json()["data"]
    assert {"id", "name", "shown", "created", "last_used_at"} < set(listed)
    assert (listed["id"], listed["shown"]) == (made["id"], f"{made['key'][:7]}…{made['key'][-4:]}")


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " "}, {"name": "x" * 65}, {"name": 5}, {"name": "a\tb\x7f"}]
)
def test_a_key_needs_a_name(buyer: User, as_user: Callable[..., APIClient], body: Any) -> None:
    answer = as_user(buyer).post("/api/user/keys", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameters")
    assert not ApiKey.objects.exists()


def test_there_are_only_so_many_keys(buyer: User, as_user: Callable[..., APIClient]) -> None:
    ApiKey.objects.bulk_create(ApiKey(user=buyer, name="k", digest=str(number)) for number in range(KEYS_PER_USER))
    answer = as_user(buyer).post("/api/user/keys", {"name": "one more"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_keys")


@pytest.mark.parametrize("how", ["path", "query", "body"])
def test_a_key_is_deleted_by_its_owner_only(
    buyer: User, other_user: User, as_user: Callable[..., APIClient], how: str
) -> None:
    key = ApiKey.objects.create(user=buyer, name="k", digest="d")

    def delete(who: User) -> Any:
        client = as_user(who)
        if how == "body":
            return client.delete("/api/user/keys", {"id": key.pk}, format="json")
        return client.delete(f"/api/user/keys/{key.pk}" if how == "path" else f"/api/user/keys?id={key.pk}")

    assert (delete(other_user).status_code, delete(other_user).json()) == (404, NOT_FOUND)
    assert (delete(buyer).status_code, delete(buyer).status_code) == (200, 404)
    assert as_user(buyer).get("/api/user/keys").json()["data"] == []


def test_deleting_no_key_in_particular_is_a_mistake(buyer: User, as_user: Callable[..., APIClient]) -> None:
    assert as_user(buyer).delete("/api/user/keys").status_code == 400
    assert as_user(buyer).delete("/api/user/keys?id=x").status_code == 400
    assert as_user(buyer).put("/api/user/keys/1").status_code == 405


# --- Usage -----------------------------------------------------------------------------------------------------------
def test_the_usage_log_of_a_user(buyer: User, other_user: User, as_user: Callable[..., APIClient]) -> None:
    used(buyer, 1, days_ago=40)
    used(buyer, 2, model="gpt-4")
    newest = used(buyer, 3)
    used(other_user, 4)
    client = as_user(buyer)

    def listed(query: str = "") -> list[str]:
        return [row["requestId"][-1] for row in client.get(f"/api/user/usage{query}").json()["data"]["items"]]

    assert listed() == ["3", "2", "1"]
    assert listed("?days=30") == ["3", "2"]
    assert listed("?model=gpt-4") == ["2"]
    assert listed("?page=2&page_size=2") == ["1"]
    row = client.get("/api/user/usage").json()["data"]["items"][0]
    assert row["created"].endswith("+08:00")
    del row["created"]
    assert row == {
        "requestId": newest.request_id,
        "model": "doubao-pro",
        "operation": "chat",
        "inputTokens": 3,
        "outputTokens": 4,
        "kinds": {},
        "quota": 10,
        "latencyMs": 120,
        "usageSource": "provider",
        "outcome": "ok",
    }


def test_usage_is_summed_by_beijing_day_and_model(
    buyer: User, other_user: User, as_user: Callable[..., APIClient]
) -> None:
    used(buyer, 1)
    used(buyer, 2)
    used(buyer, 3, model="gpt-4")
    used(buyer, 4, days_ago=1)
    used(buyer, 5, days_ago=30)
    used(other_user, 6)
    today = clock.now().astimezone(clock.BEIJING).date()
    data = as_user(buyer).get("/api/user/usage/summary").json()["data"]
    assert data["days"] == 30
    assert data["items"] == [
        summed(today - timedelta(days=1), "doubao-pro", 1),
        summed(today, "doubao-pro", 2),
        summed(today, "gpt-4", 1),
    ]
    assert len(as_user(buyer).get("/api/user/usage/summary?days=1").json()["data"]["items"]) == 2


def summed(day: Any, model: str, calls: int) -> dict[str, Any]:
    counts = {"calls": calls, "inputTokens": 3 * calls, "outputTokens": 4 * calls, "quota": 10 * calls}
    return {"day": day.isoformat(), "model": model, **counts}


@pytest.mark.parametrize("query", ["days=0", "days=x", "days=367", "page=0", "page_size=101", f"model={'x' * 65}"])
def test_a_wrong_filter_is_refused(buyer: User, as_user: Callable[..., APIClient], query: str) -> None:
    answer = as_user(buyer).get(f"/api/user/usage?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameters")
