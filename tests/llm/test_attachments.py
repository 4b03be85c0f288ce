"""Pictures and texts that go along with a question, as the chat API's clients see them."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from llm.chat import sessions
from llm.models import ChatMessage, Model, Usage
from storage_backends.models import StoredFile
from storage_backends.services import store_file
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token

from .client import Answer, ApiClient
from .conftest import World

pytestmark = pytest.mark.django_db(transaction=True)

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def chatting(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """The user signed in with a token, and rich; doubao-pro sees, doubao-lite does not."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.FILES_DIR = str(tmp_path)
    Model.objects.filter(name="doubao-pro").update(capabilities=["chat", "multimodal"])
    world.client = ApiClient(issue_token(world.user))
    world.give(1_000_000)
    return world


def keep(user: User, name: str, content: bytes) -> str:
    return store_file(user, name, io.BytesIO(content)).key


def asked(*paths: str, **changes: Any) -> dict[str, Any]:
    return {"content": "What is this?", "model": "doubao-pro", "attachments": list(paths)} | changes


def ask(world: World, *bodies: dict[str, Any]) -> list[Answer]:
    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post("/api/chat/message", body) for body in bodies]

    return world.play(scenario)


def test_a_picture_and_a_text_go_up_with_the_question_and_are_charged_as_the_model_counts(
    chatting: World, books_agree: Callable[[], None]
) -> None:
    picture, note = keep(chatting.user, "dot.png", DOT), keep(chatting.user, "note.md", "# 你好".encode())
    (answer,) = ask(chatting, asked(picture, note, sessionId="mine"))
    assert answer.status == 200, answer.body
    text, image = chatting.upstream.asked[0].body["messages"][-1]["content"]
    assert text["text"].startswith("What is this?")
    assert "note.md:\n```\n# 你好\n```" in text["text"]
    assert image == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(DOT).decode()}"},
    }
    assert answer.json["quota"] == chatting.usage().quota == 1500
    kept = ChatMessage.objects.get(role="user").attachments
    assert [(each["name"], each["contentType"]) for each in kept] == [
        ("dot.png", "image/png"),
        ("note.md", "text/plain; charset=utf-8"),
    ]
    books_agree()


def test_a_later_question_takes_the_picture_along_only_to_a_model_that_sees(chatting: World) -> None:
    ask(
        chatting,
        asked(keep(chatting.user, "dot.png", DOT), sessionId="mine"),
        asked(sessionId="mine", content="And now?"),
        asked(sessionId="mine", content="And to you?", model="doubao-lite"),
    )
    seen, blind = (chatting.upstream.asked[number].body["messages"][0]["content"] for number in (1, 2))
    assert [part["type"] for part in seen] == ["text", "image_url"]
    assert blind == "What is this?\n\n[dot.png]"


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("somebody else's", 404, "not_found"),
        ("nobody's", 404, "not_found"),
        ("a program", 415, "not_attachable"),
        ("a page called png", 415, "not_attachable"),
        ("too large", 413, "attachments_too_large"),
        ("blind", 400, "cannot_see"),
        ("too many", 400, None),
    ],
)
def test_what_cannot_go_along_is_refused_by_name_and_costs_nothing(
    chatting: World, what: str, status: int, code: str | None
) -> None:
    mine, changes = [keep(chatting.user, "dot.png", DOT)], {}
    if what == "somebody else's":
        mine = [keep(User.objects.create_user("other"), "dot.png", DOT)]
    elif what == "nobody's":
        mine = ["u/1/2026-01-01/nothing.png"]
    elif what == "a program":
        mine.append(keep(chatting.user, "dot.png", b"MZ\0\0\x01" * 100))
    elif what == "a page called png":
        mine.append(keep(chatting.user, "x.png", b"%PDF-1.7 ..."))
    elif what == "too large":
        mine.append(keep(chatting.user, "long.txt", b"word " * 50_000))
    elif what == "blind":
        changes = {"model": "doubao-lite"}
    elif what == "too many":
        mine *= 7
    (answer,) = ask(chatting, asked(*mine, **changes))
    assert answer.status == status, answer.body
    assert code is None or answer.json["code"] == code
    assert chatting.upstream.asked == []
    assert not Usage.objects.exists()
    assert not ChatMessage.objects.exists()


def test_automatic_choice_with_a_picture_asks_a_model_that_sees(chatting: World) -> None:
    (answer,) = ask(chatting, asked(keep(chatting.user, "dot.png", DOT), model="auto:cost"))
    assert answer.json["model"] == "doubao-pro"


def test_a_deleted_conversation_takes_its_files_with_it_but_not_those_of_another(chatting: World) -> None:
    both, one = keep(chatting.user, "both.png", DOT), keep(chatting.user, "one.png", DOT)
    ask(chatting, asked(both, one, sessionId="first"), asked(both, sessionId="second"))
    sessions.delete_session(chatting.user, "first")
    assert list(StoredFile.objects.values_list("name", flat=True)) == ["both.png"]
