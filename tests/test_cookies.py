"""Names of cookies where there is TLS, and what becomes of those without."""

from typing import Any

import pytest
from django.test import Client

from tests.operators import browser_of
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

OURS = ("sessionid", "csrftoken", "django_language")


@pytest.fixture
def prefixed(settings: Any) -> None:
    """As settings.py has it where SERVER_ADDRESS is https."""
    settings.COOKIE_PREFIX = "__Host-"
    for setting, name in zip(("SESSION", "CSRF", "LANGUAGE"), OURS, strict=True):
        setattr(settings, f"{setting}_COOKIE_NAME", f"__Host-{name}")
        setattr(settings, f"{setting}_COOKIE_SECURE", True)


def from_before(user: User, settings: Any) -> Client:
    """A browser that was signed in with before cookies had a prefix."""
    client = Client(headers={"accept-language": "en"}, enforce_csrf_checks=True)
    session = browser_of(user).cookies[settings.SESSION_COOKIE_NAME].value
    client.cookies["sessionid"], client.cookies["csrftoken"] = session, "t" * 32
    return client


def test_all_are_bound_to_this_host(prefixed: None, buyer: User) -> None:
    client = Client()
    client.get("/accounts/sign-in")
    client.post("/i18n/setlang/", {"language": "en"})
    client.post("/accounts/sign-in", {"username": "buyer", "password": "a long buyer password"})
    client.post("/accounts/devices", {"password": "a long buyer password"})
    assert set(client.cookies) >= {f"__Host-{name}" for name in (*OURS, "returning", "device", "messages")}
    for name, cookie in client.cookies.items():
        assert (name[:7], cookie["secure"], cookie["path"], cookie["domain"]) == ("__Host-", True, "/", ""), name


def test_nobody_is_signed_out_by_the_upgrade(prefixed: None, buyer: User, settings: Any) -> None:
    client = from_before(buyer, settings)
    form = {"password": "a long buyer password", "csrfmiddlewaretoken": "t" * 32}
    assert client.get("/accounts/devices").status_code == 200
    # Both names from now on: a node of the release before knows the other.
    assert client.cookies["__Host-sessionid"].value == client.cookies["sessionid"].value
    assert client.cookies["__Host-sessionid"]["httponly"] is True
    assert client.post("/accounts/devices", form).status_code == 302


def test_signing_out_ends_it_under_both_names(prefixed: None, buyer: User, settings: Any) -> None:
    client = from_before(buyer, settings)
    client.get("/accounts/devices")
    assert client.post("/accounts/sign-out", {"csrfmiddlewaretoken": "t" * 32}).status_code == 302
    assert client.get("/accounts/devices").status_code == 302
    assert not client.cookies["sessionid"].value


def test_ours_wins_over_the_former(prefixed: None, buyer: User, other_user: User, settings: Any) -> None:
    client = from_before(other_user, settings)
    client.cookies["__Host-sessionid"] = browser_of(buyer).cookies["__Host-sessionid"].value
    assert "buyer" in client.get("/accounts/devices").text


def test_signing_out_leaves_nothing_in_the_browser(buyer: User, staff: User) -> None:
    for path, user in (("/accounts/sign-out", buyer), ("/admin/logout/", staff)):
        client = browser_of(user)
        assert client.post(path)["Clear-Site-Data"] == '"cache", "storage"'
        assert "Clear-Site-Data" not in client.get("/accounts/sign-in")
