"""Questions edited, answers given again or gone on with: what was there before stays, and a model is told the branch in
sight."""

# ruff: noqa: F811  # fixtures of other modules

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from llm.chat import branches
from llm.chat.branches import Tree
from llm.models import ChatMessage, ChatSession
from llm.relay import loops
from llm.tasks import arrange_old_messages
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.later import Later

from .client import ApiClient
from .conftest import World
from .test_pages import INTENT, ask, page, post, text_of  # noqa: F401  # page is a fixture
from .upstream import chat, fails, stream

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE, STREAM = "/api/chat/message", "/api/chat/stream"


@pytest.fixture
def talking(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.client = ApiClient(issue_token(world.user))
    world.give(10_000_000)
    return world


def question(content: str, parent: str = "", **more: Any) -> dict[str, Any]:
    return {
        "sessionId": "s",
        "model": "doubao-pro",
        "content": content,
        **({"parentId": parent} if parent else {}),
    } | more


def sent(world: World) -> list[list[str]]:
    """What each call told the model, in words."""
    return [[message["content"] for message in each.body["messages"]] for each in world.upstream.asked]


# --- Branches --------------------------------------------------------------------------------------------------------
def test_a_model_is_told_the_branch_in_sight(talking: World, books_agree: Callable[[], None]) -> None:
    async def scenario(w: World) -> None:
        w.upstream.scripts = [chat(text=text) for text in ("A1", "A2", "B2", "B3", "again", "other start")]
        first = (await w.client.post(MESSAGE, question("q1"))).json["messageId"]
        second = (await w.client.post(MESSAGE, question("q2"))).json["messageId"]
        # Edited, and gone on with; then the edited one once more; then another beginning.
        edited = (await w.client.post(MESSAGE, question("q2, edited", first))).json["messageId"]
        await w.client.post(MESSAGE, question("q3", edited))
        await w.client.post(MESSAGE, question("q2, edited", first))
        await w.client.post(MESSAGE, question("another q1", "root"))
        # The old branch is there yet; and without a place it is the one asked in last.
        await w.client.post(MESSAGE, question("old", second))
        await w.client.post(MESSAGE, question("goes on"))

    talking.play(scenario)
    assert sent(talking)[2:] == [
        ["q1", "A1", "q2, edited"],
        ["q1", "A1", "q2, edited", "B2", "q3"],
        ["q1", "A1", "q2, edited"],
        ["another q1"],
        ["q1", "A1", "q2", "A2", "old"],
        ["q1", "A1", "q2", "A2", "old", "Hello there", "goes on"],
    ]
    books_agree()


def test_what_a_question_follows_must_be_in_its_conversation(talking: World, other_user: User) -> None:
    theirs = ChatSession.objects.create(user=other_user, public_id="s", title="t")
    ChatMessage.objects.create(public_id="msg_theirs", session=theirs, role="user", content="secret")

    async def scenario(w: World) -> list[Any]:
        return [await w.client.post(MESSAGE, question("q", parent)) for parent in ("msg_theirs", "msg_nobody")]

    answers = talking.play(scenario)
    assert [(answer.status, answer.json["code"]) for answer in answers] == [(404, "parent_gone")] * 2
    assert not ChatSession.objects.filter(user=talking.user).exists()
    assert talking.upstream.asked == []


def test_a_question_that_is_taken_back_leaves_what_follows_it_in_place(talking: World) -> None:
    async def scenario(w: World) -> None:
        first = (await w.client.post(MESSAGE, question("q1"))).json["messageId"]
        w.upstream.scripts = [fails(400, "no")]
        assert (await w.client.post(MESSAGE, question("refused", first))).status == 400
        await w.client.post(MESSAGE, question("q2"))

    talking.play(scenario)
    assert sent(talking)[-1] == ["q1", "Hello there", "q2"]


def test_O3_an_answer_that_broke_off_goes_on_and_both_are_paid(talking: World, books_agree: Callable[[], None]) -> None:
    async def scenario(w: World) -> tuple[Any, Any, Any]:
        w.upstream.scripts = [stream(["half "] * 4, error_after=2), chat(text="the rest")]
        told = (await w.client.post(STREAM, question("tell me"))).told
        broken = told[0][1]["messageId"]
        more = await w.client.post(MESSAGE, {"sessionId": "s", "parentId": broken, "continues": True})
        return told, more, await w.client.post(MESSAGE, {"sessionId": "s", "continues": True})

    told, more, nothing = talking.play(scenario)
    assert told[-1][0] == "error"
    assert (more.status, more.json["content"]) == (200, "the rest")
    said = sent(talking)[-1]
    assert said[0] == "tell me"
    assert said[1].split() == ["half", "half"]
    assert "Continue" in said[2]
    half, rest = ChatMessage.objects.filter(role="assistant").order_by("pk")
    assert (half.state, rest.state) == ("broken", "complete")
    assert half.quota
    assert rest.quota
    assert nothing.status == 400
    books_agree()


# --- Trees -----------------------------------------------------------------------------------------------------------
def test_a_branch_through_a_question_is_the_one_asked_in_last(world: World) -> None:
    """Against the definition, on random trees."""
    session = ChatSession.objects.create(user=world.user, public_id="s")
    drawn = random.Random(7)
    asked: list[ChatMessage] = []
    for number in range(60):
        parent = drawn.choice([None, *asked[-6:]]) if asked else None
        facts: dict[str, Any] = {"session": session, "role": "user", "content": str(number % 3), "placed": True}
        asked.append(ChatMessage.objects.create(public_id=f"m{number}", parent=parent, **facts))
    tree, by_pk = Tree(session), {each.pk: each for each in asked}
    lines = {each.pk: tree.line(each.pk) for each in asked}
    for each in asked:
        assert tree.through(each.pk) == lines[max(leaf for leaf, line in lines.items() if each.pk in line)]
    versions = tree.versions(lines[asked[-1].pk])
    for pk in lines[asked[-1].pk]:
        siblings = [other for other in asked if other.parent_id == tree.parents[pk]]
        same = [other for other in siblings if other.content == by_pk[pk].content]
        questions, answers = versions.get(pk, (None, None))
        assert (answers.total if answers else 1) == len(same)
        assert (questions.total if questions else 1) == len({other.content for other in siblings})


def test_questions_of_the_release_before_are_a_straight_line(talking: World) -> None:
    """Before and after the task has placed them, among new ones too."""
    session = ChatSession.objects.create(user=talking.user, public_id="s")
    for number in range(5):
        asked = ChatMessage.objects.create(
            public_id=f"q{number}", session=session, role="user", content=f"old {number}"
        )
        ChatMessage.objects.create(
            public_id=f"a{number}", session=session, role="assistant", question=asked, content=f"answer {number}"
        )
    before = Tree(session).parents
    talking.play(lambda w: w.client.post(MESSAGE, question("new", "a2")))
    assert sent(talking)[0] == [*itertools.chain(*((f"old {n}", f"answer {n}") for n in range(3))), "new"]
    assert arrange_old_messages() == 2
    assert arrange_old_messages() == 0
    assert {pk: parent for pk, parent in Tree(session).parents.items() if pk in before} == before
    assert not ChatMessage.objects.filter(question=None, placed=False).exists()
    assert branches.place_old_questions() == 0


# --- The page, without JavaScript ------------------------------------------------------------------------------------
def test_the_page_shows_one_branch_and_leads_to_the_others(page: Client, world: World) -> None:
    world.give(10_000_000)
    address = ask(page)["Location"].partition("#")[0]
    first, answer = ChatMessage.objects.order_by("pk")
    ask(page, address, content="Edited", parent="root", intent="1" * 32)
    shown = page.get(address).content.decode()
    assert "Edited" in shown
    assert "2/2" in text_of(page.get(address))
    assert f"?turn={first.public_id}#" in shown
    old = text_of(page.get(f"{address}?turn={first.public_id}"))
    assert "Say hello Versions" not in old
    assert "1/2" in old
    assert "Edited" not in old.partition("Say hello")[2].partition("Your question")[0]
    again = post(page, f"{address}/again/{answer.public_id}", intent="2" * 32)
    made(again)
    words = text_of(page.get(address))
    assert "Say hello" in words
    # The first of two questions, the second of its answers.
    assert words.index("1/2") < words.index("2/2")
    edit = page.get(f"{address}?turn={first.public_id}&edit={first.public_id}").content.decode()
    assert 'name="parent" value="root"' in edit
    assert ">Say hello</textarea>" in edit


def test_a_button_below_an_answer_that_is_pressed_twice_asks_once(page: Client, world: World) -> None:
    world.give(10_000_000)
    address = ask(page)["Location"].partition("#")[0]
    answer = ChatMessage.objects.get(role="assistant")
    for _ in range(2):
        made(post(page, f"{address}/again/{answer.public_id}", intent=INTENT[::-1]))
    assert len(world.upstream.asked) == 2


def test_I1_nobody_has_another_users_answer_given_again(page: Client, other_user: User) -> None:
    session = ChatSession.objects.create(user=other_user, public_id="theirs")
    asked = ChatMessage.objects.create(public_id="q", session=session, role="user", content="secret")
    ChatMessage.objects.create(public_id="a", session=session, role="assistant", question=asked, content="said")
    assert post(page, "/chat/theirs/again/a", intent=INTENT).status_code == 404


def made(response: Any) -> Any:
    return loops.run(response.made()) if isinstance(response, Later) else response
