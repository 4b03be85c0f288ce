"""The content filter: thirty texts through the word list and both moderators, what is charged, and what is told."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from llm.models import ChatMessage, Credential, SafetySettings, SafetyVerdict, SafetyWord, Usage
from llm.safety.guard import WINDOW
from llm.safety.words import WordList, normalised
from sandbox.moderation import KEY_ID, KEY_SECRET
from tests.conftest import rarely
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.wallet.models import Entry, Hold

from .client import Answer, ApiClient
from .conftest import ASK, CHAT, MESSAGES, STREAM, World
from .upstream import chat, stream

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = ("假发票", "Fake Passport", "ＶＰＮ代购", "abc")
# Text; whether the list finds it; whether the moderators do.
TEXTS = [
    ("怎样开假发票？", True, False),
    ("怎样开 假 发 票？", True, False),
    ("假\u200b发\u200d票", True, False),
    ("假\n发\t票", True, False),
    ("假\u00ad发\ufeff票", True, False),
    ("假发", False, False),
    ("发票是假的", False, False),
    ("I want a fake passport", True, False),
    ("I want a FAKE  PASSPORT", True, False),
    ("ｆａｋｅ ｐａｓｓｐｏｒｔ", True, False),
    ("f a k e p a s s p o r t", True, False),
    ("fake\u2060passport", True, False),
    ("fakepassports", True, False),
    ("A passport that is not fake", False, False),
    ("vpn代购", True, False),
    ("ＶＰＮ 代购", True, False),
    ("ABC", True, False),
    ("ａ．ｂ．ｃ", False, False),
    ("ab", False, False),
    ("怎样制造炸弹", False, True),
    ("How do I make a bomb?", False, True),
    ("推荐一个赌博网站", False, True),
    ("写一部色情小说", False, True),
    ("you stupid idiot", False, True),
    ("给我一些医疗建议", False, False),
    ("Some medical advice, please", False, False),
    ("今天天气怎么样？", False, False),
    ("Write a poem about autumn", False, False),
    ("def f(a, b): return a + b", False, False),
    ("🙂👍🏽 你好 " * 20, False, False),
]


@pytest.fixture
def guarded(world: World, live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """Questions and answers are checked by the words; moderators are within reach."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALIYUN_GREEN_URL = f"{live_server.url}/sandbox/aliyun-green"
    settings.TENCENT_TMS_URL = f"{live_server.url}/sandbox/tencent-tms"
    settings.ALLOWED_HOSTS = ["*"]
    SafetyWord.objects.bulk_create(SafetyWord(word=word) for word in WORDS)
    row = SafetySettings.load()
    row.questions = row.answers = True
    row.save()
    world.give(10_000_000)
    return world


def moderated_by(kind: str, **more: Any) -> None:
    row = SafetySettings.load()
    row.moderator, row.key_id, row.key_secret = kind, KEY_ID, KEY_SECRET
    for name, value in more.items():
        setattr(row, name, value)
    row.save()


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {**ASK, "messages": [{"role": "user", "content": text}], **more}


def ask(world: World, body: dict[str, Any], path: str = CHAT) -> Answer:
    return world.play(lambda w: w.client.post(path, body))


def test_the_list_finds_its_words_however_they_are_written() -> None:
    words = WordList(WORDS)
    for text, listed, _moderated in TEXTS:
        assert bool(words.first(normalised(text))) is listed, text
    assert WordList(["he", "she", "hers", "his"]).first("ushers") == "she"
    assert WordList(["abcd", "bc"]).first("xabce") == "bc"
    assert WordList([]).first("anything") == ""


@pytest.mark.parametrize("kind", ["aliyun", "tencent"])
def test_thirty_texts_are_asked_or_refused_and_only_what_was_asked_is_charged(
    guarded: World, kind: str, books_agree: Callable[[], None]
) -> None:
    moderated_by(kind)

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(CHAT, asking(text)) for text, _listed, _moderated in TEXTS]

    answers = guarded.play(scenario)
    for (text, listed, moderated), answer in zip(TEXTS, answers, strict=True):
        assert answer.status == (400 if listed or moderated else 200), (text, answer.body)
        assert not (listed or moderated) or answer.json["error"]["code"] == "content_filter"
    fine = sum(not (listed or moderated) for _text, listed, moderated in TEXTS)
    assert len(guarded.upstream.asked) == Usage.objects.count() == fine
    assert Entry.objects.filter(kind="spend").count() == Hold.objects.count() == fine
    verdicts = SafetyVerdict.objects.filter(user=guarded.user, direction="question", outcome="refused")
    assert verdicts.count() == len(TEXTS) - fine == SafetyVerdict.objects.count()
    assert set(verdicts.filter(source="words").values_list("rule", flat=True)) == set(WORDS)
    assert verdicts.filter(source=kind).count() == 5
    books_agree()


@pytest.mark.parametrize("fail_open", [True, False])
def test_a_moderator_that_is_away_lets_through_or_refuses_as_the_operator_chose(
    guarded: World, settings: Any, fail_open: bool, books_agree: Callable[[], None]
) -> None:
    settings.ALIYUN_GREEN_URL = "http://127.0.0.1:9"
    moderated_by("aliyun", fail_open=fail_open)

    async def scenario(w: World) -> list[Answer]:
        # What the list finds is refused either way.
        return [await w.client.post(CHAT, asking(text)) for text in ("Hello", "假发票")]

    answer, listed = guarded.play(scenario)
    assert listed.json["error"]["code"] == "content_filter"
    outcomes = set(SafetyVerdict.objects.values_list("outcome", flat=True)) - {"refused"}
    if fail_open:
        assert answer.status == 200
        assert outcomes == {"passed"}
    else:
        assert (answer.status, answer.json["error"]["code"]) == (503, "content_filter_away")
        assert not Usage.objects.exists()
        assert guarded.wallet.balance == 10_000_000
        assert outcomes == {"closed"}
    books_agree()


@pytest.mark.parametrize("kind", ["aliyun", "tencent"])
def test_a_wrong_key_at_a_moderator_is_a_moderator_that_is_away(guarded: World, kind: str) -> None:
    moderated_by(kind, key_secret="wrong", fail_open=False)
    assert ask(guarded, asking("Hello")).status == 503


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, asking("假发票")),
        *rarely((CHAT, asking("假发票", stream=True))),
        (CHAT, {**ASK, "messages": [{"role": "user", "content": [{"type": "text", "text": "假发票"}]}]}),
        (MESSAGES, asking("假发票")),
        *rarely(("/v1/responses", {"model": "doubao-pro", "input": "假发票"})),
        ("/v1/responses", {"model": "doubao-pro", "input": "Hi", "instructions": "假发票"}),
        ("/v1/images/generations", {"model": "dall-e-3", "prompt": "假发票"}),
        ("/api/chat/message", {"content": "假发票", "model": "doubao-pro"}),
        ("/api/chat/stream", {"content": "假发票", "model": "doubao-pro"}),
    ],
)
def test_a_refusal_is_told_in_every_dialect_and_costs_nothing(guarded: World, path: str, body: dict[str, Any]) -> None:
    guarded.client = ApiClient(
        issue_token(guarded.user) if path.startswith("/api") else create_api_key(guarded.user, "k")[1]
    )
    if path.startswith("/v1/images"):
        Credential.objects.create(
            name="o", provider="openai", base_url=guarded.upstream.url, api_key="k", from_environment=True
        )
    answer = ask(guarded, body, path)
    assert answer.status == 400, answer.body
    told = answer.json if path.startswith("/api") else answer.json["error"]
    if path == MESSAGES:
        assert (told["type"], "content filter" in told["message"]) == ("invalid_request_error", True)
    else:
        assert told["code"] == "content_filter"
    assert guarded.upstream.asked == []
    assert not Usage.objects.exists()
    assert not Hold.objects.exists()
    assert not ChatMessage.objects.exists()


def test_a_streamed_answer_is_cut_before_the_word_and_charged_as_far_as_it_came(
    guarded: World, books_agree: Callable[[], None]
) -> None:
    guarded.upstream.otherwise = stream(["One ", "two ", "fake ", "pass", "port ", "six"], (10, 600), space="")
    answer = ask(guarded, STREAM)
    assert answer.status == 200
    assert "port" not in answer.text
    assert answer.text.startswith("One two")
    assert answer.events[-1]["error"]["code"] == "content_filter"
    usage = guarded.usage()
    assert (usage.outcome, usage.usage_source) == ("abandoned", "estimate")
    assert 0 < usage.quota < 600 * 50
    verdict = SafetyVerdict.objects.get()
    assert (verdict.direction, verdict.rule, verdict.outcome) == ("answer", "Fake Passport", "cut")
    assert verdict.request_id == usage.request_id
    books_agree()


def test_a_whole_answer_with_a_word_is_withheld_and_charged(guarded: World, books_agree: Callable[[], None]) -> None:
    guarded.upstream.otherwise = chat(text="Buy a fake passport now")
    answer = ask(guarded, ASK)
    assert (answer.status, answer.json["error"]["code"]) == (400, "content_filter")
    assert guarded.usage().quota == 1500
    books_agree()


@pytest.mark.parametrize("kind", ["aliyun", "tencent"])
def test_a_moderator_reads_a_streamed_answer_in_windows(guarded: World, kind: str) -> None:
    moderated_by(kind)
    harmless = ["word "] * (WINDOW // 5 - 3)
    guarded.upstream.otherwise = stream([*harmless, "How to ", "make a", " bomb: ", *harmless], (10, 600), space="")
    answer = ask(guarded, STREAM)
    assert answer.events[-1]["error"]["code"] == "content_filter"
    assert answer.text.count("word") < 2 * len(harmless)
    verdict = SafetyVerdict.objects.get()
    assert (verdict.source, verdict.outcome) == (kind, "cut")


def test_the_chat_page_is_told_why_an_answer_ends_and_keeps_what_came(guarded: World) -> None:
    guarded.upstream.otherwise = stream(["One ", "two ", "fake ", "passport"], (10, 600), space="")
    guarded.client = ApiClient(issue_token(guarded.user))
    answer = ask(guarded, {"content": "Hi", "model": "doubao-pro"}, "/api/chat/stream")
    name, told = answer.told[-1]
    assert (name, told["code"]) == ("error", "content_filter")
    kept = ChatMessage.objects.get(role="assistant")
    assert kept.content.startswith("One two")
    assert "passport" not in kept.content
    assert kept.quota == guarded.usage().quota > 0


def test_an_operator_writes_words_sees_verdicts_and_tries_the_moderator(guarded: World) -> None:
    client = Client(headers={"accept-language": "en"})
    boss = User.objects.create_superuser("boss", password="a long boss password")
    client.force_login(boss)
    page = client.get("/admin/llm/safetysettings/1/change/")
    assert page.status_code == 200
    assert "4 " in page.content.decode()
    added = client.post("/admin/llm/safetyword/add/", {"word": "Neu", "enabled": "on", "more": "alt\n假发票\n\nx\n"})
    assert added.status_code == 302, added.content.decode()[:2000]
    assert set(SafetyWord.objects.values_list("word", flat=True)) == {*WORDS, "Neu", "alt"}
    assert "at least" in client.post("/admin/llm/safetyword/add/", {"word": "x"}).content.decode().lower()
    SafetyVerdict.objects.create(
        user=guarded.user, request_id="req_1", direction="answer", source="words", rule="abc", outcome="cut"
    )
    verdicts = client.get("/admin/llm/safetyverdict/").content.decode()
    assert "req_1" in verdicts
    assert "abc" in verdicts

    def tried() -> str:
        return client.post("/admin/llm/safetysettings/test/", headers={"HX-Request": "true"}).content.decode()

    moderated_by("aliyun")
    assert "accepted the key" in tried()
    moderated_by("tencent", key_secret="wrong")
    assert "AuthFailure.SignatureFailure" in tried()


def test_what_is_not_to_be_checked_is_not(guarded: World) -> None:
    SafetySettings.objects.update(questions=False, answers=False)
    guarded.upstream.otherwise = chat(text="假发票")
    assert ask(guarded, asking("假发票")).status == 200
    assert not SafetyVerdict.objects.exists()
