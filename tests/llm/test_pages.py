"""The pages of chat, keys and usage as a browser without JavaScript sees them; tests/browser has the others."""

import html
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from llm.models import ChatMessage, ChatSession, Usage
from llm.pages import chart
from llm.relay import loops
from tests.conftest import sampled
from voicehelper import clock
from voicehelper.accounts.key_limits import UNLIMITED, limits_of
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import KEYS_PER_USER, create_api_key, revoke_api_key
from voicehelper.later import Later
from voicehelper.wallet.worth import in_yuan

from .conftest import World
from .test_services import BehindTheScenes
from .upstream import chat, fails

pytestmark = pytest.mark.django_db(transaction=True)

INTENT = "0123456789abcdef0123456789abcdef"
PAGES = ["/chat", "/chat/x", "/keys", "/usage", "/usage.csv"]


@pytest.fixture
def page(world: World) -> Iterator[Client]:
    """The speaker's browser, reading English, with CSRF checks on, while the provider is up."""
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    client.force_login(world.user)
    ApiKey.objects.all().delete()
    with BehindTheScenes(world):
        yield client


def text_of(response: Any) -> str:
    """The words of a page, without tags and templates, in one line."""
    body = re.sub(r"<(script|style|template)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def post(client: Client, path: str, **fields: str) -> Any:
    """Sends a form as a browser without JavaScript does, with the token of a page it was on."""
    client.get("/chat")
    return client.post(path, fields | {"csrfmiddlewaretoken": client.cookies["csrftoken"].value})


def ask(client: Client, path: str = "/chat", **changes: str) -> Any:
    response = post(client, path, **{"content": "Say hello", "model": "doubao-pro", "intent": INTENT} | changes)
    return loops.run(response.made()) if isinstance(response, Later) else response


def session_of(user: User, title: str = "A talk", **changes: Any) -> ChatSession:
    return ChatSession.objects.create(user=user, public_id=f"chat_{title.replace(' ', '_')}", title=title, **changes)


def used(user: User, number: int, *, days_ago: int = 0, **changes: Any) -> Usage:
    values = {"model_name": "doubao-pro", "operation": "chat", "quota": 1500, "input_tokens": 10, "output_tokens": 20}
    values |= {"usage_source": "provider", "outcome": "ok", "created": timezone.now() - timedelta(days=days_ago)}
    return Usage.objects.create(request_id=f"req_{number}", user=user, **values | changes)


# --- Who may see what ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_signing_in(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/sign-in?next={path}")


def test_I1_what_belongs_to_somebody_else_is_not_found(page: Client, other_user: User) -> None:
    session = session_of(other_user, "A secret plan")
    key, _text = create_api_key(other_user, "their notebook")
    used(other_user, 1, model_name="secret-model")
    address = f"/chat/{session.public_id}"
    assert page.get(address).status_code == 404
    for path in (f"{address}/rename", f"{address}/delete", f"/keys/{key.pk}/revoke"):
        assert post(page, path, title="Mine now").status_code == 404
    session.refresh_from_db()
    assert session.title == "A secret plan"
    assert ApiKey.objects.get().revoked_at is None
    for path in ("/chat", "/keys", "/usage", "/usage.csv"):
        answer = page.get(path)
        words = (answer.getvalue() if answer.streaming else answer.content).decode()
        assert not re.search("secret|their notebook", words), path


def test_nothing_is_deleted_by_looking(page: Client, world: World) -> None:
    session = session_of(world.user)
    for path in (f"/chat/{session.public_id}/delete", f"/chat/{session.public_id}/rename", "/keys/1/revoke"):
        assert page.get(path).status_code == 405


# --- Chat ------------------------------------------------------------------------------------------------------------
def test_a_question_is_answered_and_shows_what_it_cost(
    page: Client, world: World, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)
    answer = ask(page)
    assert answer.status_code == 302
    words = text_of(page.get(answer["Location"].partition("#")[0]))
    assert "Say hello" in words
    assert "Hello there doubao-pro 1,500 quota ≈ ¥ 0.0219" in words
    assert "Left 998,500 ≈ ¥ 14.58" in words
    assert world.usage().quota == 1500
    books_agree()


def test_a_form_sent_twice_asks_once(page: Client, world: World) -> None:
    world.give(1_000_000)
    first, second = ask(page), ask(page)
    assert first["Location"] == second["Location"]
    assert len(world.upstream.asked) == 1


def test_a_conversation_goes_on(page: Client, world: World) -> None:
    world.give(1_000_000)
    address = ask(page)["Location"].partition("#")[0]
    ask(page, address, content="And now?", intent=INTENT[::-1])
    assert [message["content"] for message in world.upstream.asked[1].body["messages"]] == [
        "Say hello",
        "Hello there",
        "And now?",
    ]
    assert 'aria-current="page">Say hello</a>' in page.get(address).content.decode()


def test_without_quota_the_page_leads_to_recharging_and_keeps_the_question(page: Client, world: World) -> None:
    answer = ask(page, content="An expensive question")
    assert answer.status_code == 402
    assert "Your quota does not cover this question" in text_of(answer)
    assert 'href="/recharge"' in answer.content.decode()
    assert ">An expensive question</textarea>" in answer.content.decode()
    assert not ChatMessage.objects.exists()


def test_a_model_that_fails_is_said_in_words_and_costs_nothing(page: Client, world: World) -> None:
    world.give(1_000_000)
    world.upstream.otherwise = fails(500, "kaputt at 10.0.0.1")
    answer = page.get(ask(page)["Location"].partition("#")[0])
    assert "Say hello" in text_of(answer)
    assert "The model did not answer; nothing was charged" in text_of(answer)
    assert "kaputt" not in text_of(answer)
    assert world.wallet.balance == 1_000_000


@pytest.mark.parametrize(
    ("changes", "status"),
    sampled(
        [
            ({"content": ""}, 400),
            ({"content": "x" * 32_001}, 400),
            ({"content": "a\0b"}, 400),
            ({"intent": "x"}, 400),
            ({"model": "nobody-knows-it"}, 404),
            ({"model": "auto:magic"}, 400),
        ],
        keep=3,
    ),
)
def test_a_wrong_form_changes_nothing_and_says_why(
    page: Client, world: World, changes: dict[str, str], status: int
) -> None:
    world.give(1_000_000)
    answer = ask(page, **changes)
    assert answer.status_code == status
    assert 'role="alert"><p class="notice bad">' in answer.content.decode()
    assert not ChatMessage.objects.exists()
    assert world.upstream.asked == []


def test_too_many_questions_have_to_wait(page: Client, world: World, settings: Any) -> None:
    settings.CHAT_RATE_LIMIT = "1 per minute"
    world.give(1_000_000)
    assert ask(page).status_code == 302
    answer = ask(page, intent=INTENT[::-1])
    assert answer.status_code == 429
    assert "try again later" in text_of(answer)


def test_I10_what_people_and_models_write_is_text(page: Client, world: World) -> None:
    world.give(1_000_000)
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' </textarea>"
    world.upstream.otherwise = chat(text=evil)
    address = ask(page, content=evil)["Location"].partition("#")[0]
    body = page.get(address).content.decode() + page.get("/chat", {"content": evil}).content.decode()
    assert "<script>alert" not in body
    assert "<img src=x" not in body
    assert body.count("&lt;script&gt;") >= 5


def test_the_prices_are_in_plain_words(page: Client) -> None:
    words = text_of(page.get("/chat"))
    assert "what 1,000 tokens cost" in words
    assert "doubao-pro 50,000 quota ≈ ¥0.73 " in words
    assert "You have no quota yet." in words


def test_without_a_provider_the_page_says_so(page: Client, world: World) -> None:
    world.credential.delete()
    answer = page.get("/chat")
    assert "Nobody can answer yet" in text_of(answer)
    assert "<textarea" not in answer.content.decode()


def test_conversations_are_listed_by_age_and_can_be_renamed_and_deleted(page: Client, world: World) -> None:
    now = timezone.now()
    old = session_of(world.user, "An old one", last=now - timedelta(days=40))
    new = session_of(world.user, "A new one", last=now)
    assert re.search("Today A new one Earlier An old one", text_of(page.get("/chat")))
    assert post(page, f"/chat/{new.public_id}/rename", title=" Better <b> ")["Location"] == f"/chat/{new.public_id}"
    assert "Better <b>" in text_of(page.get(f"/chat/{new.public_id}"))
    assert post(page, f"/chat/{old.public_id}/delete")["Location"] == "/chat"
    assert list(ChatSession.objects.values_list("pk", flat=True)) == [new.pk]


def test_a_stopped_answer_says_so_and_whether_its_price_is_known(page: Client, world: World) -> None:
    session = session_of(world.user)
    long_ago = clock.now() - timedelta(minutes=1)
    for number, (quota, ended) in enumerate(((None, "stopped"), (700, "broken"), (0, ""))):
        facts = {"public_id": f"m{number}", "session": session, "role": "assistant", "ended": ended, "alive": long_ago}
        ChatMessage.objects.create(**facts, content=f"Half {number}", complete=False, quota=quota)
    ChatMessage.objects.create(public_id="m9", session=session, role="assistant", content="More", complete=False)
    words = text_of(page.get(f"/chat/{session.public_id}"))
    assert "Half 0 Stopped" in words
    assert "Half 1 Broken off" in words
    assert "Half 2 Broken off" in words
    assert "More Still answering" in words
    assert words.count("The cost follows") == 4  # two of them hidden
    assert "700 quota" in words


def test_a_long_conversation_is_shown_in_pages(page: Client, world: World) -> None:
    session = session_of(world.user)
    messages = [ChatMessage(public_id=f"m{n}", session=session, role="user", content=f"no {n}.") for n in range(130)]
    ChatMessage.objects.bulk_create(messages)
    newest, older = (text_of(page.get(f"/chat/{session.public_id}?page={number}")) for number in (1, 2))
    assert "no 129." in newest
    assert "no 29." not in newest
    assert "Earlier messages" in newest
    assert "no 29." in older
    assert "Later messages" in older


# --- Keys ------------------------------------------------------------------------------------------------------------
def test_a_key_is_shown_once_with_an_example_that_works_with_it(page: Client, world: World) -> None:
    answer = post(page, "/keys", name="  my   notebook ")
    assert (answer.status_code, answer["Location"]) == (302, "/keys")
    shown = page.get("/keys")
    text = re.search(r"sk-[0-9a-f]{48}", shown.content.decode())
    assert text is not None
    key = ApiKey.objects.get()
    assert (key.digest, key.name) == (ApiKey.digest_of(text[0]), "my notebook")
    assert f'api_key="{text[0]}"' in html.unescape(shown.content.decode())
    assert f"/v1/chat/completions \\\n  -H &quot;Authorization: Bearer {text[0]}" in shown.content.decode().replace(
        '"', "&quot;"
    )
    assert "no-store" in shown["Cache-Control"]
    again = page.get("/keys").content.decode()
    assert text[0] not in again
    assert key.shown in again


def test_reloading_the_page_that_shows_a_key_makes_no_other(page: Client, world: World) -> None:
    """A browser that reloads repeats the last request of the chain."""
    page.get("/keys")
    form = {"name": "notebook", "csrfmiddlewaretoken": page.cookies["csrftoken"].value}
    last = page.post("/keys", form, follow=True).request["REQUEST_METHOD"]
    page.generic(last, "/keys", urlencode(form), content_type="application/x-www-form-urlencoded")
    assert ApiKey.objects.count() == 1


def test_the_text_of_a_key_rests_nowhere_in_the_clear_and_nowhere_once_it_was_shown(page: Client, world: World) -> None:
    post(page, "/keys", name="notebook")
    kept = dict(page.session)
    page.head("/keys")
    assert dict(page.session) == kept
    text = re.search(r"sk-[0-9a-f]{48}", page.get("/keys").content.decode())
    assert text is not None
    assert text[0] not in str(kept)
    assert set(kept) - set(page.session.keys()) == {"new-api-key"}
    post(page, "/keys", name="another")
    revoke_api_key(world.user, ApiKey.objects.latest("pk").pk)
    assert not re.search(r"sk-[0-9a-f]{48}", page.get("/keys").content.decode())


def test_a_revoked_key_is_gone(page: Client, world: World) -> None:
    key, _text = create_api_key(world.user, "old")
    assert post(page, f"/keys/{key.pk}/revoke")["Location"] == "/keys"
    words = text_of(page.get("/keys"))
    assert "The key is revoked." in words
    assert "No keys yet" in words
    assert post(page, f"/keys/{key.pk}/revoke").status_code == 404
    assert not revoke_api_key(world.user, key.pk)


LIMITS = {
    "quota": "5000", "period": "week", "rpm": "60", "tpm": "9000", "until": "2099-12-31",
    "models": "doubao-pro，claude-*", "addresses": "203.0.113.7/24 2001:db8::1",
}  # fmt: skip


def test_a_keys_limits_are_made_shown_and_changed(page: Client, world: World) -> None:
    assert post(page, "/keys", name="laptop", **LIMITS).status_code == 302
    words = text_of(page.get("/keys"))
    for word in ("0 of 5,000 per week used", "60 calls per minute", "until 2099-12-31", "doubao-pro, claude-*"):
        assert word in words
    key = ApiKey.objects.get(name="laptop")
    shown = page.get(f"/keys/{key.pk}").content.decode()
    for value in ("laptop", "5000", "2099-12-31", "doubao-pro, claude-*", "203.0.113.0/24, 2001:db8::1/128"):
        assert f'value="{value}"' in shown
    ends = key.expires_at
    assert post(page, f"/keys/{key.pk}", **LIMITS, name="desk")["Location"] == "/keys"
    key.refresh_from_db()
    assert (key.name, key.expires_at, key.model_names) == ("desk", ends, ["doubao-pro", "claude-*"])
    assert post(page, f"/keys/{key.pk}", name="desk").status_code == 302
    key.refresh_from_db()
    assert limits_of(key) == UNLIMITED


def test_limits_that_cannot_be_kept_are_said_beside_what_was_typed(page: Client, world: World) -> None:
    key, _ = create_api_key(world.user, "k")
    for name, value in {
        "quota": "0", "rpm": "many", "until": "2001-01-01", "models": "ok *****", "addresses": "1.2.3.4/99",
        "period": "year",
    }.items():  # fmt: skip
        for path in ("/keys", f"/keys/{key.pk}"):
            answer = post(page, path, **{"name": "k", name: value})
            shown = answer.content.decode()
            assert (answer.status_code, 'class="error" role="alert"' in shown) == (400, True), (path, name)
            assert name == "period" or f'value="{value}"' in shown
    key.refresh_from_db()
    assert (ApiKey.objects.count(), limits_of(key)) == (1, UNLIMITED)


def test_I1_another_users_key_cannot_be_seen_or_changed(page: Client, other_user: User, world: World) -> None:
    key, _ = create_api_key(other_user, "theirs")
    assert page.get(f"/keys/{key.pk}").status_code == post(page, f"/keys/{key.pk}", name="mine").status_code == 404


@pytest.mark.parametrize("name", sampled(["", "   ", "x" * 65, "a\0b"], keep=2))
def test_a_key_needs_a_name(page: Client, name: str) -> None:
    answer = post(page, "/keys", name=name)
    assert answer.status_code == 400
    assert "Give the key a name of at most 64 characters." in text_of(answer)
    assert not ApiKey.objects.exists()


def test_nobody_has_too_many_keys(page: Client, world: World) -> None:
    for number in range(KEYS_PER_USER):
        create_api_key(world.user, f"no {number}")
    answer = post(page, "/keys", name="one more")
    assert answer.status_code == 409
    assert "You have 50 keys." in text_of(answer)


# --- Usage -----------------------------------------------------------------------------------------------------------
def test_usage_is_summed_and_filtered(page: Client, world: World) -> None:
    used(world.user, 1)
    used(world.user, 2, days_ago=3, model_name="gpt-4", quota=500, outcome="abandoned", usage_source="estimate")
    used(world.user, 3, days_ago=20, quota=7, outcome="failed")
    used(world.user, 4, days_ago=60, quota=1_000_000)
    assert "Used 2,007 ≈ ¥ 0.0293 Calls 3 " in text_of(page.get("/usage")).replace("¥0", "¥ 0")
    assert "Calls 2 " in text_of(page.get("/usage?days=7"))
    assert "Used 1,002,007" in text_of(page.get("/usage?days=90"))
    words = text_of(page.get("/usage?days=90&model=gpt-4"))
    assert "Used 500" in words
    assert "Stopped" in words
    assert 'href="/usage.csv?days=90&amp;model=gpt-4"' in page.get("/usage?days=90&model=gpt-4").content.decode()


@pytest.mark.parametrize(
    "query", sampled(["days=0", "days=x", "days=30000", "page=x", "page=99", f"model={'x' * 200}", "days="], keep=3)
)
def test_a_strange_address_shows_a_page(page: Client, world: World, query: str) -> None:
    used(world.user, 1)
    assert page.get(f"/usage?{query}").status_code == 200
    assert page.get(f"/usage.csv?{query}").status_code == 200


def test_a_name_in_the_file_of_calls_is_no_formula(page: Client, world: World) -> None:
    for number, name in enumerate(("=HYPERLINK(A1)", "+1", "-2+3", "@SUM(A1)")):
        used(world.user, number, model_name=name)
    lines = page.get("/usage.csv").getvalue().decode("utf-8-sig").splitlines()
    assert [line.split(",")[2] for line in reversed(lines[1:])] == ["'=HYPERLINK(A1)", "'+1", "'-2+3", "'@SUM(A1)"]


def test_many_calls_are_shown_in_pages_that_keep_the_filter(page: Client, world: World) -> None:
    for number in range(45):
        used(world.user, number)
    answer = page.get("/usage?days=7&model=doubao-pro&page=2")
    assert "Page 2 of 3" in text_of(answer)
    assert "?page=3&amp;days=7&amp;model=doubao-pro" in answer.content.decode()


def test_the_picture_has_the_same_figures_as_a_table(page: Client, world: World) -> None:
    used(world.user, 1)
    used(world.user, 2, model_name="gpt-4", quota=500)
    answer = page.get("/usage?days=7")
    today = timezone.localdate()
    assert f"{today:%Y-%m-%d} 1,500 500" in text_of(answer)
    assert answer.content.decode().count("<rect") == 2
    assert f"<title>{today:%m-%d} doubao-pro 1,500</title>" in answer.content.decode()


def test_the_file_has_every_call_of_the_period(page: Client, world: World) -> None:
    used(world.user, 1)
    used(world.user, 2, days_ago=40)
    answer = page.get("/usage.csv?days=30")
    lines = answer.getvalue().decode("utf-8-sig").splitlines()
    assert lines[0].startswith("time,request_id,model,operation,input_tokens,output_tokens,quota")
    assert len(lines) == 2
    assert ",req_1,doubao-pro,chat,10,20,1500,ok,0" in lines[1]
    assert answer["Content-Disposition"] == 'attachment; filename="usage-30-days.csv"'


def test_a_period_without_calls_can_be_left(page: Client, world: World) -> None:
    used(world.user, 1, days_ago=20)
    words = text_of(page.get("/usage?days=7&model=gpt-4"))
    assert "Nothing was used in this period" in words
    assert "All models gpt-4 Show" in words


def test_nothing_used_yet_leads_to_the_chat(page: Client) -> None:
    answer = page.get("/usage")
    assert "Nothing used yet" in text_of(answer)
    assert 'class="button primary" href="/chat"' in answer.content.decode()


def test_bars_are_as_high_as_their_share_and_small_ones_are_seen() -> None:
    today = date(2026, 3, 10)
    rows = [
        {"day": "2026-03-10", "model": "a", "quota": 4000},
        {"day": "2026-03-10", "model": "b", "quota": 1},
        {"day": "2026-03-09", "model": "b", "quota": 2000},
        {"day": "2026-01-01", "model": "a", "quota": 9_999_999},
    ]
    drawn = chart.by_day_and_model(rows, 7, today)
    heights = {bar.title: bar.height for bar in drawn.bars}
    assert heights["03-10 a 4,000"] == pytest.approx(2 * heights["03-09 b 2,000"], abs=1)
    assert heights["03-10 b 1"] == 1
    assert max(bar.x + bar.width for bar in drawn.bars) <= drawn.canvas.end
    assert min(bar.y for bar in drawn.bars) >= 0


def test_many_models_share_the_last_colour() -> None:
    today = date(2026, 3, 10)
    rows = [{"day": "2026-03-10", "model": f"m{number}", "quota": 100 - number} for number in range(9)]
    drawn = chart.by_day_and_model(rows, 7, today)
    assert [colour for colour, _model, _total in drawn.legend] == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert sum(int(total) for _colour, _model, total in drawn.legend) == sum(row["quota"] for row in rows)


@pytest.mark.parametrize(
    ("quota", "text"),
    [
        (0, "0.00"),
        (1, "<0.0001"),
        (7, "0.0001"),
        (1500, "0.0219"),
        (10_000, "0.146"),
        (68_494, "1.00"),
        (5_000_000, "73.00"),
        (10**9, "14,600.00"),
    ],
)
def test_small_amounts_are_said_exactly_enough(quota: int, text: str) -> None:
    assert in_yuan(quota, Fraction(73, 5_000_000)) == text
