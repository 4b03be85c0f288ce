"""Invitations: who shares is known, who comes by them is counted once, and only the sharer sees it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as project
from django.contrib.staticfiles import finders
from django.db import connection
from rest_framework.test import APIClient

from tests.faults.conftest import at_once
from voicehelper.accounts import sharing
from voicehelper.accounts.models import MiniProgramSettings, Share, ShareVisit, User
from voicehelper.wallet.models import Entry

pytestmark = pytest.mark.django_db

SignIn = Callable[[User | None], Any]


def shared_by(client: Any) -> str:
    answer = client.post("/api/share")
    assert answer.status_code == 200
    return str(answer.json()["shareId"])


def visit(client: Any, share_id: Any, address: str = "203.0.113.7") -> Any:
    return client.post("/api/share/visit", {"shareId": share_id}, format="json", REMOTE_ADDR=address)


def counts(client: Any) -> list[tuple[int, int]]:
    items = client.get("/api/share").json()["data"]["items"]
    return [(item["visitCount"], item["signUpCount"]) for item in items]


def test_a_share_is_a_card_with_an_address_of_its_own(buyer: User, as_user: SignIn) -> None:
    client = as_user(buyer)
    first, second = client.post("/api/share").json(), client.post("/api/share").json()
    assert set(first) == {"title", "path", "imageUrl", "shareId"}
    assert first["path"] == f"/pages/index/index?shareId={first['shareId']}"
    assert first["title"] == "我正在和 AI 语音助手聊天，也来试试！"
    assert first["imageUrl"] == f"{project.SERVER_ADDRESS}/static/img/share.png"
    assert finders.find("img/share.png")
    assert first["shareId"] != second["shareId"]
    assert len(first["shareId"]) >= 22  # 128 bits
    assert set(Share.objects.values_list("user", flat=True)) == {buyer.pk}


def test_title_and_picture_are_the_operators(buyer: User, as_user: SignIn) -> None:
    MiniProgramSettings.load()
    MiniProgramSettings.objects.update(share_title="来聊天", share_image="https://cdn.example.com/card.png")
    card = as_user(buyer).post("/api/share").json()
    assert (card["title"], card["imageUrl"]) == ("来聊天", "https://cdn.example.com/card.png")


def test_a_visit_counts_once_for_a_user_and_once_a_day_and_address_for_strangers(
    buyer: User, other_user: User, as_user: SignIn
) -> None:
    sharer, friend, stranger = as_user(buyer), as_user(other_user), APIClient()
    share_id = shared_by(sharer)
    for _ in range(3):
        assert visit(friend, share_id).json() == {"success": True}
        assert visit(stranger, share_id).status_code == 200
    assert counts(sharer) == [(2, 0)]
    visit(friend, share_id, "203.0.113.8")
    assert counts(sharer) == [(2, 0)]
    visit(stranger, share_id, "203.0.113.8")
    assert counts(sharer) == [(3, 0)]
    another = shared_by(sharer)
    visit(friend, another)
    assert counts(sharer) == [(1, 0), (3, 0)]


def test_the_next_day_a_stranger_counts_again(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from voicehelper import clock

    share_id, now = sharing.share(buyer).share_id, clock.now()
    for later in (timedelta(0), timedelta(minutes=1), timedelta(days=1)):
        monkeypatch.setattr(clock, "now", lambda later=later: now + later)
        sharing.record_visit(share_id, None, "203.0.113.7")
    # The minute may be the one before midnight in Beijing.
    assert 2 <= ShareVisit.objects.count() <= 3


def test_ones_own_visits_do_not_count(buyer: User, as_user: SignIn) -> None:
    client = as_user(buyer)
    assert visit(client, shared_by(client)).status_code == 200
    assert counts(client) == [(0, 0)]


def test_no_address_of_a_stranger_is_kept(buyer: User) -> None:
    sharing.record_visit(sharing.share(buyer).share_id, None, "203.0.113.7")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text FROM accounts_sharevisit t")
        assert "203.0.113.7" not in str(cursor.fetchall())


def test_an_unknown_share_is_404_and_what_is_none_400(db: None) -> None:
    assert visit(APIClient(), "x" * 22).status_code == 404
    for body in ({}, {"shareId": ""}, {"shareId": "x" * 33}, {"shareId": None}, {"shareId": "\0"}, [], "x"):
        assert APIClient().post("/api/share/visit", body, format="json").status_code == 400
    assert not ShareVisit.objects.exists()


def test_one_share_shows_its_visits_page_by_page_and_names_nobody(
    buyer: User, other_user: User, as_user: SignIn
) -> None:
    sharer = as_user(buyer)
    share_id = shared_by(sharer)
    visit(as_user(other_user), share_id)
    visit(APIClient(), share_id)
    sharing.record_sign_up(share_id, User.objects.create_user("newcomer"))
    answer = sharer.get(f"/api/share/{share_id}?page_size=2")
    data = answer.json()["data"]
    assert (data["visitCount"], data["signUpCount"], data["visits"]["total"]) == (3, 1, 3)
    assert [(each["signedIn"], each["signedUp"]) for each in data["visits"]["items"]] == [(True, True), (False, False)]
    assert "stranger" not in answer.content.decode()
    assert "newcomer" not in answer.content.decode()
    assert sharer.get(f"/api/share/{share_id}?page=0").status_code == 400


def test_nobody_is_invited_twice(buyer: User, other_user: User) -> None:
    first, second = sharing.share(buyer), sharing.share(buyer)
    newcomer = User.objects.create_user("newcomer")
    for share_id in (first.share_id, first.share_id, second.share_id, "unknown"):
        sharing.record_sign_up(share_id, newcomer)
    assert ShareVisit.objects.filter(visitor=newcomer, signed_up=True).get().share.share_id == first.share_id


@pytest.mark.django_db(transaction=True)
def test_taps_at_once_count_once(buyer: User, other_user: User) -> None:
    share_id = sharing.share(buyer).share_id
    at_once(*[lambda who=who: sharing.record_visit(share_id, who, "203.0.113.7") for who in [other_user, None] * 6])
    assert ShareVisit.objects.count() == 2


def test_sharing_and_visiting_are_limited(buyer: User, as_user: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SHARES", "3 per hour")
    monkeypatch.setattr(sharing, "VISITS", "3 per hour")
    client = as_user(buyer)
    for _ in range(3):
        share_id = shared_by(client)
    answer = client.post("/api/share")
    assert (answer.status_code, answer.json()["message"]) == (429, "请求过于频繁，请稍后再试")
    assert int(answer["Retry-After"]) >= 1
    for _ in range(3):
        assert visit(APIClient(), share_id).status_code == 200
    assert visit(APIClient(), share_id).status_code == 429
    assert visit(APIClient(), share_id, "203.0.113.8").status_code == 200


def test_sharing_moves_no_quota(buyer: User, as_user: SignIn) -> None:
    sharing.record_sign_up(shared_by(as_user(buyer)), User.objects.create_user("newcomer"))
    assert not Entry.objects.exists()
