"""Signing in on the web by WeChat's QR code, through the stand-in: who it is, whose session, linking and unlinking."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from notifications.models import Alert
from sandbox.management.commands.open_sandbox_accounts import website as website_account
from sandbox.models import WebCode
from tests.accounts.conftest import Post
from tests.accounts.device import browser as at_localhost
from tests.accounts.device import register
from tests.accounts.test_second_factor import digits, inside, switch_on
from tests.operators import browser_of, clerk
from tests.wechat import WeChat, signed_in
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts import website
from voicehelper.accounts.models import User, WeChatIdentity

pytestmark = pytest.mark.django_db(transaction=True)

START, LINK, PASSWORD = "/accounts/wechat/start", "/accounts/wechat", "a long buyer password"


@pytest.fixture
def web(wechat: WeChat, settings: Any) -> WeChat:
    """The website app too is set up, at the stand-in."""
    settings.WECHAT_QR_URL = f"{wechat.address}/sandbox/weixin/connect/qrconnect"
    account = website_account()
    write_options({"WebsiteAppId": account["app_id"], "WebsiteAppSecret": account["secret"]})
    return wechat


def visitor(user: User | None = None) -> Client:
    client = Client(headers={"accept-language": "en", "host": "127.0.0.1:8000"})
    if user is not None:
        client.force_login(user)
    return client


def scan(address: str, person: str = "xiaoming", answer: str = "allow") -> str:
    """What WeChat does with an address of ours: shows its code, and after the phone's answer leads to one of ours."""
    page = requests.get(address, timeout=10)
    assert page.status_code == 200, page.text
    uuid = parse_qs(urlsplit(page.url).query)["uuid"][0]
    confirm = f"{page.url.partition('/sandbox')[0]}/sandbox/weixin/connect/confirm"
    assert requests.post(confirm, {"uuid": uuid, "person": person, "answer": answer}, timeout=10).status_code == 200
    back = requests.get(page.url, timeout=10, allow_redirects=False).headers["Location"]
    assert back.startswith("http://127.0.0.1:8000/accounts/wechat/back?")
    return back.removeprefix("http://127.0.0.1:8000")


def go(client: Client, person: str = "xiaoming", **asked: str) -> Any:
    """Our answer to who comes back from WeChat."""
    return client.get(scan(client.get(START, asked)["Location"], person))


def link(client: Client, person: str = "xiaoming", password: str = PASSWORD) -> Any:
    page = client.post(LINK, {"step": "bind", "password": password})
    return client.get(scan(page.context["address"], person))


# --- Signing in ------------------------------------------------------------------------------------------------------
def test_the_mini_programs_user_is_the_same_on_the_web(web: WeChat) -> None:
    _client, number = signed_in(web.code("xiaoming"))
    client = visitor()
    assert "Sign in with WeChat" in client.get("/accounts/sign-in").text
    answer = go(client, next="/recharge/orders")
    assert (answer.status_code, answer["Location"]) == (302, "/recharge/orders")
    assert int(client.session["_auth_user_id"]) == number
    # And the other way round.
    other = visitor()
    go(other, "xiaohong")
    assert signed_in(web.code("xiaohong"))[1] == int(other.session["_auth_user_id"])
    assert User.objects.count() == 2
    assert go(visitor(), next="//evil.example/")["Location"] == "/recharge"


def test_without_settings_there_is_no_button(wechat: WeChat) -> None:
    client = visitor()
    assert "Sign in with WeChat" not in client.get("/accounts/sign-in").text
    assert client.get(START).status_code == 503
    client = visitor(User.objects.create_user("alone", password=PASSWORD))
    assert client.get(LINK).status_code == 404


def test_a_state_is_good_once_and_in_the_session_that_asked(web: WeChat) -> None:
    client, stranger = visitor(), visitor()
    back = scan(client.get(START)["Location"])
    stranger.get(START)
    for refused in (stranger, visitor()):
        answer = refused.get(back)
        assert (answer.status_code, "Please begin again" in answer.text) == (400, True)
    assert client.get(re.sub("state=[0-9a-f]+", "state=" + "0" * 32, back)).status_code == 400
    assert client.get(back).status_code == 400
    back = scan(client.get(START)["Location"])
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 400
    assert User.objects.count() == 1


def test_a_question_that_is_old_is_not_answered(web: WeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    client = visitor()
    back = scan(client.get(START)["Location"])
    monkeypatch.setattr(website, "QUESTION_LIFE_S", -1)
    assert client.get(back).status_code == 400


def test_who_says_no_on_the_phone_is_not_signed_in(web: WeChat) -> None:
    client = visitor()
    answer = client.get(scan(client.get(START)["Location"], answer="cancel"))
    assert answer["Location"] == "/accounts/sign-in"
    assert "You did not allow it" in client.get("/accounts/sign-in").text
    assert not User.objects.exists()


def test_wechats_refusals_are_said_and_operators_learn_of_theirs(web: WeChat) -> None:
    client = visitor()
    back = scan(client.get(START)["Location"])
    WebCode.objects.update(created_at=clock.now() - timedelta(minutes=6))
    answer = client.get(back)
    assert (answer.status_code, "not valid any more" in answer.text) == (401, True)
    write_options({"WebsiteAppSecret": "0" * 32})
    answer = go(client)
    assert (answer.status_code, "not finished setting up" in answer.text) == (503, True)
    assert "微信扫码" in Alert.objects.get(event="wechat_login_broken").title


def test_two_step_sign_in_asks_after_wechat_too(web: WeChat, buyer: User) -> None:
    link(visitor(buyer))
    switch_on(buyer)
    client = visitor()
    go(client)
    assert client.get("/recharge")["Location"].startswith("/accounts/code")
    client.post("/accounts/code", {"code": digits(buyer)})
    assert inside(client)


def test_a_deactivated_user_is_told_so(web: WeChat) -> None:
    go(visitor())
    User.objects.update(is_active=False)
    client = visitor()
    answer = go(client)
    assert (answer.status_code, "deactivated" in answer.text) == (403, True)
    assert not inside(client)


def test_N4_refused_codes_are_braked(web: WeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(website, "REFUSED_CODES", "2 per 10 minutes")
    answers = []
    for _ in range(3):
        client = visitor()
        state = parse_qs(urlsplit(client.get(START)["Location"]).query)["state"][0]
        answers.append(client.get(LINK + "/back", {"code": "x", "state": state}).status_code)
    assert answers == [401, 401, 429]


# --- Linking and unlinking -------------------------------------------------------------------------------------------
def test_a_user_links_wechat_and_signs_in_with_it(web: WeChat, buyer: User, post: Post) -> None:
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now(), language="en")
    client = visitor(buyer)
    assert link(client)["Location"] == LINK
    assert "was linked" in post.arrived()[0].part("plain")
    other = visitor()
    go(other)
    assert other.session["_auth_user_id"] == str(buyer.pk)
    # Whose WeChat signs somebody else in already keeps doing so.
    go(visitor(), "xiaohong")
    answer = link(client, "xiaohong")
    assert (answer.status_code, "belongs to another user" in answer.text) == (409, True)
    # Unlinked, everything that came by it is over, and the owner stays.
    assert client.post(LINK, {"step": "unbind", "password": PASSWORD}).status_code == 302
    assert "was unlinked" in post.arrived()[0].part("plain")
    assert (inside(client), inside(other)) == (True, False)
    go(other)
    assert other.session["_auth_user_id"] != str(buyer.pk)


def test_N5_a_stolen_session_links_nothing_without_the_password(web: WeChat, buyer: User) -> None:
    thief = visitor(buyer)
    assert "not your password" in thief.post(LINK, {"step": "bind", "password": "wrong"}).text
    # A question for signing in links nothing, whoever is signed in when it is answered.
    asker = visitor()
    back = scan(asker.get(START)["Location"])
    asker.force_login(buyer)
    asker.get(back)
    assert not WeChatIdentity.objects.filter(user=buyer).exists()
    # Neither does what another user began in this browser.
    page = thief.post(LINK, {"step": "bind", "password": PASSWORD})
    back = scan(page.context["address"])
    session = thief.session
    kept = session["wechat_sign_in"]
    other = visitor(User.objects.create_user("other"))
    session = other.session
    session["wechat_sign_in"] = kept
    session.save()
    assert other.get(back).status_code == 400
    assert not WeChatIdentity.objects.filter(user__username="other").exists()


def test_the_last_way_to_sign_in_is_not_taken_away(web: WeChat) -> None:
    client = visitor()
    go(client)
    page = client.get(LINK).text
    assert ("confirm an email address or add a passkey" in page, "Unlink WeChat" in page) == (True, False)
    assert client.post(LINK, {"step": "unbind"}).status_code == 409
    user = User.objects.get()
    home = at_localhost()
    home.cookies = client.cookies
    register(user, "", client=home)
    assert client.post(LINK, {"step": "unbind"}).status_code == 302
    assert not WeChatIdentity.objects.exists()


def test_an_operator_unlinks_it_for_somebody_whose_wechat_is_in_other_hands(web: WeChat, buyer: User) -> None:
    client = visitor(buyer)
    link(client)
    thief = visitor()
    go(thief)
    helper = browser_of(clerk("view_user", "change_user"))
    helper.post(f"/admin/accounts/user/{buyer.pk}/do/unbind_wechat/", {"reason": "called us"})
    assert not WeChatIdentity.objects.exists()
    assert not inside(thief)


# --- The settings ----------------------------------------------------------------------------------------------------
def test_the_settings_page_proves_the_secret(web: WeChat, browser: Client) -> None:
    page = browser.get("/admin/accounts/websitesettings/1/change/").text
    assert "/accounts/wechat/back" in page
    part = browser.post("/admin/accounts/websitesettings/test/", headers={"HX-Request": "true"}).text
    assert "the secret is right" in part
    write_options({"WebsiteAppSecret": "0" * 32})
    part = browser.post("/admin/accounts/websitesettings/test/", headers={"HX-Request": "true"}).text
    assert "does not belong to this app id" in part
