"""Accounts at providers, as operators meet them: write-only keys, rules for addresses, and a test that really calls."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import translation

from llm.models import Credential, Model
from llm.relay import loops
from llm.relay.statistics import Statistics
from tests.conftest import sampled
from tests.operators import browser_of, clerk, errors
from voicehelper.accounts.models import User

from .conftest import World
from .upstream import fails, never, says

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"
KEY = "ark-Zx8Qm2Wv7Kt4Rn6Yb3Pd9Hf5Jg1Sc0La"
LIST = "/admin/llm/credential/"
ADD = f"{LIST}add/"
PUBLIC = "https://ark.cn-beijing.volces.com/api/v3"


@pytest.fixture
def upstream(world: World) -> Iterator[World]:
    """The scripted provider, up on the loop that the test button calls from."""
    loops.run(world.upstream.__aenter__())
    yield world
    loops.run(world.upstream.__aexit__())


def form(**changes: Any) -> dict[str, Any]:
    typed = {"enabled": "on", "name": "main", "provider": "ark", "base_url": PUBLIC, "api_key": ""}
    typed |= {"organization": "", "api_version": "", "timeout_s": "30", "max_retries": "3", "retry_delay_ms": "1000"}
    return typed | changes


def stored(**changes: Any) -> Credential:
    return Credential.objects.create(**{"name": "main", "base_url": PUBLIC, "api_key": KEY} | changes)


def page(row: Credential) -> str:
    return f"{LIST}{row.pk}/change/"


def card_of(browser: Client, row: Credential | None, **changes: Any) -> str:
    """The result card of the test button."""
    url = f"{LIST}{row.pk}/test/" if row else f"{LIST}test/"
    typed = form(**changes)
    response = browser.post(url, typed, headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert "<html" not in response.text
    return response.text


# --- Saving ----------------------------------------------------------------------------------------------------------
def test_an_account_is_made_with_the_password_and_its_key_is_never_shown(browser: Client) -> None:
    assert list(errors(browser.post(ADD, form(api_key=KEY)))) == ["current_password"]
    saved = browser.post(ADD, form(api_key=KEY, current_password=PASSWORD), follow=True)
    assert "Saved successfully" in saved.text
    row = Credential.objects.get()
    assert row.api_key.reveal() == KEY
    assert not row.from_environment
    for shown in (saved.text, browser.get(page(row)).text, browser.get(LIST).text):
        assert KEY not in shown
        assert f"····{KEY[-4:]}" in shown
    log = LogEntry.objects.get()
    assert KEY not in log.change_message + log.object_repr


def test_a_blank_key_is_kept(browser: Client) -> None:
    row = stored()
    assert browser.post(page(row), form(timeout_s="7")).status_code == 302
    row.refresh_from_db()
    assert (row.timeout_s, row.api_key.reveal()) == (7, KEY)


def test_an_empty_address_is_the_providers_own(browser: Client) -> None:
    typed = form(provider="claude", base_url="", api_key=KEY, current_password=PASSWORD)
    assert browser.post(ADD, typed).status_code == 302
    assert Credential.objects.get().base_url == "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("field", "value"),
    sampled(
        [("base_url", "https://ark.example.com/api/v3"), ("base_url", f"{PUBLIC}/x"), ("provider", "openai")], keep=1
    ),
)
def test_I11_a_stored_key_never_goes_to_another_address(browser: Client, field: str, value: str) -> None:
    row = stored()
    refused = browser.post(page(row), form(**{field: value}))
    assert list(errors(refused)) == ["api_key"]
    assert "Enter the key again" in refused.text
    row.refresh_from_db()
    assert (row.provider, row.base_url) == ("ark", PUBLIC)
    other = form(**{field: value, "api_key": "another-key-0123456789", "current_password": PASSWORD})
    assert browser.post(page(row), other).status_code == 302
    row.refresh_from_db()
    assert row.api_key.reveal() == "another-key-0123456789"
    assert getattr(row, field) == value


@pytest.mark.parametrize(
    "address",
    sampled([
        "http://ark.example.com/v1", "ftp://ark.example.com", "https://127.0.0.1/v1", "https://127.1/v1",
        "https://2130706433/v1", "https://0x7f000001/v1", "https://[::1]/v1", "https://[::ffff:10.0.0.1]/v1",
        "https://10.1.2.3/v1", "https://169.254.169.254/latest", "https://0.0.0.0/", "https://localhost/v1",
        "https://metadata.google.internal/v1", "https://redis:6379/", "https://user@ark.example.com/v1",
        "https://user:pw@ark.example.com/v1", "https:///v1", "https://ark.example.com:0/v1", "not an address",
    ], keep=5),
)  # fmt: skip
def test_I11_an_address_of_a_private_network_is_refused(browser: Client, address: str) -> None:
    typed = form(base_url=address, api_key=KEY, current_password=PASSWORD)
    assert list(errors(browser.post(ADD, typed))) == ["base_url"]
    assert not Credential.objects.exists()
    assert "Nothing was called" in card_of(browser, None, base_url=address, api_key=KEY)


def test_what_the_environment_names_is_not_edited_here(browser: Client, settings: Any) -> None:
    settings.LLM_ACCOUNTS = {"ark": (KEY, "")}
    row = stored(from_environment=True)
    typed = form(base_url="https://evil.example.com", api_key="evil", provider="claude", timeout_s="9")
    assert browser.post(page(row), typed).status_code == 302
    row.refresh_from_db()
    assert (row.provider, row.base_url, row.api_key.reveal(), row.timeout_s) == ("ark", PUBLIC, KEY, 9)
    shown = browser.get(page(row)).text
    assert 'name="api_key"' not in shown
    assert 'name="base_url"' not in shown
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    settings.LLM_ACCOUNTS = {}
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 302


def test_an_account_that_models_are_tied_to_is_not_deleted(browser: Client) -> None:
    row = stored()
    Model.objects.create(name="m", provider="ark", provider_model_id="m", capabilities=["chat"], credential=row)
    browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert Credential.objects.filter(pk=row.pk).exists()


def test_switching_an_account_on_asks_for_the_password(browser: Client) -> None:
    row = stored(enabled=False)
    assert list(errors(browser.post(page(row), form()))) == ["current_password"]
    row.refresh_from_db()
    assert not row.enabled


# --- The test button -------------------------------------------------------------------------------------------------
def test_a_good_account_says_so_with_the_call_and_the_time(browser: Client, upstream: World) -> None:
    card = card_of(browser, upstream.credential)
    assert "The connection works" in card
    assert f"POST {upstream.upstream.url}/chat/completions" in card
    assert " ms</dd>" in card
    (asked,) = upstream.upstream.asked
    assert asked.body["max_tokens"] == 1
    assert asked.body["model"] == Model.objects.get(name="doubao-lite").provider_model_id
    assert "Test connection" in LogEntry.objects.get().change_message


FAILURES = [
    (fails(401, "no such key"), "The provider refuses the key.", "wrong or was revoked"),
    (fails(402, "pay"), "overdue or has no credit", "Recharge it there"),
    (says({"error": {"code": "AccountOverdueError", "message": "Overdue."}}, 403), "overdue", "Recharge it there"),
    (fails(403, "no"), "forbids this to the account", "console"),
    (fails(404, "page not found"), "does not find the address, or the model", "usually ends with /v3"),
    (fails(429, "slow down"), "over its rate limit", "Wait a moment"),
    (fails(503, "overloaded"), "The provider itself has trouble.", "Wait a moment"),
    (says(["html"]), "not the provider&#x27;s API", "usually ends with /v3"),
]


@pytest.mark.parametrize(("script", "message", "hint"), sampled(FAILURES, keep=3))
def test_a_failed_test_names_the_mistake(
    browser: Client, upstream: World, script: Any, message: str, hint: str
) -> None:
    upstream.upstream.otherwise = script
    card = card_of(browser, upstream.credential)
    assert "does not work yet" in card
    assert message in card
    assert hint in card
    assert "ark-key" not in card


def test_an_unknown_model_is_told_from_a_wrong_address(browser: Client, upstream: World) -> None:
    missing = {"error": {"code": "InvalidEndpointOrModel.NotFound", "message": "No ep-1."}}
    upstream.upstream.otherwise = says(missing, 404)
    Credential.objects.update(provider="openai")
    card = card_of(browser, upstream.credential, probe_model="ep-1")
    assert "does not know this model id" in card
    assert "No ep-1." in card
    assert upstream.upstream.asked[0].body["model"] == "ep-1"


def test_what_is_typed_is_tried_before_it_is_saved(browser: Client, upstream: World) -> None:
    """A time-out of one second, on an account that has thirty."""
    upstream.upstream.otherwise = never()
    card = card_of(browser, upstream.credential, timeout_s="1")
    assert "No answer within the time limit." in card
    assert "raise the time-out" in card
    upstream.credential.refresh_from_db()
    assert upstream.credential.timeout_s == 30


def test_nothing_listens_there(browser: Client, world: World) -> None:
    world.upstream.socket.close()
    Credential.objects.update(provider="openai")
    card = card_of(browser, world.credential)
    assert "The connection was refused." in card
    assert "Nothing answers at the base URL" in card


def test_I11_the_test_never_sends_a_stored_key_to_what_is_typed(browser: Client) -> None:
    card = card_of(browser, stored(), base_url="https://evil.example.com/api/v3")
    assert "Nothing was called" in card
    assert "Enter the key again" in card


def test_I11_a_name_that_leads_inside_is_refused_when_it_is_called(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import voicehelper.net.addresses

    inside = [(2, ("10.0.0.7", 443))]
    monkeypatch.setattr(voicehelper.net.addresses, "addresses", lambda host, port: inside)
    Model.objects.create(name="m", provider="ark", provider_model_id="m", capabilities=["chat"])
    card = card_of(browser, None, base_url="https://rebind.example.com/api/v3", api_key=KEY)
    assert "The address is refused: nothing was sent." in card
    assert "public Internet" in card


def test_without_a_key_or_a_model_nobody_is_called(browser: Client) -> None:
    Model.objects.all().delete()
    assert "there is no key yet" in card_of(browser, None)
    assert "Say which model to ask for" in card_of(browser, None, api_key=KEY)


def test_testing_wants_a_post_and_the_right_to_change(browser: Client, world: World) -> None:
    url = f"{LIST}{world.credential.pk}/test/"
    assert browser.get(url).status_code == 405
    assert browser.post(f"{LIST}999999/test/", form()).status_code == 404
    client = browser_of(clerk("view_credential"))
    assert client.get(page(world.credential)).status_code == 200
    assert "probe_model" not in client.get(page(world.credential)).text
    for address in (url, f"{LIST}test/", page(world.credential)):
        assert client.post(address, form()).status_code == 403
    assert world.upstream.asked == []


def test_without_javascript_the_result_is_on_the_page_once(browser: Client, upstream: World) -> None:
    address = f"{LIST}{upstream.credential.pk}/test/"
    assert "The connection works" in browser.post(address, form(), follow=True).text
    assert "The connection works" not in browser.get(page(upstream.credential)).text


def test_the_card_speaks_chinese(staff: User, upstream: World) -> None:
    upstream.upstream.otherwise = fails(401, "no such key")
    card = card_of(browser_of(staff, "zh-hans"), upstream.credential)
    translation.deactivate()
    assert "服务商不接受该密钥。" in card
    assert "控制台" in card


# --- How it fares ----------------------------------------------------------------------------------------------------
def test_an_open_circuit_is_said_with_its_end(browser: Client, world: World) -> None:
    async def rest() -> None:
        statistics = Statistics()
        statistics.cool_down(world.credential.pk, 60, said_so=True)
        for failed in (False, False, True):
            statistics.note("doubao-pro", failed=failed, latency_ms=100)
        await statistics.share()
        await statistics.close()

    loops.run(rest())
    for address in (LIST, page(world.credential)):
        shown = browser.get(address).text
        assert "Resting until " in shown
        assert "3 calls, 1 failed in 5 min" in shown
    assert "1 / 1" in browser.get("/admin/").text


def test_a_key_that_no_key_of_ours_opens_is_said(browser: Client, world: World, settings: Any) -> None:
    from cryptography.fernet import Fernet

    settings.SECRET_KEYS = [Fernet.generate_key().decode()]
    assert "No readable key" in browser.get(LIST).text
    assert "The stored key cannot be read." in card_of(browser, world.credential)
