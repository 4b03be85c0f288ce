"""Which passwords are refused, and which are nobody's business."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import translation

from sandbox.pwned import STOLEN
from tests.operators import browser_of, clerk
from voicehelper.accounts import breaches
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

# Of those the stand-in knows what Django's list of common ones does not.
OTHERS = [password for password in STOLEN if password != "P@ssw0rd"]
OWN = {"new_password1": "quite another password", "new_password2": "quite another password"}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def refused(password: str) -> str:
    try:
        validate_password(password)
    except ValidationError as error:
        return str(error.error_list[0].code)
    return ""


@pytest.mark.parametrize(
    "password",
    [
        *("VoiceHelper#2026", "v01ceHe1per!!", "my ＷｅＣｈａｔ pass", "we-chat-4-ever", "alipay_is_mine"),
        *("支付宝密码就是这个", "微信真的很好用呀"),
    ],
)  # fmt: skip
def test_names_of_ours_and_of_the_platforms_are_in_no_password(password: str) -> None:
    assert refused(password) == "password_names_us"


def test_the_sites_name_and_what_the_deployer_lists_are_in_no_password(settings: Any) -> None:
    settings.SERVER_ADDRESS, settings.PASSWORD_WORDS = "https://pay.goldfinch.example", ["Acme Voice", "AI"]
    assert refused("goldfinch-7781-x") == "password_names_us"
    assert refused("AcmeVoice-7781-x") == "password_names_us"
    # What is shorter than a word stands in too many others.
    assert refused("pairs of tailor chairs") == ""


@pytest.mark.parametrize(
    "password",
    [
        *("19870612", "12061987", "06121987", "13912345678", "8613912345678"),
        *("mnopqrst", "zyxwvuts", "zzzzzzzzz", "qx7qx7qx7"),
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    assert refused(password) == "password_pattern"


@pytest.mark.parametrize(
    "password", ["68113902", "      x  y", "一二三四五六七九", "nothing but letters", "#%&*(!)?", "🐢🐘🦊🐝🐢🦊🐘🐘"]
)
def test_any_characters_make_a_password(password: str) -> None:
    assert refused(password) == ""


# --- Stolen elsewhere ------------------------------------------------------------------------------------------------
@pytest.fixture
def pwned(live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PWNED_PASSWORDS_URL = f"{live_server.url}/sandbox/pwned"
    monkeypatch.setattr(breaches, "_resting_until", 0.0)


@pytest.mark.django_db(transaction=True)
def test_a_stolen_password_is_refused_and_said_why(pwned: None) -> None:
    for password in OTHERS:
        assert refused(password) == "password_breached"
    assert refused("correct horse battery stapler") == ""
    new = {"username": "newcomer", "password1": "sunshine-and-rain-1987", "password2": "sunshine-and-rain-1987"}
    page = Client(headers={"accept-language": "en"}).post("/accounts/sign-up", new)
    assert "stolen from another site" in page.text
    assert not User.objects.exists()


def test_the_answer_is_read_as_published() -> None:
    """As in the API's documentation, for the password it shows."""
    assert hashlib.sha1(b"P@ssw0rd").hexdigest().upper().startswith("21BD1")
    answer = "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n2DC183F740EE76F27B78EB39C8AD972A757:52579\r\n012A7CA35754:0"
    assert breaches._count_in(answer, "2DC183F740EE76F27B78EB39C8AD972A757") == 52579
    assert breaches._count_in(answer, "012A7CA35754") == 0
    assert breaches._count_in(answer, "FFFF") == 0


@pytest.mark.django_db(transaction=True)
def test_five_digits_leave_and_the_length_of_the_answer_tells_nothing(
    pwned: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []
    send = breaches._CLIENT.send

    def seen(method: str, url: str, **asked: Any) -> Any:
        answer = send(method, url, **asked)
        sent.append((url.rpartition("/range/")[2], answer.body.count(b"\n")))
        return answer

    monkeypatch.setattr(breaches._CLIENT, "send", seen)
    breaches.is_known("P@ssw0rd")
    breaches.is_known("a quiet evening by the lake")
    assert [len(prefix) for prefix, _lines in sent] == [5, 5]
    assert len({lines for _prefix, lines in sent}) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "{server}/sandbox/no-such-thing"])
@pytest.mark.django_db(transaction=True)
def test_without_an_answer_nobody_is_kept_from_signing_up_or_made_to_wait(
    pwned: None, live_server: Any, settings: Any, address: str
) -> None:
    settings.PWNED_PASSWORDS_URL = address.format(server=live_server.url)
    started = time.monotonic()
    assert [refused(password) for password in OTHERS] == ["", ""]
    assert time.monotonic() - started < 2
    # It is left alone for a minute: not even asked when it is back.
    settings.PWNED_PASSWORDS_URL = f"{live_server.url}/sandbox/pwned"
    assert refused("correct horse battery staple") == ""


# --- Typed by an operator --------------------------------------------------------------------------------------------
def given(user: User, by: User, password: str = "typed by an operator") -> None:
    asked = {"password1": password, "password2": password, "usable_password": "true"}
    answer = browser_of(by).post(f"/admin/accounts/user/{user.pk}/password/", asked)
    assert answer.status_code == 302, answer.text
    user.refresh_from_db()


def with_password(name: str, password: str = "typed by an operator") -> Client:
    client = Client(headers={"accept-language": "en"})
    assert client.post("/accounts/sign-in", {"username": name, "password": password}).status_code == 302
    return client


def test_a_password_an_operator_typed_is_changed_before_anything_else(buyer: User, staff: User) -> None:
    given(buyer, staff)
    client = with_password("buyer")
    for path in ("/recharge", "/chat", "/accounts/devices", "/accounts/data"):
        assert client.get(path)["Location"] == f"/accounts/password?next={path}"
    assert client.get("/api/user/self").status_code == 403
    assert "an operator knows this one" in client.get("/accounts/password").text
    assert client.post("/accounts/password", {"old_password": "typed by an operator"} | OWN).status_code == 302
    assert client.get("/recharge").status_code == 200
    assert with_password("buyer", OWN["new_password1"]).get("/recharge").status_code == 200


def test_a_program_gets_no_token_for_it(buyer: User, staff: User) -> None:
    given(buyer, staff)
    asked = {"username": "buyer", "password": "typed by an operator"}
    answer = Client().post("/api/auth/login", asked, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "password_given")


def test_a_new_user_of_an_operator_chooses_too(staff: User) -> None:
    password = "typed by an operator"
    asked = {"username": "colleague", "password1": password, "password2": password, "group": "default"}
    assert browser_of(staff).post("/admin/accounts/user/add/", asked).status_code == 302
    assert with_password("colleague").get("/recharge")["Location"].startswith("/accounts/password")


def test_who_signs_in_another_way_or_changes_their_own_is_not_asked(buyer: User, staff: User) -> None:
    given(buyer, staff)
    assert browser_of(buyer).get("/recharge").status_code == 200
    given(staff, staff)
    assert not staff.password_given
    assert with_password("operator").get("/recharge").status_code == 200


def test_the_second_step_comes_before_the_choice(settings: Any, staff: User) -> None:
    settings.STAFF_SECOND_FACTOR = True
    User.objects.filter(pk=clerk("view_user").pk).update(password_given=True)
    client = Client(headers={"accept-language": "en"})
    asked = {"username": "helper", "password": "a long operator password"}
    assert client.post("/accounts/sign-in", asked).status_code == 302
    assert client.get("/admin/")["Location"].startswith("/accounts/two-steps")
    assert client.get("/accounts/two-steps").status_code == 200
