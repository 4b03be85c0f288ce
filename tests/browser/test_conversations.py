"""A person goes back to what was said: edits it, has it answered again, finds it, loses the server in the middle."""

# ruff: noqa: F811  # fixtures of other modules

from collections.abc import Callable
from datetime import timedelta

import pytest

from llm.models import ChatMessage, ChatSession, Model, Usage
from llm.tasks import arrange_old_messages
from tests.browser.person import Person
from tests.browser.test_chat import DONE, LAST, WORDS, ask, chatter, provider, said  # noqa: F401  # fixtures
from tests.llm.upstream import Upstream, chat, fails, stream
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

MINE = ".turn.mine:not([hidden])"


def questions(person: Person) -> list[str]:
    return [each.text for each in person.driver.find_elements("css selector", f"{MINE} [data-said]")]


def told(provider: Upstream) -> list[str]:
    """What the last call told the model."""
    return [each["content"] for each in provider.asked[-1].body["messages"]]


def answered(person: Person, text: str) -> None:
    person.until(lambda: said(person) == text and person.has(DONE), f"the answer {text}")
    person.until(lambda: person.has("[data-send]"), "the end")


def test_a_question_is_edited_answered_again_and_its_versions_are_looked_through(
    chatter: Person,
    provider: Upstream,
    books_agree: Callable[[], None],
) -> None:
    provider.scripts = [chat(text=text) for text in ("one", "two", "edited two", "edited again", "three")]
    ask(chatter, "First")
    answered(chatter, "one")
    ask(chatter, "Second")
    answered(chatter, "two")
    chatter.mark_page()
    chatter.until(lambda: chatter.has(f"{MINE}:nth-last-of-type(2) [data-edit-turn]"), "the pen")
    chatter.find(f"{MINE}:nth-last-of-type(2) [data-edit-turn]").click()
    chatter.fill(".editor textarea", "Second, better")
    chatter.click(".editor .primary")
    answered(chatter, "edited two")
    assert questions(chatter) == ["First", "Second, better"]
    chatter.sees(f"{MINE}:nth-last-of-type(2) [data-versions]", "2/2")
    chatter.click(f"{LAST} [data-regenerate]")
    answered(chatter, "edited again")
    chatter.sees(f"{LAST} [data-versions]", "2/2")
    assert chatter.page_was_kept()
    assert told(provider) == ["First", "one", "Second, better"]
    # Back to the question as it was; the next one goes on there.
    chatter.click(f"{MINE}:nth-last-of-type(2) [data-versions] a")
    chatter.sees(f"{LAST} [data-said]", "two")
    chatter.loaded()
    assert questions(chatter) == ["First", "Second"]
    ask(chatter, "Third")
    answered(chatter, "three")
    assert [each["content"] for each in provider.asked[-1].body["messages"]] == [
        "First",
        "one",
        "Second",
        "two",
        "Third",
    ]
    chatter.driver.refresh()
    answered(chatter, "three")
    assert questions(chatter) == ["First", "Second", "Third"]
    assert Usage.objects.count() == 5
    assert chatter.complaints() == []
    books_agree()


@pytest.mark.rare
def test_O3_a_server_that_is_lost_in_the_middle_leaves_what_came_and_the_page_goes_on_from_there(
    chatter: Person,
    provider: Upstream,
    books_agree: Callable[[], None],
) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.3), chat(text="and so on")]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word5")
    chatter.server.kill()
    chatter.server.start()
    # As if its writer had been silent for longer.
    ChatMessage.objects.filter(role="assistant").update(alive=clock.now() - timedelta(seconds=100))
    chatter.sees(".trouble [data-go-on-here]", "Continue")
    kept = said(chatter)
    assert kept.startswith("word0 word1")
    assert "word59" not in kept
    chatter.click(".trouble [data-go-on-here]")
    answered(chatter, "and so on")
    assert questions(chatter) == ["Tell me a story"]
    assert "word0 word1" in provider.asked[1].body["messages"][1]["content"]
    chatter.driver.refresh()
    answered(chatter, "and so on")
    assert chatter.text(".turn.answer [data-said]").startswith("word0 word1")
    labels = "return [...document.querySelectorAll('.turn.answer .generated')].map((each) => each.checkVisibility())"
    assert chatter.script(labels) == [False, True], "what was continued is one answer"


@pytest.mark.rare
def test_many_conversations_are_scrolled_searched_pinned_and_deleted(
    chatter: Person,
    shop: User,
    provider: Upstream,
) -> None:
    moment = clock.now()
    sessions = ChatSession.objects.bulk_create(
        ChatSession(user=shop, public_id=f"s{n}", title=f"talk {n}", last=moment - timedelta(hours=n))
        for n in range(130)
    )
    asked = ChatMessage.objects.create(public_id="q", session=sessions[120], role="user", content="去云南旅行要多久")
    ChatMessage.objects.create(public_id="a", session=sessions[120], role="assistant", question=asked, content="六天")
    arrange_old_messages()
    chatter.visit("/chat")
    links, count = "#session-list li a", "return document.querySelectorAll(arguments[0]).length"
    assert chatter.script(count, links) == 50
    for many in (100, 130):
        chatter.script("document.querySelector('#session-list').scrollTop = 1e6")
        chatter.until(
            lambda many=many: len(chatter.driver.find_elements("css selector", links)) == many, f"{many} of them"
        )
    chatter.fill("#find", "云南旅行")
    chatter.sees(".hits mark", "云南旅行")
    chatter.click(".hits a")
    chatter.sees(".turn.mine", "去云南旅行要多久")
    assert chatter.path == "/chat/s120?turn=q#q"
    chatter.click(".pin button")
    chatter.sees("#session-list h2", "Pinned")
    assert chatter.text(links) == "talk 120"
    chatter.click(".all-of-them summary")
    chatter.click("[popovertarget=delete-all]")
    chatter.click("#delete-all [name=sure]")
    chatter.click("#delete-all .danger")
    chatter.sees("[data-welcome]")
    assert not ChatSession.objects.exists()
    assert chatter.complaints() == []


@pytest.mark.rare
def test_a_conversation_is_set_before_it_begins_and_says_whom_it_asked_instead(
    chatter: Person,
    provider: Upstream,
) -> None:
    chatter.click("[popovertarget=setting]")
    chatter.fill("#system-prompt", "Be brief.")
    chatter.fill("#temperature", "0.2")
    chatter.click("#setting .primary")
    assert not chatter.has("#setting")
    assert chatter.text("[data-chosen]") == "Automatic"
    provider.scripts = [fails(404, "no such model here"), chat(text="Hello")]
    ask(chatter, "Hi")
    answered(chatter, "Hello")
    chatter.sees(f"{LAST} [data-instead]", "was asked instead")
    body = provider.asked[-1].body
    assert (body["messages"][0]["content"], body["temperature"]) == ("Be brief.", 0.2)
    session = ChatSession.objects.get()
    assert (session.system_prompt, session.model_name) == ("Be brief.", "auto:balanced:5")
    assert chatter.find("#system-prompt").get_attribute("value") == "Be brief."


# --- Two tabs --------------------------------------------------------------------------------------------------------
def in_another_tab(person: Person, path: str) -> str:
    """Opens it; returns the window that was in front."""
    window = person.driver.current_window_handle
    person.driver.switch_to.new_window("tab")
    person.visit(path)
    person.loaded()
    return str(window)


@pytest.mark.rare
def test_an_answer_is_stopped_in_another_tab_and_the_first_says_so(
    chatter: Person, shop: User, provider: Upstream, books_agree: Callable[[], None]
) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.1)]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    window = in_another_tab(chatter, chatter.path)
    chatter.sees("[data-stop]")
    chatter.click("[data-stop]")
    chatter.sees(f"{LAST} [data-note]", "Stopped")
    chatter.driver.switch_to.window(window)
    chatter.sees(f"{LAST} [data-note]", "Stopped")
    chatter.sees(f"{LAST} [data-spent]", "quota")
    assert chatter.has("[data-send]")
    assert provider.asked[0].hung_up
    assert len(provider.asked) == Usage.objects.count() == 1
    books_agree()


@pytest.mark.rare
def test_a_model_withdrawn_under_an_open_page_is_said_and_another_goes_on(chatter: Person, provider: Upstream) -> None:
    chatter.click(".models summary")
    chatter.click("[value=doubao-pro]")
    ask(chatter, "First")
    answered(chatter, "Hello there")
    Model.objects.filter(name="doubao-pro").update(enabled=False)
    window = in_another_tab(chatter, "/chat")

    def gone() -> bool:
        # The server hears of it a moment later.
        chatter.driver.refresh()
        return not chatter.driver.find_elements("css selector", "[value=doubao-pro]")

    chatter.until(gone, "it is still offered")
    chatter.driver.switch_to.window(window)
    ask(chatter, "Second")
    chatter.sees(".trouble", "This model does not exist or is switched off")
    assert len(provider.asked) == 1
    chatter.click(".models summary")
    chatter.click("[value=doubao-lite]")
    chatter.click("[data-again]")
    chatter.until(lambda: len(provider.asked) == 2, "nobody else is asked")
    answered(chatter, "Hello there")
    assert told(provider) == ["First", "Hello there", "Second"]
