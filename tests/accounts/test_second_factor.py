"""The second factor: asked for after the password everywhere, good once, obligatory for operators where it is set."""

import hashlib
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import translation
from rest_framework.test import APIClient

from tests.operators import browser_of, clerk
from voicehelper import clock
from voicehelper.accounts import second_factor
from voicehelper.accounts.models import SecondFactor, User
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db

TWO, CODE, PASSWORD = "/accounts/two-steps", "/accounts/code", "a long buyer password"
RIGHT = {"username": "buyer", "password": PASSWORD}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def digits(user: User, steps: int = 0) -> str:
    """What the app shows, so many half minutes from now."""
    totp = second_factor._totp(SecondFactor.objects.get(user=user))
    return totp.generate(int(clock.now().timestamp()) + 30 * steps).decode()


def switch_on(user: User, password: str = PASSWORD) -> tuple[Client, list[str]]:
    """The user's browser, and the codes on paper."""
    client = browser_of(user)
    assert client.post(TWO, {"step": "begin", "password": password}).status_code == 302
    assert "<img" in client.get(TWO).text
    page = client.post(TWO, {"step": "confirm", "code": digits(user, -1)})
    user.refresh_from_db()
    return client, page.context["codes"]


def with_password(client: Client | None = None, **asked: str) -> Client:
    """A browser that gave the right password."""
    client = client or Client(headers={"accept-language": "en"})
    assert client.post("/accounts/sign-in", RIGHT | asked).status_code == 302
    return client


def inside(client: Client) -> bool:
    return client.get("/accounts/password").status_code == 200


def test_codes_are_those_of_rfc_6238(buyer: User) -> None:
    """Appendix B, with the last six of its eight digits."""
    totp = TOTP(b"12345678901234567890", 6, SHA1(), 30)
    assert [totp.generate(moment) for moment in (59, 1111111109, 20000000000)] == [b"287082", b"081804", b"353130"]


def test_after_the_password_nothing_opens_before_the_code(buyer: User) -> None:
    switch_on(buyer)
    client = with_password(next="/recharge/orders")
    for path in ("/recharge", "/accounts/email", TWO, "/chat", "/admin/"):
        answer = client.get(path)
        assert (answer.status_code, unquote(answer["Location"])) == (302, f"{CODE}?next={path}")
    assert client.post("/accounts/email", {"email": "x@example.com", "password": PASSWORD})["Location"] == CODE
    assert client.get("/api/user/self").status_code == 403
    wrong = client.post(CODE, {"code": "000000"})
    assert "not right" in wrong.text
    assert not inside(client)
    before = client.session.session_key
    answer = client.post(f"{CODE}?next=/recharge/orders", {"code": digits(buyer)})
    assert (answer.status_code, answer["Location"]) == (302, "/recharge/orders")
    assert client.session.session_key != before
    assert inside(client)


def test_a_code_is_good_once_and_none_before_it_afterwards(buyer: User) -> None:
    switch_on(buyer)
    used = digits(buyer)
    assert with_password().post(CODE, {"code": used}).status_code == 302
    for code in (used, digits(buyer, -1)):
        assert with_password().post(CODE, {"code": code}).status_code == 200
    assert with_password().post(CODE, {"code": digits(buyer, 1)}).status_code == 302
    assert with_password().post(CODE, {"code": digits(buyer, 3)}).status_code == 200


def test_a_code_on_paper_stands_in_for_the_phone_once(buyer: User) -> None:
    client, codes = switch_on(buyer)
    assert len(set(codes)) == 10
    assert with_password().post(CODE, {"code": codes[0].lower().replace("-", " ")}).status_code == 302
    assert with_password().post(CODE, {"code": codes[0]}).status_code == 200
    assert "left: 9" in client.get(TWO).text
    fresh = client.post(TWO, {"step": "codes", "password": PASSWORD}).context["codes"]
    assert with_password().post(CODE, {"code": codes[1]}).status_code == 200
    assert with_password().post(CODE, {"code": fresh[0]}).status_code == 302


def test_a_code_on_paper_holds_more_than_112_bits(buyer: User) -> None:
    _client, codes = switch_on(buyer)
    assert all(5 * len(code.replace("-", "")) == 120 for code in codes)


def test_a_code_of_the_release_before_is_good_still(buyer: User) -> None:
    switch_on(buyer)
    factor = SecondFactor.objects.get(user=buyer)
    factor.codes.create(digest=hashlib.sha256(b"ABCDEFGHIJKLMNOP").hexdigest())
    assert with_password().post(CODE, {"code": "abcd-efgh-ijkl-mnop"}).status_code == 302
    assert with_password().post(CODE, {"code": "abcd-efgh-ijkl-mnop"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_code_at_once_one_gets_in(buyer: User) -> None:
    _client, codes = switch_on(buyer)
    for code in (digits(buyer), codes[0]):
        request, results = RequestFactory().get("/"), []
        together = threading.Barrier(2)

        def use(code: str = code, results: list[bool] = results, together: threading.Barrier = together) -> None:
            try:
                together.wait(20)
                second_factor.check(request, buyer, code)  # noqa: B023
                results.append(True)
            except second_factor.WrongCode:
                results.append(False)
            finally:
                connection.close()

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, True]


def test_N4_guesses_are_braked_per_user_over_all_browsers(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_factor, "PER_USER", "2 per 10 minutes")
    switch_on(buyer)
    answers = [with_password().post(CODE, {"code": "000000"}, REMOTE_ADDR=f"203.0.113.{n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) > 0
    assert with_password().post(CODE, {"code": digits(buyer)}).status_code == 429


def test_switching_on_signs_everything_else_out(buyer: User) -> None:
    elsewhere, token = browser_of(buyer), issue_token(buyer)
    client, _codes = switch_on(buyer)
    assert inside(client)
    assert not inside(elsewhere)
    assert APIClient(headers={"Authorization": f"Bearer {token}"}).get("/api/user/self").status_code == 401


def test_N5_without_the_password_it_is_neither_switched_on_nor_off(buyer: User) -> None:
    thief = browser_of(buyer)
    thief.post(TWO, {"step": "begin", "password": "wrong"})
    assert not SecondFactor.objects.exists()
    client, _codes = switch_on(buyer)
    for step in ("remove", "codes"):
        assert "not your password" in client.post(TWO, {"step": step, "password": "wrong"}).text
    assert second_factor.is_on(buyer)
    assert client.post(TWO, {"step": "remove", "password": PASSWORD}).status_code == 302
    assert not second_factor.is_on(buyer)
    assert inside(with_password())


def test_N5_what_one_session_begins_another_cannot_see_or_finish(buyer: User) -> None:
    owner, thief = browser_of(buyer), browser_of(buyer)
    owner.post(TWO, {"step": "begin", "password": PASSWORD})
    assert '<img class="qr"' not in thief.get(TWO).text
    thief.post(TWO, {"step": "confirm", "code": digits(buyer)})
    assert not second_factor.is_on(buyer)
    # What was begun alone asks nobody for a code.
    assert inside(with_password())


def test_the_secret_is_encrypted_and_the_codes_are_digests(buyer: User) -> None:
    _client, codes = switch_on(buyer)
    secret = SecondFactor.objects.get().secret.reveal()
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM accounts_secondfactor UNION ALL SELECT digest FROM accounts_recoverycode")
        kept = " ".join(row[0] for row in cursor.fetchall())
    assert secret not in kept
    assert not any(code.replace("-", "") in kept for code in codes)


# --- Programs --------------------------------------------------------------------------------------------------------
def test_a_program_sends_the_code_along(buyer: User) -> None:
    switch_on(buyer)
    without = APIClient().post("/api/auth/login", RIGHT, format="json")
    assert (without.status_code, without.json()["code"]) == (401, "second_factor")
    wrong = APIClient().post("/api/auth/login", RIGHT | {"code": "000000"}, format="json")
    assert wrong.status_code == 401
    right = APIClient().post("/api/auth/login", RIGHT | {"code": digits(buyer)}, format="json")
    assert right.status_code == 200
    assert (
        APIClient(headers={"Authorization": f"Bearer {right.json()['token']}"}).get("/api/user/self").status_code == 200
    )


def test_a_wrong_password_says_nothing_of_a_second_factor(buyer: User, other_user: User) -> None:
    switch_on(buyer)
    wrong = [{"username": name, "password": "x"} for name in ("buyer", "stranger")]
    answers = [APIClient().post("/api/auth/login", each, format="json") for each in wrong]
    assert answers[0].json() == answers[1].json()


# --- Operators -------------------------------------------------------------------------------------------------------
def test_operators_get_nowhere_without_one_where_it_is_obligatory(settings: Any, staff: User, buyer: User) -> None:
    token = issue_token(staff)
    settings.STAFF_SECOND_FACTOR = True
    client = Client(headers={"accept-language": "en"})
    given = {"username": "operator", "password": "a long operator password"}
    client.post("/admin/login/?next=/admin/", given)
    for path in ("/admin/", "/admin/accounts/user/", "/recharge"):
        assert client.get(path)["Location"].startswith(f"{TWO}?next=")
    assert "Operators need a second step" in client.get(TWO).text
    assert client.post("/admin/topup/rechargesettings/1/change/", {})["Location"] == TWO
    # Neither with a token, an old one or a new one.
    assert APIClient(headers={"Authorization": f"Bearer {token}"}).get("/api/user/self").status_code == 401
    assert APIClient().post("/api/auth/login", given, format="json").status_code == 403
    assert inside(browser_of(buyer))
    client, _codes = switch_on(staff, "a long operator password")
    assert client.get("/admin/").status_code == 200
    again = Client(headers={"accept-language": "en"})
    again.post("/admin/login/?next=/admin/", given)
    assert again.get("/admin/")["Location"].startswith(CODE)
    again.post(CODE, {"code": digits(staff)})
    assert again.get("/admin/").status_code == 200


def test_the_front_page_says_where_it_is_off(settings: Any, browser: Client, staff: User) -> None:
    assert "STAFF_SECOND_FACTOR is off" in browser.get("/admin/").text


def test_an_operator_switches_it_off_for_somebody_who_lost_everything(
    browser: Client, buyer: User, staff: User
) -> None:
    switch_on(buyer)
    switch_on(staff, "a long operator password")
    browser.force_login(User.objects.get(pk=staff.pk))
    browser.post(CODE, {"code": digits(staff)})
    helper = browser_of(clerk("view_user", "change_user"))
    reason = {"reason": "showed a passport"}
    helper.post(f"/admin/accounts/user/{staff.pk}/do/remove_factor/", reason)
    assert second_factor.is_on(staff)
    helper.post(f"/admin/accounts/user/{buyer.pk}/do/remove_factor/", reason)
    assert not second_factor.is_on(buyer)


def test_no_page_shows_the_secret_again(buyer: User) -> None:
    client, _codes = switch_on(buyer)
    secret = SecondFactor.objects.get().secret.reveal()
    for path in (TWO, CODE, "/accounts/devices"):
        assert not re.search(secret, client.get(path).text)
