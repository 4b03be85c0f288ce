"""Passkeys: both steps at once, or the second; bound to this site, this session, this user, and good once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as project
from django.db.models.functions import Now
from django.test import Client

from notifications.models import Alert
from tests.accounts.conftest import Post
from tests.accounts.device import ORIGIN, Device, asked, browser, data, register, sign_in, text
from tests.accounts.test_second_factor import inside, switch_on
from tests.operators import browser_of, clerk
from voicehelper import clock
from voicehelper.accounts import passkeys
from voicehelper.accounts.models import Passkey, PasskeyChallenge, User
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db

PASSWORD, STAFF_PASSWORD = "a long buyer password", "a long operator password"
PAGE, SIGN_IN = "/accounts/two-steps", "/accounts/passkeys/sign-in"


def test_a_passkey_alone_signs_in_and_leads_where_one_wanted(buyer: User) -> None:
    device, client = register(buyer, PASSWORD), browser()
    assert "Sign in with a passkey" in client.get("/accounts/sign-in").text
    answer = sign_in(device, client, next="/recharge/orders")
    assert answer.json() == {"next": "/recharge/orders"}
    assert inside(client)
    row = Passkey.objects.get()
    assert (row.transports, row.sign_count, row.last_used_at is not None) == (["internal"], 2, True)
    assert sign_in(device, next="//evil.example/").json() == {"next": "/recharge"}


def test_devices_that_do_not_count_sign_in_again_and_again(buyer: User) -> None:
    device = register(buyer, PASSWORD, Device(counts=False))
    assert [sign_in(device).status_code for _ in range(3)] == [200] * 3


def test_for_operators_it_is_both_steps(settings: Any, staff: User) -> None:
    token = issue_token(staff)
    settings.STAFF_SECOND_FACTOR = True
    client = browser(staff)
    assert client.get("/admin/")["Location"].startswith(PAGE)
    device = register(staff, STAFF_PASSWORD, client=client)
    assert client.get("/admin/").status_code == 200
    fresh = browser()
    assert sign_in(device, fresh, next="/admin/").json() == {"next": "/admin/"}
    assert fresh.get("/admin/").status_code == 200
    # Their programs' tokens are good again, and a password alone makes none.
    assert Client().get("/api/user/self", headers={"authorization": f"Bearer {token}"}).status_code == 200
    given = {"username": "operator", "password": STAFF_PASSWORD}
    assert Client().post("/api/auth/login", json.dumps(given), content_type="application/json").status_code == 403


def test_after_the_password_it_is_the_second_step(settings: Any, staff: User) -> None:
    settings.STAFF_SECOND_FACTOR = True
    device = register(staff, STAFF_PASSWORD, client=browser(staff))
    client = browser()
    client.post("/accounts/sign-in", {"username": "operator", "password": STAFF_PASSWORD})
    assert client.get("/admin/")["Location"].startswith("/accounts/code")
    page = client.get("/accounts/code").text
    assert ("Use your passkey" in page, 'name="code"' in page) == (True, False)
    # Who has but the password adds no key of their own.
    begun = client.post("/accounts/passkeys/begin", {"name": "x", "password": STAFF_PASSWORD})
    assert begun["Location"] == "/accounts/code"
    options = asked(client)
    assert [each["id"] for each in options["allowCredentials"]] == [text(device.id)]
    assert client.post(SIGN_IN, {"credential": device.sign(options)}).status_code == 200
    assert client.get("/admin/").status_code == 200


def test_with_an_app_too_either_does(buyer: User) -> None:
    client, _codes = switch_on(buyer)
    device = register(buyer, PASSWORD, client=as_at_home(client))
    waiting = browser()
    waiting.post("/accounts/sign-in", {"username": "buyer", "password": PASSWORD})
    page = waiting.get("/accounts/code").text
    assert ("Sign in with a passkey" in page, 'name="code"' in page) == (True, True)
    assert sign_in(device, waiting).status_code == 200
    assert inside(waiting)
    alone = browser()
    assert sign_in(device, alone).status_code == 200
    assert inside(alone)


def as_at_home(client: Client) -> Client:
    """The same session, asked at localhost."""
    other = browser()
    other.cookies = client.cookies
    return other


# --- What is refused -------------------------------------------------------------------------------------------------
def refused(answer: Any) -> bool:
    return answer.status_code == 401 and "not accepted" in answer.json()["message"]


def test_a_forged_signature_is_refused(buyer: User) -> None:
    device, stranger = register(buyer, PASSWORD), Device()
    stranger.id, stranger.handle = device.id, device.handle
    assert refused(sign_in(stranger))
    client = browser()
    said = json.loads(device.sign(asked(client)))
    said["response"]["signature"] = text(data(said["response"]["signature"])[:-1] + b"\0")
    assert refused(client.post(SIGN_IN, {"credential": json.dumps(said)}))
    assert not inside(client)


def test_an_answer_is_good_once_and_in_its_own_session(buyer: User) -> None:
    device, client = register(buyer, PASSWORD, Device(counts=False)), browser()
    answer = device.sign(asked(client))
    other = browser()
    asked(other)
    assert refused(other.post(SIGN_IN, {"credential": answer}))
    assert client.post(SIGN_IN, {"credential": answer}).status_code == 200
    for replayed in (client, browser(), other):
        assert replayed.post(SIGN_IN, {"credential": answer}).status_code == 401


def test_a_challenge_ends_after_five_minutes_and_with_the_next_one(buyer: User) -> None:
    device, client = register(buyer, PASSWORD), browser()
    late = device.sign(asked(client))
    PasskeyChallenge.objects.update(created=Now() - timedelta(minutes=5, seconds=1))
    answer = client.post(SIGN_IN, {"credential": late})
    assert (answer.status_code, "five minutes" in answer.json()["message"]) == (401, True)
    first = device.sign(asked(client))
    asked(client)
    assert refused(client.post(SIGN_IN, {"credential": first}))
    # One that was asked for to make a passkey opens nothing.
    mine = browser(buyer)
    options = asked(mine, "begin", name="x", password=PASSWORD) | {"rpId": "localhost"}
    assert mine.post(SIGN_IN, {"credential": device.sign(options)}).status_code == 401


@pytest.mark.parametrize("fault", ["origin", "rp", "not verified"])
def test_what_was_signed_for_another_site_or_without_the_person_is_refused(buyer: User, fault: str) -> None:
    device, client = register(buyer, PASSWORD), browser()
    options = asked(client)
    if fault == "origin":
        device.origin = "https://evil.example"
    if fault == "not verified":
        device.flags = 0x01
    said = device.sign(options, rp_id="evil.example" if fault == "rp" else "")
    assert refused(client.post(SIGN_IN, {"credential": said}))
    assert not inside(client)


def test_anothers_passkey_is_no_second_step_and_no_other_account(buyer: User, other_user: User) -> None:
    device = register(other_user, "a long stranger password")
    mine = register(buyer, PASSWORD)
    switch_on(buyer)
    client = browser()
    client.post("/accounts/sign-in", {"username": "buyer", "password": PASSWORD})
    assert refused(sign_in(device, client))
    assert not inside(client)
    # The account that the device names and the one that the key belongs to must be the same.
    mine.handle = device.handle
    assert refused(sign_in(mine))


def test_a_removed_passkey_signs_nobody_in(buyer: User, other_user: User) -> None:
    device, client = register(buyer, PASSWORD), browser(buyer)
    path = f"/accounts/passkeys/{Passkey.objects.get().pk}"
    assert "phone" in client.get(PAGE).text
    assert browser(other_user).get(path).status_code == 404
    assert browser(other_user).post(path, {"step": "remove"}).status_code == 404
    client.post(path, {"step": "rename", "name": " work \t laptop "})
    assert Passkey.objects.get().name == "work laptop"
    assert "not your password" in client.post(path, {"step": "remove", "password": "wrong"}).text
    assert client.post(path, {"step": "remove", "password": PASSWORD}).status_code == 302
    assert refused(sign_in(device))


def test_a_deactivated_user_is_refused(buyer: User) -> None:
    device = register(buyer, PASSWORD)
    User.objects.update(is_active=False)
    assert refused(sign_in(device))


def test_a_count_that_falls_is_refused_and_told(buyer: User) -> None:
    device = register(buyer, PASSWORD)
    copy_says = device.count
    assert sign_in(device).status_code == 200
    assert not Alert.objects.exists()
    for count in (copy_says, copy_says - 1):
        device.count = count - 1
        assert refused(sign_in(device))
    alert = Alert.objects.get()
    assert (alert.event, alert.level, alert.count) == ("passkey_copied", "critical", 2)
    device.count = 5
    assert sign_in(device).status_code == 200


@pytest.mark.parametrize(
    "sent",
    ["", "x", "[]", "{}", '{"id": 1, "response": {}}', '{"id": "a", "response": {"userHandle": 7}}', "[" * 9999],
)
def test_what_is_no_credential_is_refused(buyer: User, sent: str) -> None:
    client = browser()
    asked(client)
    assert client.post(SIGN_IN, {"credential": sent}).status_code == 401
    mine = browser(buyer)
    asked(mine, "begin", name="x", password=PASSWORD)
    assert mine.post("/accounts/passkeys/add", {"name": "x", "credential": sent}).status_code == 400
    assert not Passkey.objects.exists()


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature", "attestationObject", "rawId"])
def test_half_of_any_part_is_refused(buyer: User, part: str) -> None:
    device = register(buyer, PASSWORD)
    for length in (0, 1, 20, 40):
        client, mine, another = browser(), browser(buyer), Device()
        said = json.loads(device.sign(asked(client)))
        made = json.loads(another.create(asked(mine, "begin", name="x", password=PASSWORD)))
        for each in (said, made):
            place = each if part == "rawId" else each["response"]
            place[part] = str(place.get(part, ""))[:length]
        if part != "attestationObject":
            assert client.post(SIGN_IN, {"credential": json.dumps(said)}).status_code == 401
        if part not in ("authenticatorData", "signature"):
            answer = mine.post("/accounts/passkeys/add", {"name": "x", "credential": json.dumps(made)})
            assert answer.status_code == 400


def test_N4_refused_passkeys_are_braked_per_network_and_per_passkey(
    buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passkeys, "PER_PASSKEY", "2 per 10 minutes")
    device, forger = register(buyer, PASSWORD), Device()
    forger.id = device.id
    assert [sign_in(forger).status_code for _ in range(3)] == [401, 401, 429]
    client = browser()
    answer = client.post(SIGN_IN, {"credential": device.sign(asked(client))})
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    monkeypatch.setattr(passkeys, "CHALLENGES", "1 per 10 minutes")
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
    answers = [browser().post("/accounts/passkeys/ask", REMOTE_ADDR=address).status_code for address in addresses]
    assert answers == [200, 429, 200]


def test_N5_a_stolen_session_adds_no_passkey_without_the_password(buyer: User) -> None:
    thief = browser(buyer)
    for password in ("", "wrong"):
        assert thief.post("/accounts/passkeys/begin", {"name": "x", "password": password}).status_code in (400, 403)
    made = Device().create({"user": {"id": "AAAA"}, "rp": {"id": "localhost"}, "challenge": "AAAA"})
    assert thief.post("/accounts/passkeys/add", {"name": "x", "credential": made}).status_code == 400
    assert not Passkey.objects.exists()
    # Neither does another session finish what the owner began.
    options = asked(browser(buyer), "begin", name="x", password=PASSWORD)
    answer = thief.post("/accounts/passkeys/add", {"name": "x", "credential": Device().create(options)})
    assert answer.status_code == 400


def test_without_any_password_a_fresh_sign_in_or_the_app_is_asked_for(buyer: User) -> None:
    buyer.set_unusable_password()
    buyer.save()
    client = browser(buyer)
    asked(client, "begin", name="x")
    session = client.session
    session["signed_in_at"] = (clock.now() - timedelta(minutes=11)).isoformat()
    session.save()
    answer = client.post("/accounts/passkeys/begin", {"name": "x"})
    assert (answer.status_code, "Sign out and in again" in answer.json()["message"]) == (403, True)
    assert "Sign out and in again" in client.post(PAGE, {"step": "begin"}).text


# --- Where -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ours", "host", "found"),
    [
        ("https://pay.example.com", "pay.example.com", ("pay.example.com", "https://pay.example.com")),
        ("https://pay.example.com:443", "pay.example.com", ("pay.example.com", "https://pay.example.com")),
        ("https://pay.example.com:8443", "pay.example.com:8443", ("pay.example.com", "https://pay.example.com:8443")),
        ("https://支付.example.com", "xn--2vxr1c.example.com", "idn"),
        ("https://pay.example.com", "other.example.com", "https://pay.example.com"),
        ("http://127.0.0.1:8000", "localhost:8000", ("localhost", ORIGIN)),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", ORIGIN),
        ("http://localhost:8000", "localhost:8000", ("localhost", ORIGIN)),
        ("https://203.0.113.9", "203.0.113.9", ""),
    ],
)
def test_passkeys_are_made_for_the_name_the_house_is_known_by(
    settings: Any, rf: Any, ours: str, host: str, found: Any
) -> None:
    settings.SERVER_ADDRESS, settings.ALLOWED_HOSTS = ours, ["*"]
    if found == "idn":
        host = "支付.example.com".encode("idna").decode()
        found = (host, f"https://{host}")
    request = rf.get("/", headers={"host": host})
    assert _place_of(request) == found


def _place_of(request: Any) -> Any:
    """Whom passkeys are made for there, or where they work instead."""
    try:
        site = passkeys.site_of(request)
    except passkeys.NotAtThisAddress as elsewhere:
        return elsewhere.there
    return site.rp_id, site.origin


def test_at_an_address_of_digits_the_pages_say_where_to_go(buyer: User) -> None:
    client = Client(headers={"accept-language": "en", "host": "127.0.0.1:8000"})
    there = project.SERVER_ADDRESS.replace("127.0.0.1", "localhost")
    assert f"{there}/accounts/sign-in" in client.get("/accounts/sign-in").text
    assert client.post("/accounts/passkeys/ask").status_code == 400
    client.force_login(buyer)
    page = client.get(PAGE).text
    assert (f"{there}/accounts/two-steps" in page, "data-passkey=" in page) == (True, False)


# --- Owners and operators learn of it --------------------------------------------------------------------------------
def test_the_owner_is_mailed_whenever_there_is_another_way_to_sign_in(buyer: User, post: Post) -> None:
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now(), language="en")
    buyer.refresh_from_db()

    def told() -> str:
        mails = post.arrived()
        assert all(list(mail.recipients) == ["buyer@example.com"] for mail in mails)
        return " ".join(mail.part("plain") for mail in mails)

    client, _codes = switch_on(buyer)
    assert "was switched on" in told()
    client.post(PAGE, {"step": "codes", "password": PASSWORD})
    assert "New codes for paper" in told()
    register(buyer, PASSWORD, client=as_at_home(client))
    assert "“phone” was added" in told()
    client.post(f"/accounts/passkeys/{Passkey.objects.get().pk}", {"step": "remove", "password": PASSWORD})
    assert "“phone” was removed" in told()
    client.post(PAGE, {"step": "remove", "password": PASSWORD})
    assert "was switched off" in told()


def test_an_operator_removes_the_passkeys_of_somebody_who_lost_the_device(buyer: User, staff: User) -> None:
    device = register(buyer, PASSWORD)
    helper, reason = browser_of(clerk("view_user", "change_user")), {"reason": "showed a passport"}
    register(staff, STAFF_PASSWORD)
    helper.post(f"/admin/accounts/user/{staff.pk}/do/remove_passkeys/", reason)
    assert Passkey.objects.filter(user=staff).exists()
    assert "phone" in helper.get(f"/admin/accounts/user/{buyer.pk}/change/").text
    helper.post(f"/admin/accounts/user/{buyer.pk}/do/remove_passkeys/", reason)
    assert refused(sign_in(device))
