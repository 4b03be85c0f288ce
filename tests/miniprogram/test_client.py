"""miniprogram/utils/api.js under node: what somebody with a phone does, and what can go wrong on the way."""

import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from sandbox.models import Script
from storage_backends import exporting
from tests.far_side import FarSide, Seen, http
from tests.miniprogram.conftest import RECORDING, CallFailed, Phone
from tests.processes import Server, files_dir
from topup.models import Order
from voicehelper import clock
from voicehelper.accounts.models import (
    AccessToken,
    AccountDeletion,
    DataExport,
    LegalText,
    Share,
    ShareVisit,
    User,
    WeChatIdentity,
)
from voicehelper.wallet.services import wallet_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("miniprogram"),
]


JSON = "Content-Type: application/json\r\nConnection: close\r\n"


def tokens_expire() -> None:
    AccessToken.objects.update(expires_at=clock.now() - timedelta(seconds=1))


def the_user() -> User:
    return User.objects.get(username__startswith="wx_")


# --- The whole way ---------------------------------------------------------------------------------------------------
def test_somebody_signs_in_recharges_talks_speaks_and_shares_while_the_token_expires(
    phone: Phone, books_agree: Callable[[], None]
) -> None:
    who = phone.call("profile")
    assert (who["username"], who["quota"]) == (the_user().username, 0)
    assert phone.seen["logins"] == 1

    facts = {"kind": "privacy", "version": 2, "language": "zh-hans", "text": "x"}
    LegalText.objects.create(**facts, valid_from=clock.now())
    wanted = phone.call("wantedTexts")
    assert [(each["kind"], each["version"]) for each in wanted] == [("privacy", 2)]
    assert phone.call("agree", wanted) == []

    tokens_expire()
    order = phone.call("pay", 10)
    assert (order["status"], order["money"], order["quota"]) == ("paid", "73.00", 5_000_000)
    assert phone.seen["logins"] == 1
    kept = Order.objects.get()
    assert (kept.order_no, kept.state, kept.user) == (order["order_id"], "paid", the_user())
    assert phone.call("profile")["quota"] == 5_000_000

    tokens_expire()
    answer = phone.call("sendMessage", "你好")
    assert answer["content"]
    assert answer["quota"] > 0
    again = phone.call("sendMessage", "再见", {"sessionId": answer["sessionId"]})
    assert again["sessionId"] == answer["sessionId"]

    recording = phone.call("record")
    tokens_expire()
    stored = phone.call("upload", recording["tempFilePath"], "问题.mp3")
    assert set(stored) >= {"path", "url", "name", "size", "contentType"}
    assert (stored["name"], stored["size"], stored["contentType"]) == (
        "问题.mp3",
        RECORDING.stat().st_size,
        "audio/mpeg",
    )

    tokens_expire()
    assert phone.call("transcribe", stored["path"])["text"]

    tokens_expire()
    card = phone.call("share")
    assert set(card) == {"title", "path", "imageUrl", "shareId"}
    assert Share.objects.get().user == the_user()

    # The same person all the way, and the books agree.
    assert phone.call("profile")["id"] == who["id"]
    assert User.objects.count() == 1
    books_agree()


# --- Signing in ------------------------------------------------------------------------------------------------------
def test_nothing_has_to_be_signed_in_first(phone: Phone) -> None:
    phone.call("profile")
    assert phone.seen["requests"] == ["POST /api/auth/wx-login 200", "GET /api/user/self 200"]
    phone.call("profile")
    assert phone.seen["requests"] == ["GET /api/user/self 200"]
    assert list(phone.storage) == ["voicehelper.token"]


def test_an_expired_token_is_renewed_and_the_call_goes_on(phone: Phone) -> None:
    phone.call("profile")
    tokens_expire()
    phone.call("profile")
    again = ["GET /api/user/self 401", "POST /api/auth/wx-login 200", "GET /api/user/self 200"]
    assert phone.seen["requests"] == again


def test_calls_at_once_share_one_sign_in(phone: Phone) -> None:
    people = phone.at_once(*[("profile",)] * 8)
    assert len({who["id"] for who in people}) == 1
    assert phone.seen["logins"] == 1
    tokens_expire()
    assert phone.at_once(*[("profile",)] * 8) == people
    assert phone.seen["logins"] == 1
    assert sorted(set(phone.seen["requests"])) == [
        "GET /api/user/self 200",
        "GET /api/user/self 401",
        "POST /api/auth/wx-login 200",
    ]


@pytest.mark.rare
def test_a_server_that_always_says_401_is_not_asked_for_ever(phone: Phone) -> None:
    def answer(seen: Seen) -> bytes:
        if "wx-login" in seen.line:
            return http(b'{"token": "vh-x", "userInfo": {}}', headers=JSON)
        return http(b'{"success": false, "message": "no"}', status="401 Unauthorized", headers=JSON)

    with FarSide(answer=answer) as stubborn:
        phone.is_configured(baseUrl=stubborn.url)
        phone.remembers(token="vh-old")
        error = phone.fails("profile")
    assert (error.status, error.message) == (401, "no")
    assert [line.partition(" HTTP")[0] for line in (seen.line for seen in stubborn.seen)] == [
        "GET /api/user/self",
        "POST /api/auth/wx-login",
        "GET /api/user/self",
    ]


def test_when_wechat_or_the_server_refuses_to_sign_in_the_call_says_why(phone: Phone) -> None:
    phone.is_in_the_mood(loginFails=True)
    error = phone.fails("profile")
    assert (error.name, error.code, error.message) == ("ApiError", "login", "微信登录失败，请重试")
    phone.is_in_the_mood(loginFails=False)
    Script.objects.create(gateway="weixin", operation="login", fault="errcode", parameters={"code": 40226})
    error = phone.fails("profile")
    assert (error.code, error.status, error.message) == ("http", 403, "微信暂时不允许该账号登录")
    assert phone.call("profile")


@pytest.mark.rare
def test_signing_out_forgets_the_token_on_the_phone(phone: Phone) -> None:
    phone.call("profile")
    phone.call("signOut")
    assert phone.storage == {}
    phone.call("profile")
    assert phone.seen["logins"] == 1


@pytest.mark.rare
def test_two_people_are_two_users(pick_up: Callable[[str], Phone]) -> None:
    one, other = pick_up("xiaoming"), pick_up("xiaohong")
    assert one.call("profile")["id"] != other.call("profile")["id"]
    assert WeChatIdentity.objects.count() == 2


# --- Errors ----------------------------------------------------------------------------------------------------------
def test_the_servers_words_come_in_the_users_language(phone: Phone) -> None:
    for language, words in (("zh_CN", "充值"), ("en", "quota does not cover")):
        phone.is_in_the_mood(language=language)
        error = phone.fails("sendMessage", "hello")
        assert (error.code, error.status) == ("http", 402)
        assert words in error.message


@pytest.mark.rare
def test_words_of_the_payment_dialect_are_found(phone: Phone) -> None:
    error = phone.fails("pay", 0)
    assert (error.status, error.message) == (400, "充值数量不能小于 1")


@pytest.mark.rare
def test_a_phone_without_network_and_a_server_without_address_are_told_apart(phone: Phone) -> None:
    phone.call("profile")
    phone.is_in_the_mood(offline=True)
    error = phone.fails("profile")
    assert (error.code, error.status, error.message) == ("network", 0, "网络连接失败，请检查网络后重试")
    phone.is_configured(baseUrl="")
    assert phone.fails("profile").code == "unconfigured"


@pytest.mark.rare
def test_no_answer_in_time_is_a_timeout(phone: Phone) -> None:
    with FarSide(answer=lambda _seen: [1.0, http(b"{}")]) as slow:
        phone.is_configured(baseUrl=slow.url, timeout=200)
        phone.remembers(token="vh-x")
        error = phone.fails("profile")
    assert (error.code, error.message) == ("timeout", "请求超时，请稍后重试")


NONSENSE = "服务器返回异常，请稍后重试"
ODD = [
    ("200 OK", b"<html>", "nonsense", NONSENSE),
    ("200 OK", b"null", "nonsense", NONSENSE),
    ("200 OK", b'"x"', "nonsense", NONSENSE),
    ("502 Bad Gateway", b"<html>", "http", NONSENSE),
    ("502 Bad Gateway", b'{"message": 7}', "http", NONSENSE),
    ("429 Too Many", b'{"success": false, "message": "slow"}', "http", "slow"),
]


def test_nonsense_is_an_error_and_no_crash(phone: Phone) -> None:
    left = list(ODD)

    def answer(_seen: Seen) -> bytes:
        status, body, *_rest = left.pop(0)
        return http(body, status=status, headers="Retry-After: 7\r\n" + JSON)

    with FarSide(answer=answer) as odd:
        phone.is_configured(baseUrl=odd.url)
        phone.remembers(token="vh-x")
        for _status, body, code, message in ODD:
            error = phone.fails("profile")
            assert (error.code, error.message) == (code, message), body
            assert error.retry_after == (7 if code == "http" else 0)


# --- Voice and files -------------------------------------------------------------------------------------------------
def test_recordings_are_what_speech_recognition_wants(phone: Phone) -> None:
    wanted = {
        "duration": 60_000,
        "sampleRate": 16_000,
        "numberOfChannels": 1,
        "encodeBitRate": 48_000,
        "format": "mp3",
    }
    assert phone.call("recorderOptions") == wanted
    recording = phone.call("record")
    assert phone.seen["recordedWith"] == wanted
    assert recording["tempFilePath"] == str(RECORDING)


def test_an_upload_is_multipart_with_file_and_file_name(phone: Phone) -> None:
    said = b'{"path": "p", "url": "u", "name": "n", "size": 1, "contentType": "audio/mpeg"}'
    with FarSide(answer=lambda _seen: http(said, headers=JSON)) as files:
        phone.is_configured(baseUrl=files.url)
        phone.remembers(token="vh-x")
        assert phone.call("upload", str(RECORDING))["path"] == "p"
        assert phone.fails("upload", "/nowhere/x.mp3").code == "network"
    (seen,) = files.seen
    assert seen.line.startswith("POST /api/files/upload ")
    assert seen.headers["authorization"] == "Bearer vh-x"
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="chime.mp3"' in seen.body
    assert RECORDING.read_bytes() in seen.body
    assert re.search(rb'name="fileName"\r\n\r\nchime\.mp3\r\n', seen.body)


# --- Payment ---------------------------------------------------------------------------------------------------------
def test_who_cancels_is_told_so_and_has_paid_nothing(phone: Phone) -> None:
    phone.is_in_the_mood(payment="cancels")
    error = phone.fails("pay", 10)
    assert (error.code, error.message, error.data["status"]) == ("cancelled", "已取消支付", "pending")
    assert wallet_of(the_user()).balance == 0


def test_who_pays_and_closes_the_window_has_paid(phone: Phone) -> None:
    phone.is_in_the_mood(payment="pays and closes")
    phone.is_configured(payPollEvery=1500)
    assert phone.call("pay", 10)["status"] == "paid"
    assert wallet_of(the_user()).balance == 5_000_000


@pytest.mark.rare
def test_a_payment_that_is_not_confirmed_in_time_is_pending_and_no_failure(phone: Phone) -> None:
    Script.objects.create(gateway="wechat", operation="notify", fault="drop")
    phone.is_configured(payPollFor=300)
    error = phone.fails("pay", 10)
    assert (error.code, error.data["status"]) == ("pending", "pending")
    assert phone.call("order", error.data["order_id"])["status"] in ("pending", "paid")


# --- Sharing ---------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_who_comes_by_a_card_and_signs_in_counts_for_the_sharer(phone: Phone, pick_up: Callable[[str], Phone]) -> None:
    card = phone.call("share")
    options: dict[str, Any] = {"query": {"shareId": card["shareId"]}}
    friend = pick_up("xiaohong")
    assert friend.call("visited", options) is True
    assert friend.call("profile")["id"] != Share.objects.get(share_id=card["shareId"]).user_id
    assert friend.storage.keys() == {"voicehelper.token"}
    assert sorted(ShareVisit.objects.values_list("signed_up", flat=True)) == [False, True]
    # Who is here already, signed up by nobody.
    assert phone.call("visited", options) is True
    assert ShareVisit.objects.count() == 2


@pytest.mark.rare
def test_a_visit_never_stops_anybody(phone: Phone) -> None:
    assert phone.call("visited", {}) is False
    assert phone.call("visited", {"query": {"shareId": "unknown"}}) is False
    phone.is_in_the_mood(offline=True)
    assert phone.call("visited", {"query": {"shareId": "unknown"}}) is False
    phone.is_in_the_mood(offline=False)
    assert phone.call("profile")


@pytest.mark.rare
def test_with_an_expired_token_a_visit_is_a_strangers(phone: Phone, pick_up: Callable[[str], Phone]) -> None:
    card = pick_up("xiaohong").call("share")
    phone.call("profile")
    tokens_expire()
    assert phone.call("visited", {"query": {"shareId": card["shareId"]}}) is True
    assert ShareVisit.objects.get().visitor is None


def test_the_server_is_asked_nothing_but_the_contract(shop: Server) -> None:
    """Every address in the client is one that the server's own document names."""
    source = (settings.BASE_DIR / "miniprogram/utils/api.js").read_text()
    asked = {found.rstrip("/") for found in re.findall(r"/api/[a-z/-]+", source)}
    schema = shop.get("/api/schema", headers={"Accept": "application/json"}).json
    known = {re.sub(r"/\{\w+\}$", "", path) for path in schema["paths"]}
    assert asked - known == set()
    assert len(asked) == 13


# --- One's data ------------------------------------------------------------------------------------------------------
def test_somebody_takes_a_copy_and_leaves_and_comes_back(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the server looks for it.
    monkeypatch.setattr(settings, "FILES_DIR", str(files_dir()))
    phone.call("profile")
    assert phone.call("exported") is None
    assert phone.call("exportData")["state"] in ("waiting", "ready")
    exporting.write(DataExport.objects.get().pk)
    assert phone.call("exported")["state"] == "ready"
    assert zipfile.is_zipfile(phone.call("fetchExport"))

    assert phone.call("deletion")["obstacles"] == []
    due = phone.call("deleteAccount", {"givesUpBalance": True})["due"]
    assert due == clock.beijing_iso(AccountDeletion.objects.get().due)
    # Nothing signs in by itself, which would keep the account.
    with pytest.raises(CallFailed) as leaving:
        phone.call("profile")
    assert (leaving.value.code, phone.seen["logins"]) == ("leaving", 0)
    assert AccountDeletion.objects.exists()

    phone.call("wxLogin")
    assert phone.call("profile")["username"] == the_user().username
    assert not AccountDeletion.objects.exists()
