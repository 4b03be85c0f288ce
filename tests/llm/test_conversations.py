"""Many conversations: listed, found by their words, pinned, set, taken along, deleted."""

# ruff: noqa: F811  # fixtures of other modules

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, connections
from django.test import Client

from llm.chat import words
from llm.chat.sessions import Position, page_of_sessions
from llm.models import ChatMessage, ChatSession, SearchWords
from llm.relay import loops
from llm.tasks import arrange_old_messages
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.later import Later

from .client import ApiClient
from .conftest import World
from .test_pages import page, post, session_of, text_of  # noqa: F401  # page is a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def talk(user: User, number: int, asked: str, answered: str, title: str = "") -> ChatSession:
    session = ChatSession.objects.create(user=user, public_id=f"s{number}", title=title or asked[:80])
    facts: dict[str, Any] = {"session": session, "searchable": False}
    question = ChatMessage.objects.create(public_id=f"q{number}", role="user", content=asked, **facts)
    ChatMessage.objects.create(
        public_id=f"a{number}", role="assistant", question=question, content=answered, model_name="m", **facts
    )
    return session


def found(user: User, text: str) -> list[str]:
    return [hit.message.public_id if hit.message else hit.session.public_id for hit in words.search(user, text)]


# --- Found -----------------------------------------------------------------------------------------------------------
FOUND: dict[str, list[str]] = {
    "机器学习": ["a1"],
    "器学": ["a1"],
    "猫": ["q2"],
    "花猫": ["q2"],
    "学习机器": [],
    "Kuber": ["a2"],
    "KUBERNETES 部署": ["a2"],
    "ｋｕｂｅｒｎｅｔｅｓ": ["a2"],
    "net": [],
    "部署 猫": [],
    "it's": ["q1"],
    "' | 'x:* & \\": [],
    "   ": [],
    "%": [],
    "旅行": ["s3"],
    "ひらがな": ["a3"],
    "secret": [],
}


def test_conversations_are_found_by_their_words(world: World, other_user: User) -> None:
    user = world.user
    talk(user, 1, "it's about what?", "机器学习是人工智能的一个分支。学习要用机器。", "One")
    talk(user, 2, "我家有一只大花猫", "Kubernetes 部署需要三步", "Two")
    talk(user, 3, "Where to?", "ひらがなとカタカナ", "去云南旅行")
    talk(other_user, 4, "my secret 机器学习", "secret 猫")
    arrange_old_messages()
    for search, hits in FOUND.items():
        assert found(user, search) == hits, search


def test_an_excerpt_shows_where_the_words_stand() -> None:
    said = "前言。" * 40 + "这里讲机器学习的<b>原理</b>" + "后记。" * 60
    pieces = words.excerpt(said, words.terms_in("机器学习"))
    assert [text for text, is_hit in pieces if is_hit] == ["机器学习"]
    assert pieces[0][0].startswith("…")
    assert pieces[-1][0].endswith("…")
    assert len("".join(text for text, _hit in pieces)) < 200


def test_what_was_just_said_is_found_and_what_is_deleted_is_not(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.client = ApiClient(issue_token(world.user))
    world.give(1_000_000)

    async def scenario(w: World) -> list[Any]:
        body = {"content": "量子纠缠是什么", "model": "doubao-pro", "sessionId": "s"}
        await w.client.post("/api/chat/message", body)
        hits = (await w.client.get(f"/api/chat/search?q={quote('量子纠缠')}")).json["data"]
        await w.client.request("DELETE", "/api/chat/sessions", b"")
        return [hits, (await w.client.get("/api/chat/search?q=hello")).json["data"]]

    hits, after = world.play(scenario)
    assert [hit["sessionId"] for hit in hits] == ["s"]
    assert after == []
    assert not SearchWords.objects.exists()


def test_old_code_deletes_a_message_without_knowing_of_its_words(world: World) -> None:
    talk(world.user, 1, "a", "b")
    arrange_old_messages()
    assert SearchWords.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM llm_chatmessage WHERE question_id IS NOT NULL")
    assert SearchWords.objects.count() == 1


def test_a_search_among_two_thousand_conversations_reads_only_what_it_finds(world: World, other_user: User) -> None:
    """Not the rows of others, whose words are the same, and not all of one's own."""
    for user, many in ((world.user, 2000), (other_user, 2000)):
        sessions = ChatSession.objects.bulk_create(
            ChatSession(user=user, public_id=f"s{n}", title=f"talk {n}") for n in range(many)
        )
        ChatMessage.objects.bulk_create(
            ChatMessage(
                public_id=f"m{user.pk}-{n}", session=session, role="user",
                content=f"今天第{n}次说到天气" + ("，还有量子纠缠" if n % 200 == 0 else ""),
            )
            for n, session in enumerate(sessions)
        )  # fmt: skip
    while words.keep_old_words():
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE llm_chatmessage, llm_searchwords, llm_chatsession")
    rows = words.found_messages(world.user, words.terms_in("量子纠缠"))[:100]
    plan = json.loads(rows.explain(format="json", analyze=True))[0]
    assert "chat_words" in json.dumps(plan), json.dumps(plan["Plan"], indent=1)
    assert rows_read(plan["Plan"]) <= 5 * 10
    assert len(rows) == 10
    print(f"search among 2,000 conversations: {plan['Execution Time']:.1f} ms")
    assert plan["Execution Time"] < 100


def rows_read(plan: dict[str, Any]) -> int:
    """Of tables and indexes, those that were thrown away too."""
    own = 0
    if "Scan" in plan["Node Type"]:
        own = int((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])
    return own + sum(rows_read(each) for each in plan.get("Plans", ()))


# --- Listed ----------------------------------------------------------------------------------------------------------
def test_the_list_has_no_end_and_shows_each_once(page: Client, world: World) -> None:
    moment = clock.now()
    # Some at the same moment.
    ChatSession.objects.bulk_create(
        ChatSession(user=world.user, public_id=f"s{n}", title=f"talk {n}", last=moment - timedelta(minutes=n // 3))
        for n in range(130)
    )
    seen: list[str] = []
    after: Position | None = None
    while True:
        shown, after = page_of_sessions(world.user, after, 50)
        seen += [each.public_id for each in shown]
        if after is None:
            break
        after = Position.read(str(after))
    assert (len(seen), len(set(seen))) == (130, 130)
    first = page.get("/chat").content.decode()
    link = first.partition("data-more")[0].rpartition('href="')[2].partition('"')[0]
    assert "talk 129" not in first
    second = page.get(link.replace("&amp;", "&"))
    assert second.status_code == 200
    assert "talk 60" in text_of(second)
    for nonsense in ("x", "2026-01-01_1", f"{moment.isoformat()}_x", "0001-01-01T00:00+14:00_1", "_", ""):
        assert page.get("/conversations", {"after": nonsense}).status_code == 200


def test_a_pinned_conversation_stays_on_top(page: Client, world: World) -> None:
    old = session_of(world.user, "An old one", last=clock.now() - timedelta(days=40))
    session_of(world.user, "A new one")
    post(page, f"/chat/{old.public_id}/pin", pinned="yes")
    assert "Pinned An old one Today A new one" in text_of(page.get("/chat"))
    post(page, f"/chat/{old.public_id}/pin", pinned="no")
    assert "Today A new one Earlier An old one" in text_of(page.get("/chat"))


def test_found_places_lead_to_the_turn_in_its_branch(page: Client, world: World) -> None:
    talk(world.user, 1, "<i>Deploy</i> it", "With Kubernetes")
    arrange_old_messages()
    answer = page.get("/conversations/find?q=kubern")
    assert "With <mark>Kubern</mark>etes" in answer.content.decode()
    assert "/chat/s1?turn=a1#a1" in answer.content.decode()
    assert "With Kubernetes" in text_of(page.get("/chat/s1?turn=a1"))
    assert "&lt;i&gt;<mark>Deploy</mark>" in page.get("/conversations/find?q=deploy").content.decode()
    assert "Nothing was found" in text_of(page.get("/conversations/find?q=nothing"))
    assert page.get("/conversations/find?q=").status_code == 302


# --- Set -------------------------------------------------------------------------------------------------------------
def test_what_a_conversation_is_set_to_goes_along_with_every_question(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.client = ApiClient(issue_token(world.user))
    world.give(1_000_000)
    ask = {"content": "Hi", "model": "doubao-pro", "sessionId": "s"}

    async def scenario(w: World) -> list[int]:
        await w.client.post("/api/chat/message", {**ask, "systemPrompt": "Be brief.", "temperature": 0.25})
        await w.client.post("/api/chat/message", ask)
        wrong = [
            await w.client.request("PATCH", "/api/chat/sessions/s", json.dumps(body).encode())
            for body in (
                {"temperature": 2.01},
                {"temperature": -1},
                {"temperature": "warm"},
                {"systemPrompt": "x" * 8001},
            )
        ]
        reset = {"temperature": None, "systemPrompt": ""}
        await w.client.request("PATCH", "/api/chat/sessions/s", json.dumps(reset).encode())
        await w.client.post("/api/chat/message", ask)
        return [answer.status for answer in wrong]

    assert world.play(scenario) == [400] * 4
    first, second, third = (each.body for each in world.upstream.asked)
    for body in (first, second):
        assert (body["messages"][0], body["temperature"]) == ({"role": "system", "content": "Be brief."}, 0.25)
    assert third["messages"][0]["role"] == "user"
    assert third["temperature"] == 0.7


def test_the_page_sets_a_conversation(page: Client, world: World) -> None:
    session = session_of(world.user)
    post(page, f"/chat/{session.public_id}/setting", system_prompt=" Be brief.\r\n", temperature="0.5")
    session.refresh_from_db()
    assert (session.system_prompt, float(session.temperature or 0)) == ("Be brief.", 0.5)
    assert "Be brief.</textarea>" in page.get(f"/chat/{session.public_id}").content.decode()
    post(page, f"/chat/{session.public_id}/setting", system_prompt="x", temperature="3")
    session.refresh_from_db()
    assert session.system_prompt == "Be brief."


# --- Taken along, deleted --------------------------------------------------------------------------------------------
def test_an_export_has_everything_and_says_what_a_model_wrote(page: Client, world: World) -> None:
    for number in range(45):
        talk(world.user, number, f"question {number}", f"**answer** {number}")
    everything = json.loads(whole(page.get("/conversations/export?as=json")))
    assert everything["label"] == "AI 生成 / AI-generated"
    assert [each["sessionId"] for each in everything["conversations"]] == [f"s{n}" for n in reversed(range(45))]
    asked, answer = everything["conversations"][0]["messages"]
    assert (asked["parentId"], answer["parentId"], answer["content"]) == (None, "q44", "**answer** 44")
    assert (answer["AIGC"]["Label"], "AIGC" in asked) == ("1", False)
    text = whole(page.get("/chat/s7/export"))
    assert "> question 7" in text
    assert "**m · AI 生成 / AI-generated**\n\n**answer** 7" in text
    assert "question 8" not in text
    assert len(whole(page.get("/conversations/export")).split("**answer**")) == 46
    assert page.get("/chat/nobodys/export").status_code == 404


def whole(response: Any) -> str:
    async def read() -> bytes:
        made = await response.made() if isinstance(response, Later) else response
        return b"".join([piece async for piece in made])

    return loops.run(read()).decode()


def test_all_conversations_are_deleted_only_by_who_means_it(
    page: Client,
    world: World,
    other_user: User,
    books_agree: Callable[[], None],
) -> None:
    for number in range(3):
        talk(world.user, number, "a", "b")
    theirs = session_of(other_user)
    post(page, "/conversations/delete")
    assert ChatSession.objects.count() == 4
    post(page, "/conversations/delete", sure="yes")
    assert list(ChatSession.objects.all()) == [theirs]
    books_agree()
