"""A copy of all that is kept of a user: whole, theirs alone, behind the password, and gone after a week."""

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db.models import F
from django.test import Client
from django.utils import translation

from llm.models import ChatMessage, ChatSession
from notifications.models import Mail
from storage_backends import exporting
from tests.accounts.conftest import Post, post  # noqa: F401  # a fixture
from tests.merchants import WECHAT
from tests.operators import browser_of
from tests.orders import pending_order
from tests.storage_backends.samples import PNG, send
from voicehelper import clock
from voicehelper.accounts import deleting, exports
from voicehelper.accounts.models import DataExport, User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db

ASK, FETCH, PASSWORD = "/accounts/data/export", "/accounts/data/export/fetch", "a long buyer password"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


def made(user: User) -> DataExport:
    """Asked for on the page, and written by the worker."""
    assert browser_of(user).post(ASK, {"password": PASSWORD}).status_code == 302
    export = DataExport.objects.get(user=user, state="waiting")
    User.objects.filter(pk=user.pk).update(language="en")
    assert exporting.write(export.pk)
    return DataExport.objects.get(pk=export.pk)


def fetched(user: User) -> zipfile.ZipFile:
    page = browser_of(user).post(FETCH, {"password": PASSWORD})
    address = urlsplit(page.context["address"])
    answer = Client().get(f"{address.path}?{address.query}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    content = b"".join(answer.streaming_content)
    assert int(answer["Content-Length"]) == len(content)
    return zipfile.ZipFile(io.BytesIO(content))


def talked(user: User, words: str) -> ChatSession:
    session = ChatSession.objects.create(user=user, public_id=f"of-{user.pk}", title=f"About {words}")
    question = None
    for role in ("user", "assistant"):
        facts = {"role": role, "content": f"{role} says {words}", "model_name": "doubao-pro", "question": question}
        question = ChatMessage.objects.create(public_id=f"{role}-{user.pk}", session=session, **facts)
    return session


def test_everything_is_in_it_and_nothing_of_others(
    buyer: User,
    other_user: User,
    api: Any,
    as_user: Any,
    post: Post,  # noqa: F811
) -> None:
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now())
    WECHAT.configure()
    for user, words, client in ((buyer, "lakes", api), (other_user, "mountains", as_user(other_user))):
        credit(user, 500_000, kind=Entry.Kind.GIFT, ref=f"gift-{words}", actor="test")
        pending_order(user, WECHAT, openid=f"openid-of-{words}")
        create_api_key(user, f"key for {words}")
        send(client, PNG + words.encode(), file_name=f"{words}.png")
        talked(user, words)
    key_text = create_api_key(buyer, "secret")[1]
    export = made(buyer)
    assert "copy of your data is ready" in post.arrived()[0].subject
    copy = fetched(buyer)
    assert copy.testzip() is None
    names, session = set(copy.namelist()), ChatSession.objects.get(user=buyer)
    file = buyer.files.get()
    assert {"account.json", "statement.csv", "orders.json", "keys.json", "usage.json", "files.json"} <= names
    assert {f"conversations/{session.pk}.md", f"conversations/{session.pk}.json"} <= names
    assert copy.read(f"files/{file.pk}-lakes.png") == PNG + b"lakes"
    assert json.loads(copy.read("account.json"))["email"] == "buyer@example.com"
    assert [row["openid"] for row in json.loads(copy.read("orders.json"))] == ["openid-of-lakes"]
    (line,) = csv.DictReader(io.StringIO(copy.read("statement.csv").decode("utf-8-sig")))
    assert (line["kind"], line["quota"], line["balance_after"]) == ("gift", "500000", "500000")
    told = copy.read(f"conversations/{session.pk}.md").decode()
    assert "**doubao-pro · AI 生成 / AI-generated**\n\nassistant says lakes" in told
    assert "> user says lakes" in told
    (talk,) = json.loads(copy.read(f"conversations/{session.pk}.json"))["conversations"]
    assert [each["content"] for each in talk["messages"]] == ["user says lakes", "assistant says lakes"]
    # Neither secrets nor anybody else.
    everything = b"".join(copy.read(name) for name in names) + repr(names).encode()
    for other in ("mountains", "stranger", key_text, buyer.password, buyer.api_keys.first().digest):
        assert other.encode() not in everything
    # What is shown as progress was counted right.
    assert export.done == export.total == len(names)


@pytest.mark.rare
def test_large_files_need_no_memory(buyer: User, api: Any, settings: Any) -> None:
    settings.FILE_MAX_BYTES = 64 * 1024**2
    assert send(api, b"words " * (6 * 1024**2), "large.txt").status_code == 200
    export = exports.ask(buyer)
    tracemalloc.start()
    try:
        assert exporting.write(export.pk)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()


def test_it_takes_the_password_each_time_and_the_address_is_good_for_minutes(
    buyer: User, other_user: User, settings: Any
) -> None:
    assert "This is not your password" in browser_of(buyer).post(ASK, {"password": "wrong"}).text
    assert not DataExport.objects.exists()
    export = made(buyer)
    browser = browser_of(buyer)
    assert "This is not your password" in browser.post(FETCH, {"password": "wrong"}).text
    assert browser_of(other_user).get(FETCH).status_code == 404
    address = urlsplit(exports.address_of(export))
    assert int(dict(part.split("=") for part in address.query.split("&"))["expires"]) <= clock.now().timestamp() + 601
    other = address.path.replace(export.key, export.key.replace("export/", "export/9"))
    assert Client().get(f"{other}?{address.query}").status_code == 403
    assert Client().get(f"{address.path}?expires=9999999999&signature=x").status_code == 403


def test_one_is_made_at_a_time_and_three_a_day(buyer: User) -> None:
    for _number in range(2):
        browser_of(buyer).post(ASK, {"password": PASSWORD})
    assert DataExport.objects.count() == 1
    assert "It is being made" in browser_of(buyer).get("/accounts/data").text
    for _number in range(2):
        DataExport.objects.update(state="ready")
        browser_of(buyer).post(ASK, {"password": PASSWORD})
    DataExport.objects.update(state="ready")
    assert browser_of(buyer).post(ASK, {"password": PASSWORD}).status_code == 429
    assert DataExport.objects.count() == 3


def test_a_killed_run_is_begun_again_and_two_workers_do_not_both_write(buyer: User, files_dir: Path) -> None:
    export = exports.ask(buyer)
    DataExport.objects.filter(pk=export.pk).update(busy_until=clock.now() + timedelta(minutes=5), tries=1)
    assert not exporting.write(export.pk)
    # It died after the object was written.
    key = f"export/{buyer.pk}/{'0' * 32}.zip"
    (files_dir / key).parent.mkdir(parents=True)
    (files_dir / key).write_bytes(b"half")
    bucket = exporting.active_bucket()
    long_ago = clock.now() - timedelta(minutes=11)
    DataExport.objects.filter(pk=export.pk).update(busy_until=long_ago, asked=long_ago, bucket_id=bucket.pk, key=key)
    assert exporting.sweep_exports() == 1
    export.refresh_from_db()
    assert (export.state, export.tries) == ("ready", 2)
    assert [path.relative_to(files_dir).as_posix() for path in files_dir.rglob("*.zip")] == [export.key]


def test_a_copy_whose_account_went_while_it_was_made_is_neither_kept_nor_told_of(
    buyer: User, files_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now())
    export = exports.ask(buyer)
    monkeypatch.setattr(
        exporting, "_fill", lambda _export, content: (content.write(b"PK"), DataExport.objects.all().delete())
    )
    assert not exporting.write(export.pk)
    assert not Mail.objects.exists()
    assert not list(files_dir.rglob("*.zip"))


def test_what_cannot_be_written_is_given_up_and_said(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    export = exports.ask(buyer)
    monkeypatch.setattr(exporting, "_fill", lambda *_arguments: 1 / 0)
    for _number in range(exporting.TRIES):
        assert not exporting.write(export.pk)
    export.refresh_from_db()
    assert export.state == "failed"
    assert "could not be made" in browser_of(buyer).get("/accounts/data").text


@pytest.mark.parametrize("end", ["a week", "the button", "the account"])
def test_it_is_gone_after_a_week_or_by_the_button_or_with_the_account(buyer: User, files_dir: Path, end: str) -> None:
    export = made(buyer)
    assert export.expires - clock.now() > timedelta(days=6, hours=23)
    assert (files_dir / export.key).exists()
    if end == "a week":
        DataExport.objects.update(expires=F("expires") - timedelta(days=8))
        assert browser_of(buyer).get(FETCH).status_code == 404
        assert exporting.sweep_exports() == 1
    elif end == "the button":
        browser_of(buyer).post("/accounts/data/export/drop")
    else:
        deleting.ask(buyer, gives_up_balance=False)
        deleting.carry_out(deleting.deletion_of(buyer))
    assert not DataExport.objects.exists()
    assert not (files_dir / export.key).exists()


def test_it_is_written_into_the_active_bucket_and_fetched_from_there(buyer: User, s3: Any) -> None:
    """With a store's own address: a link, because a form may lead nowhere else."""
    made(buyer)
    page = browser_of(buyer).post(FETCH, {"password": PASSWORD})
    assert "X-Amz-Expires=600" in page.context["address"]
