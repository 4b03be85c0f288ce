"""The mini program's settings page: what it says, and what "test connection" finds out."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from sandbox.models import WeChatApp
from tests.wechat import WeChat, set_up_mini_program, signed_in
from topup.services.options import write_options
from voicehelper.accounts import sharing
from voicehelper.accounts.models import MiniProgramSettings, User, WeChatIdentity
from voicehelper.admin.base import change_url

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/accounts/miniprogramsettings/1/change/"
TEST = "/admin/accounts/miniprogramsettings/test/"


def test_the_page_says_what_to_enter_where(browser: Client, settings: Any) -> None:
    page = browser.get(PAGE).text
    assert "Not set up: mini program users cannot sign in." in page
    assert f"enter {settings.SERVER_ADDRESS} as the domain for request, uploadFile and downloadFile" in page
    assert "Server domain" in page
    set_up_mini_program()
    assert "no sign-in yet" in browser.get(PAGE).text


def test_the_shared_card_can_be_changed_without_a_password(browser: Client) -> None:
    form = {"app_id": "", "app_secret": "", "share_title": "来聊天", "share_image": "https://cdn.example.com/a.png"}
    assert browser.post(PAGE, form).status_code == 302
    row = MiniProgramSettings.load()
    assert (row.share_title, row.share_image) == ("来聊天", "https://cdn.example.com/a.png")
    assert browser.post(PAGE, form | {"share_image": "javascript:x"}).status_code == 200


def test_a_right_secret_is_proved_by_a_real_call(wechat: WeChat, browser: Client) -> None:
    page = browser.post(TEST, follow=True).text
    assert "WeChat knows this app id, and the secret is right." in page
    assert "POST http" in page
    assert "/cgi-bin/stable_token" in page
    assert wechat.app.secret not in page
    part = browser.post(TEST, headers={"HX-Request": "true"}).text
    assert "The connection works" in part
    assert "Test connection" in LogEntry.objects.order_by("-pk")[0].change_message
    signed_in(wechat.code())
    assert "last sign-in" in browser.get(PAGE).text


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ({"MiniProgramAppId": "wx0000000000000000"}, "WeChat does not know this app id.", "it begins with wx"),
        ({"MiniProgramAppSecret": "0" * 32}, "The app secret does not belong to this app id.", "Make a new one"),
        ({"MiniProgramAppSecret": None}, "Nothing was called", "Fill these in"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_mend_it(
    wechat: WeChat, browser: Client, wrong: dict[str, Any], message: str, hint: str
) -> None:
    write_options(wrong)
    part = browser.post(TEST, headers={"HX-Request": "true"}).text
    assert "The connection does not work yet" in part
    assert message in part
    assert hint in part


def test_an_address_that_is_not_allowed_and_a_busy_wechat_are_told_apart(wechat: WeChat, browser: Client) -> None:
    WeChatApp.objects.update(allowed_address="203.0.113.7")
    part = browser.post(TEST, headers={"HX-Request": "true"}).text
    assert "IP allow list" in part
    assert "errcode 40164" in part
    WeChatApp.objects.update(allowed_address="")
    wechat.misbehaves("errcode", "token", code=-1, times=3)
    assert "WeChat is busy." in browser.post(TEST, headers={"HX-Request": "true"}).text
    wechat.misbehaves("html", "token")
    assert "Something in between" in browser.post(TEST, headers={"HX-Request": "true"}).text


def test_a_users_page_shows_a_shortened_openid_and_no_session_key(wechat: WeChat, browser: Client) -> None:
    _client, number = signed_in(wechat.code())
    identity = WeChatIdentity.objects.get()
    page = browser.get(change_url(User.objects.get(pk=number))).text
    assert f"{identity.openid[:4]}…{identity.openid[-4:]}" in page
    for hidden in (identity.openid, identity.unionid, identity.session_key.reveal()):
        assert hidden not in page


def test_shares_are_listed_with_their_counts_and_a_newcomer_with_who_invited(browser: Client, buyer: User) -> None:
    share_id = sharing.share(buyer).share_id
    sharing.record_visit(share_id, None, "203.0.113.7")
    newcomer = User.objects.create_user("newcomer")
    sharing.record_sign_up(share_id, newcomer)
    assert change_url(buyer) in browser.get(change_url(newcomer)).text
    page = browser.get("/admin/accounts/share/").text
    assert "buyer" in page
    assert re.search(r"field-num_visits[^>]*>\s*2\s*<", page)
    assert re.search(r"field-num_sign_ups[^>]*>\s*1\s*<", page)
    record = browser.get(f"/admin/accounts/share/{buyer.shares.get().pk}/change/")
    assert share_id in record.text
    assert browser.post(record.request["PATH_INFO"], {}).status_code == 403
