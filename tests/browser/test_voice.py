"""A person speaks, looks over what was understood, sends it, and has the answer read aloud."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from selenium.webdriver import Keys

from llm.models import Credential, Usage
from storage_backends.models import StoredFile
from tests.browser.person import Person
from tests.browser.test_chat import DONE, LAST, ask, balance_shown, chatter, provider  # noqa: F401  # fixtures
from tests.llm.upstream import Asked, Upstream, fails, says, stream
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

SPEAK, DONE_SPEAKING, PLAY = "[data-speak]", "[data-finish]", f"{LAST} [data-play]"
CHIME = Path(__file__).parents[2] / "sandbox/upstream/chime.mp3"


async def sounds(asked: Asked) -> web.Response:
    return web.Response(body=CHIME.read_bytes(), content_type="audio/mpeg")


@pytest.fixture
def talker(chatter: Person, provider: Upstream) -> Person:  # noqa: F811
    """On the chat page, where models can hear and speak."""
    account = Credential.objects.get()
    Credential.objects.create(
        name="openai", provider="openai", base_url=account.base_url, api_key="k", from_environment=True
    )

    def can_be_heard() -> bool:
        # The server hears of the account a moment later.
        chatter.visit("/chat")
        chatter.loaded()
        return chatter.has(SPEAK)

    chatter.until(can_be_heard, "nobody can hear")
    return chatter


def speak(person: Person) -> None:
    person.click(SPEAK)
    person.sees("[data-recording]", "Recording")
    person.until(lambda: person.text("[data-clock]") >= "0:01", "the clock stands still")


@pytest.mark.rare
def test_what_is_said_is_looked_over_sent_answered_and_read_aloud(
    talker: Person,
    shop: User,
    provider: Upstream,  # noqa: F811
    books_agree: Callable[[], None],
) -> None:
    heard = says({"text": "Tell me a story", "usage": {"type": "duration", "seconds": 2}})
    provider.scripts = [heard, stream(["Once", "upon"], (12, 345)), sounds]
    speak(talker)
    talker.sees("[data-voice-price]", "¥")
    assert float(talker.find("[data-level]").get_attribute("value") or 0) >= 0
    talker.click(DONE_SPEAKING)
    talker.until(lambda: talker.find("#content").get_attribute("value") == "Tell me a story", "no words")
    assert talker.script("return document.activeElement.id") == "content"
    assert not talker.has("[data-recording]")
    talker.sees("[data-voice-cost]", f"{Usage.objects.get().quota:,} quota")
    sent = provider.asked[0].body["file"]
    assert sent[:4] == b"\x1aE\xdf\xa3"
    talker.until(lambda: not StoredFile.objects.exists(), "the recording stays")

    talker.press(Keys.ENTER)
    talker.sees(DONE, "quota")
    talker.sees(PLAY, "Play")
    talker.sees(f"{LAST} [data-play-cost]", "≈ ¥")
    talker.click(PLAY)
    talker.sees(PLAY, "Stop playing")
    talker.sees(PLAY, "Play")
    talker.sees(f"{LAST} [data-play-cost]", f"{Usage.objects.latest('created').quota:,} quota")
    talker.until(lambda: balance_shown(talker) == wallet_of(shop).balance, "the balance is old")
    calls = Usage.objects.count()
    talker.click(PLAY)
    talker.sees(PLAY, "Stop playing")
    talker.click(PLAY)
    assert talker.text(PLAY) == "Play"
    assert Usage.objects.count() == calls == 3
    assert provider.asked[2].body["input"] == "Once upon"
    assert talker.complaints() == []
    books_agree()


@pytest.mark.rare
def test_it_works_with_the_keyboard_and_escape_forgets_the_recording(talker: Person, provider: Upstream) -> None:  # noqa: F811
    talker.tab_to(SPEAK)
    talker.press(Keys.ENTER)
    talker.sees("[data-recording]", "Recording")
    assert talker.script("return document.activeElement.matches('[data-finish]')")
    talker.press(Keys.ESCAPE)
    talker.until(lambda: not talker.has("[data-recording]"), "it goes on")
    assert talker.script("return document.activeElement.matches('[data-speak]')")
    assert provider.asked == []
    assert not StoredFile.objects.exists()


@pytest.mark.rare
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "The microphone is blocked for this site"),
        ("NotFoundError", "There is no microphone"),
        ("NotSupportedError", "This browser cannot record here"),
    ],
)
def test_what_keeps_one_from_speaking_is_said(talker: Person, name: str, words: str) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', arguments[0]) }"
    talker.script(f"const name = arguments[0]; {refuse.replace('arguments[0]', 'name')}", name)
    talker.click(SPEAK)
    talker.sees("[data-recording] [data-words]", words)
    assert talker.find(SPEAK).is_enabled()


@pytest.mark.rare
def test_what_is_not_understood_or_cannot_be_spoken_is_said(talker: Person, provider: Upstream) -> None:  # noqa: F811
    provider.scripts = [says({"text": "  "}), stream(["Hello"], (1, 2)), fails(400), sounds]
    speak(talker)
    talker.click(DONE_SPEAKING)
    talker.sees("[data-recording] [data-words]", "Nothing was understood")
    ask(talker, "Hi")
    talker.sees(DONE, "quota")
    talker.click(PLAY)
    talker.sees(f"{LAST} [data-play-note]")
    assert talker.text(PLAY) == "Play"
    talker.click(PLAY)
    talker.sees(PLAY, "Stop playing")


@pytest.mark.rare
def test_nothing_is_offered_that_no_model_can_do(chatter: Person, provider: Upstream) -> None:  # noqa: F811
    provider.scripts = [stream(["Hello"], (1, 2))]
    assert not chatter.has(SPEAK)
    ask(chatter, "Hi")
    chatter.sees(DONE, "quota")
    assert not chatter.has(PLAY)


# Loud for a second and a half, then silent, each time somebody listens.
ONE_SENTENCE = """
const since = new WeakMap();
AnalyserNode.prototype.getFloatTimeDomainData = function (samples) {
  if (!since.has(this)) since.set(this, performance.now());
  samples.fill(performance.now() - since.get(this) < 1500 ? 0.5 : 0);
};
"""


@pytest.mark.rare
def test_hands_free_a_pause_sends_the_answer_is_read_aloud_and_it_is_ones_turn_again(
    talker: Person,
    provider: Upstream,  # noqa: F811
    books_agree: Callable[[], None],
) -> None:
    heard = says({"text": "Tell me a story", "usage": {"type": "duration", "seconds": 2}})
    again = says({"text": "And then?", "usage": {"type": "duration", "seconds": 2}})
    provider.scripts = [heard, stream(["Once"], (12, 345)), sounds, again, stream(["Then"], (12, 345)), sounds]
    talker.script(ONE_SENTENCE)
    talker.click("[data-handsfree]")
    assert talker.find("[data-handsfree]").get_attribute("aria-pressed") == "true"
    talker.until(lambda: Usage.objects.count() == 6, "it is nobody's turn")
    talker.sees("[data-recording]", "Recording")
    assert [each.text for each in talker.driver.find_elements("css selector", ".turn.mine [data-said]")] == [
        "Tell me a story",
        "And then?",
    ]
    talker.press(Keys.ESCAPE)
    talker.until(lambda: not talker.has("[data-recording]"), "it goes on")
    assert talker.find("[data-handsfree]").get_attribute("aria-pressed") == "false"
    assert talker.complaints() == []
    books_agree()
