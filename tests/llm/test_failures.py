"""What becomes of a question that no model answered: it is kept, says so after a reload, and is asked again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from llm.models import ChatMessage, ChatSession, Credential
from llm.relay.threads import in_thread
from voicehelper.accounts.services import issue_token

from .client import Answer, ApiClient
from .conftest import World
from .test_pages import ask, page, text_of  # noqa: F401  # a fixture
from .test_voice import sounds
from .upstream import fails

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE, STREAM = "/api/chat/message", "/api/chat/stream"
ASK = {"sessionId": "s", "content": "Say hello", "model": "doubao-pro"}


@pytest.fixture
def talking(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.FILES_DIR = str(tmp_path / "files")
    world.client = ApiClient(issue_token(world.user))
    world.give(1_000_000)
    return world


Step = tuple[list[Any], dict[str, Any]]


def asked(world: World, *steps: Step, path: str = MESSAGE, **options: Any) -> list[Answer]:
    """Each step is what the provider does when it is asked, and the question."""

    async def scenario(w: World) -> list[Answer]:
        answers = []
        for scripts, body in steps:
            w.upstream.scripts = list(scripts)
            answers.append(await w.client.post(path, body, **options))
        return answers

    answers: list[Answer] = world.play(scenario)
    return answers


def questions() -> list[tuple[str, str]]:
    """What was asked, and how each answer stands."""
    rows = ChatMessage.objects.filter(role="user").order_by("pk").select_related("answer")
    return [(row.content, row.answer.state) for row in rows]


# As often as it is tried.
FAILS = [fails(500)] * 4
# In the same place, as the page and the mini program do.
AGAIN = {**ASK, "parentId": "root"}


@pytest.mark.parametrize("path", [MESSAGE, STREAM])
def test_a_question_that_failed_is_kept_costs_nothing_and_can_be_asked_again(
    talking: World, path: str, books_agree: Callable[[], None]
) -> None:
    states = []

    async def scenario(w: World) -> tuple[Answer, Answer]:
        w.upstream.scripts = list(FAILS)
        failed = await w.client.post(path, ASK)
        states.extend(await in_thread(questions))
        w.upstream.scripts = []
        return failed, await w.client.post(path, AGAIN)

    failed, again = talking.play(scenario)
    assert (failed.status, failed.json["code"], failed.json["sessionId"]) == (502, "upstream_error", "s")
    assert states == [("Say hello", "failed")]
    assert not ChatMessage.objects.filter(public_id=failed.json["messageId"]).exists()
    assert again.status == 200
    assert questions() == [("Say hello", "complete")]
    assert ChatMessage.objects.get(role="assistant").quota == 1_000_000 - talking.wallet.balance
    books_agree()


def test_the_same_key_asks_again_what_failed(talking: World) -> None:
    key = {"headers": {"idempotency-key": "once"}}
    failed, first, second = asked(talking, (FAILS, ASK), ([], AGAIN), ([], AGAIN), **key)
    assert (failed.status, first.status, second.json["messageId"]) == (502, 200, first.json["messageId"])
    assert questions() == [("Say hello", "complete")]


def test_who_fails_twice_is_kept_once(talking: World) -> None:
    asked(talking, (FAILS, ASK), (FAILS, AGAIN))
    assert questions() == [("Say hello", "failed")]
    assert talking.wallet.balance == 1_000_000


def test_another_answer_that_fails_leaves_the_first_in_sight(talking: World) -> None:
    _good, bad = asked(talking, ([], ASK), (FAILS, AGAIN))
    assert (bad.status, "messageId" in bad.json) == (502, False)
    assert questions() == [("Say hello", "complete")]


def test_no_model_is_told_of_what_failed_and_what_follows_it_stays(talking: World) -> None:
    further = {**ASK, "content": "And you?"}
    asked(talking, ([fails(400, "no")], ASK), ([], further), ([], AGAIN))
    assert [each["content"] for each in talking.upstream.asked[1].body["messages"]] == ["And you?"]
    # Something follows it: it is one of two versions now.
    assert questions() == [("Say hello", "failed"), ("And you?", "complete"), ("Say hello", "complete")]


def test_what_was_refused_before_a_model_was_asked_is_not_kept(talking: World) -> None:
    (refused,) = asked(talking, ([], {**ASK, "model": "nobody"}))
    assert refused.status >= 400
    assert not ChatSession.objects.exists()


def test_the_page_says_that_it_failed_and_asks_again(page: Client, world: World) -> None:  # noqa: F811
    world.give(1_000_000)
    world.upstream.scripts = [fails(500)] * 4
    where = ask(page)
    address, _hash, message = where["Location"].partition("#")
    words = text_of(page.get(address))
    assert "Say hello" in words
    assert "The model did not answer; nothing was charged. Ask again." in words
    assert "Send again" in words
    world.upstream.scripts = []
    assert ask(page, f"{address}/again/{message}", intent="f" * 32).status_code == 302
    words = text_of(page.get(address))
    assert "Hello there" in words
    assert "did not answer" not in words
    assert questions() == [("Say hello", "complete")]


# --- What was gone on with -------------------------------------------------------------------------------------------
def test_a_continued_answer_is_spoken_and_exported_as_one(talking: World) -> None:
    session = ChatSession.objects.create(user=talking.user, public_id="s", title="Hello")
    parent = None
    for number, (content, ended) in enumerate(
        (("The **first", "broken"), ("half**", "stopped"), (" and the rest.", ""))
    ):
        question = ChatMessage.objects.create(
            session=session, role="user", content="Say hello", parent=parent, placed=True, continues=number > 0,
            public_id=f"q{number}",
        )  # fmt: skip
        ChatMessage.objects.create(
            session=session, role="assistant", content=content, question=question, ended=ended, complete=not ended,
            model_name="doubao-pro", public_id=f"a{number}",
        )  # fmt: skip
        parent = question
    Credential.objects.update(provider="openai")
    talking.upstream.scripts = [sounds]

    async def scenario(w: World) -> list[Answer]:
        spoken = await w.client.post("/api/voice/speech", {"messageId": "a2"})
        files = [await w.client.get(f"/api/chat/sessions/s/export?fileType={kind}") for kind in ("markdown", "json")]
        return [spoken, *files]

    spoken, markdown, as_json = talking.play(scenario)
    assert spoken.status == 200, spoken.body
    assert talking.upstream.asked[0].body["input"] == "The first half and the rest."
    text = markdown.body.decode()
    assert "\n\nThe **first half** and the rest.\n\n" in text
    assert text.count("doubao-pro") == 1
    told = as_json.json["conversations"][0]["messages"]
    assert [each.get("continues") for each in told if each["role"] == "user"] == [None, True, True]
