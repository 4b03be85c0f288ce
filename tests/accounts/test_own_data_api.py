"""One's data from programs: by the password, or by the WeChat that signs one in; never by a token alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from rest_framework.test import APIClient

from storage_backends import exporting
from tests.wechat import WeChat
from voicehelper import clock
from voicehelper.accounts import deleting
from voicehelper.accounts.models import AccountDeletion, DataExport, User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db(transaction=True)

COPY, LINK, DELETION = "/api/user/export", "/api/user/export/link", "/api/user/deletion"
PASSWORD = {"password": "a long buyer password"}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def by_wechat(wechat: WeChat, person: str = "xiaoming") -> APIClient:
    """The mini program of somebody who has no password."""
    answer = APIClient().post("/api/auth/wx-login", {"code": wechat.code(person)}, format="json")
    return APIClient(headers={"Authorization": f"Bearer {answer.json()['token']}", "Accept-Language": "en"})


def test_a_copy_is_asked_for_watched_fetched_and_dropped(
    buyer: User, as_user: Callable[..., Any], settings: Any, tmp_path: Path
) -> None:
    settings.FILES_DIR = str(tmp_path)
    client = as_user(buyer)
    assert client.get(COPY).json() == {"success": True, "data": None}
    assert client.post(LINK, PASSWORD, format="json").status_code == 404
    asked = client.post(COPY, PASSWORD, format="json").json()["data"]
    assert asked["state"] == "waiting"
    assert exporting.write(DataExport.objects.get().pk)
    assert client.get(COPY).json()["data"]["state"] == "ready"
    found = client.post(LINK, PASSWORD, format="json").json()["data"]
    assert found["expiresIn"] == 600
    path = found["url"].removeprefix("http://127.0.0.1:8000")
    assert b"".join(APIClient().get(path).streaming_content)[:2] == b"PK"
    assert client.delete(COPY).json() == {"success": True}
    assert client.get(COPY).json()["data"] is None


def test_an_account_is_deleted_by_the_password_and_kept_by_signing_in(buyer: User, as_user: Callable[..., Any]) -> None:
    client = as_user(buyer)
    before = client.get(DELETION).json()["data"]
    assert before == {"due": None, "obstacles": [], "quota": 0, "days": 7}
    answer = client.post(DELETION, PASSWORD, format="json").json()
    assert answer["data"]["due"] == clock.beijing_iso(AccountDeletion.objects.get().due)
    assert client.get(DELETION).status_code == 401
    asked = {"username": "buyer", **PASSWORD}
    assert APIClient().post("/api/auth/login", asked, format="json").status_code == 200
    assert not AccountDeletion.objects.exists()


def test_a_balance_is_given_up_in_so_many_words(buyer: User, as_user: Callable[..., Any]) -> None:
    credit(buyer, 5000, kind=Entry.Kind.GIFT, ref="g", actor="test")
    client = as_user(buyer)
    refused = client.post(DELETION, PASSWORD, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "balance_left")
    assert client.post(DELETION, PASSWORD | {"givesUpBalance": True}, format="json").status_code == 200


def test_what_is_unfinished_is_said(buyer: User, as_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "_obstacles", [lambda user: "An order can still be paid."])
    client = as_user(buyer)
    refused = client.post(DELETION, PASSWORD, format="json")
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["obstacles"]) == (
        "cannot_be_deleted",
        ["An order can still be paid."],
    )
    assert client.get(DELETION).json()["data"]["obstacles"] == ["An order can still be paid."]


def test_N5_a_token_alone_neither_copies_nor_deletes(wechat: WeChat, buyer: User, as_user: Callable[..., Any]) -> None:
    of_wechat = by_wechat(wechat)
    for path in (COPY, DELETION):
        for given in ({}, {"password": "wrong"}, {"code": wechat.code("xiaoming")}):
            assert as_user(buyer).post(path, given, format="json").status_code == 403, (path, given)
        assert of_wechat.post(path, {}, format="json").status_code == 403
        assert of_wechat.post(path, {"code": "made up"}, format="json").status_code == 401
        # Somebody else's phone.
        assert of_wechat.post(path, {"code": wechat.code("xiaohong")}, format="json").status_code == 403
    assert not AccountDeletion.objects.exists()
    assert not DataExport.objects.exists()


def test_who_signs_in_by_wechat_proves_it_by_wechat(wechat: WeChat) -> None:
    client = by_wechat(wechat)
    assert client.post(COPY, {"code": wechat.code()}, format="json").status_code == 200
    assert client.post(DELETION, {"code": wechat.code()}, format="json").status_code == 200
    assert AccountDeletion.objects.exists()
