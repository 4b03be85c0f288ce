"""Where one is signed in: what is shown, and what ends."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

from tests.operators import browser_of
from voicehelper import clock
from voicehelper.accounts import sessions
from voicehelper.accounts.models import AccessToken, BrowserSession, User
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db

DEVICES, PASSWORD = "/accounts/devices", "a long buyer password"
PROOF = {"password": PASSWORD}
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def signed_in(client: Client) -> bool:
    return client.get("/accounts/password").status_code == 200


def call(token: str) -> int:
    return int(APIClient(headers={"Authorization": f"Bearer {token}"}).get("/api/user/self").status_code)


def other(user: User, **facts: Any) -> tuple[Client, BrowserSession]:
    """Another browser of the user's, which was seen."""
    client = browser_of(user)
    client.get("/accounts/password", **facts)
    return client, BrowserSession.objects.latest("pk")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME, "Chrome on Windows"),
        (f"{CHROME} Edg/142.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15", "Safari on Mac"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) MicroMessenger/8.0.50", "WeChat on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/122.0 Mobile Safari/537.36 MicroMessenger/8", "WeChat on Android"),
        ("curl/8.5.0", "A browser we do not know"),
        ("", "A browser we do not know"),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_plain_words(agent: str, words: str) -> None:
    assert sessions.device_of(agent) == words


def test_the_page_lists_browsers_and_programs_and_marks_this_one(buyer: User, other_user: User) -> None:
    other(buyer, headers={"user-agent": CHROME}, REMOTE_ADDR="203.0.113.9")
    other(other_user, REMOTE_ADDR="198.51.100.7")
    issue_token(buyer)
    page = browser_of(buyer).get(DEVICES)
    assert [(each["words"], each["here"]) for each in page.context["browsers"]] == [
        ("A browser we do not know", True),
        ("Chrome on Windows", False),
    ]
    assert "203.0.113.9" in page.text
    assert "198.51.100.7" not in page.text
    assert len(page.context["tokens"]) == 1
    # A session's key signs in: it is in no page.
    assert not any(key in page.text for key in Session.objects.values_list("session_key", flat=True))


def test_a_browser_and_a_program_are_ended_alone(buyer: User) -> None:
    here, (there, row), tokens = browser_of(buyer), other(buyer), [issue_token(buyer), issue_token(buyer)]
    assert here.post(f"/accounts/devices/{row.pk}/end", PROOF).status_code == 302
    assert not signed_in(there)
    assert signed_in(here)
    first = AccessToken.objects.earliest("pk")
    assert here.post(f"/accounts/tokens/{first.pk}/end", PROOF).status_code == 302
    assert [call(token) for token in tokens] == [401, 200]
    page = here.get(DEVICES)
    assert (len(page.context["browsers"]), len(page.context["tokens"])) == (1, 1)


def test_N5_a_single_one_is_ended_by_the_password_only(buyer: User) -> None:
    here, (there, row), token = browser_of(buyer), other(buyer, headers={"user-agent": CHROME}), issue_token(buyer)
    browser, program = f"/accounts/devices/{row.pk}/end", f"/accounts/tokens/{AccessToken.objects.get().pk}/end"
    assert "Chrome on Windows" in here.get(browser).text
    for path in (browser, program):
        assert "required" in here.post(path).text
        assert "not your password" in here.post(path, {"password": "wrong"}).text
    assert (signed_in(there), call(token)) == (True, 200)


def test_who_has_no_password_ends_others_soon_after_signing_in(buyer: User) -> None:
    buyer.set_unusable_password()
    buyer.save()
    here, (there, row) = browser_of(buyer), other(buyer)
    assert here.post(f"/accounts/devices/{row.pk}/end").status_code == 302
    assert not signed_in(there)
    assert here.post(DEVICES).status_code == 302
    assert signed_in(here)


def test_N1_nobody_ends_what_is_somebody_elses(buyer: User, other_user: User) -> None:
    there, row = other(buyer)
    token = issue_token(buyer)
    stranger = browser_of(other_user)
    mine = {"password": "a long stranger password"}
    for path in (f"/accounts/devices/{row.pk}/end", f"/accounts/tokens/{AccessToken.objects.get().pk}/end"):
        assert stranger.get(path).status_code == 404
        assert stranger.post(path, mine).status_code == 404
    assert Client().post(f"/accounts/devices/{row.pk}/end").status_code == 302
    assert signed_in(there)
    assert call(token) == 200


def test_N5_ending_all_others_wants_the_password_and_ends_also_what_was_never_seen(buyer: User) -> None:
    here, (there, _row), token = browser_of(buyer), other(buyer), issue_token(buyer)
    unseen = browser_of(buyer)
    assert "not your password" in here.post(DEVICES, {"password": "wrong"}).text
    assert signed_in(there)
    assert here.post(DEVICES, {"password": PASSWORD}).status_code == 302
    assert (signed_in(there), signed_in(unseen), call(token)) == (False, False, 401)
    assert signed_in(here)
    page = here.get(DEVICES)
    assert (len(page.context["browsers"]), len(page.context["tokens"])) == (1, 0)
    assert signed_in(browser_of(User.objects.get(pk=buyer.pk)))


def test_what_has_ended_is_not_listed(buyer: User) -> None:
    (gone, _row), (_expired, row), (_old, _) = other(buyer), other(buyer), other(buyer)
    gone.post("/accounts/sign-out")
    Session.objects.filter(pk=row.session_id).update(expire_date=clock.now())
    here = browser_of(buyer)
    new = {"new_password1": "quite another password", "new_password2": "quite another password"}
    assert here.post("/accounts/password", {"old_password": PASSWORD} | new).status_code == 302
    assert len(here.get(DEVICES).context["browsers"]) == 1


def test_a_browser_is_noted_once_a_minute_and_strangers_never(buyer: User) -> None:
    Client().get("/accounts/sign-in")
    assert not BrowserSession.objects.exists()
    client, row = other(buyer)
    sessions._noted[row.session_id] -= 61
    client.get("/accounts/password", REMOTE_ADDR="203.0.113.10")
    later = BrowserSession.objects.get()
    assert (later.pk, later.address) == (row.pk, "203.0.113.10")
    assert later.created == row.created
    client.get("/accounts/password", REMOTE_ADDR="203.0.113.11")
    assert BrowserSession.objects.get().address == "203.0.113.10"


def test_a_page_that_asks_for_no_session_depends_on_none(db: None) -> None:
    assert "Cookie" not in Client().get("/healthz").get("Vary", "")
    names = settings.MIDDLEWARE
    assert names.index("voicehelper.accounts.middleware.NoteBrowser") > names.index(
        "django.contrib.auth.middleware.AuthenticationMiddleware"
    )
