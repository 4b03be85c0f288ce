"""Faults I and K about files: other people's, spoofed, too many, and stores that are down."""

import io
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils.html import escape

from storage_backends import services, sweeping
from storage_backends.buckets import active_bucket
from storage_backends.models import Bucket, StoredFile
from tests.faults.workers import Workers, lines
from tests.processes import files_dir as folder_of_servers
from tests.processes import request
from tests.storage_backends.conftest import files_dir, new_bucket, s3  # noqa: F401  # fixtures
from tests.storage_backends.samples import GIF, HTML, MP3, PNG, SVG, huge_png, send
from tests.storage_backends.test_hostile import bomb
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.middleware import OneLine

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(as_user: Any, buyer: User) -> Any:
    return as_user(buyer)


@pytest.fixture
def others(as_user: Any, other_user: User, staff: User) -> list[Any]:
    clerk = User.objects.create_user("clerk", password="a long clerk password", is_staff=True)
    return [as_user(who) for who in (other_user, clerk, staff)]


def signed(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


# --- I ---------------------------------------------------------------------------------------------------------------
def test_I1_a_file_shows_itself_to_its_owner_only(api: Any, as_user: Any, others: list[Any]) -> None:
    path = send(api, PNG).json()["path"]
    address = f"/api/files/{path}"
    for stranger, status in [(as_user(None), 401), *((other, 404) for other in others)]:
        for url in (address, f"{address}?download=1"):
            assert stranger.get(url).status_code == status
        assert stranger.delete(address).status_code == status
        for method in ("post", "put", "patch"):
            assert getattr(stranger, method)(address).status_code in (401, 403, 405)
    for other in others:
        assert other.get("/api/files").json()["data"]["items"] == []
        assert other.get("/api/files", {"prefix": path}).json()["data"]["items"] == []
    assert api.get(address).status_code == 200


def test_I10_markup_in_a_name_or_a_file_runs_nowhere(api: Any, staff: User) -> None:
    name = "<img src=x onerror=alert(1)>'\"{{7*7}}.html"
    said = send(api, HTML, "x.html", file_name=name).json()
    operator = Client()
    operator.force_login(staff)
    file = StoredFile.objects.get()

    for answer in (
        operator.get("/admin/storage_backends/storedfile/"),
        operator.get(f"/admin/storage_backends/storedfile/{file.pk}/change/"),
    ):
        assert "onerror" not in answer.text.replace(escape(name), "")
    listed = api.get("/api/files")
    assert listed["Content-Type"] == "application/json"
    shown = Client().get(signed(said["url"]))
    assert b"".join(shown.streaming_content) == HTML
    assert shown["Content-Type"].startswith("text/plain")
    assert shown["Content-Disposition"].startswith("attachment")
    assert shown["Content-Security-Policy"].startswith("sandbox;")


# --- K1, K2 ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("cat.png", HTML, "text/plain; charset=utf-8"),
        ("cat.png", SVG, "text/plain; charset=utf-8"),
        ("page.html", GIF + HTML, "image/gif"),
        ("page.svg", MP3, "audio/mpeg"),
        ("sound.mp3", PNG, "image/png"),
        ("a.html", b"\x00\x01\x02", "application/octet-stream"),
    ],
)
def test_K1_a_file_is_what_its_bytes_say(api: Any, name: str, content: bytes, kind: str) -> None:
    form = {"file": io.BytesIO(content)}
    form["file"].name = name  # type: ignore[attr-defined]
    said = api.post("/api/files/upload", form, format="multipart", headers={"X-Content-Type": "text/html"}).json()

    assert said["contentType"] == kind
    assert not re.search(r"\.(html|svg)$", said["path"])
    shown = Client().get(signed(said["url"]))
    assert b"".join(shown.streaming_content) == content
    assert (shown["Content-Type"], shown["X-Content-Type-Options"]) == (kind, "nosniff")
    inline = kind.startswith(("image/", "audio/"))
    assert shown["Content-Disposition"].startswith("inline" if inline else "attachment")


def test_K2_size_number_and_bombs_have_an_end(api: Any, settings: Any, files_dir: Path) -> None:  # noqa: F811
    for content in (bomb(), huge_png()):
        # Nothing unpacks or paints them: they are bytes.
        assert send(api, content).json()["size"] == len(content)
    settings.FILE_MAX_BYTES = 1000
    assert send(api, bytes(1001)).json()["code"] == "file_too_large"
    settings.FILES_PER_USER = 5
    codes = [send(api, bytes(10)).json().get("code") for _ in range(5)]
    assert codes == [None, None, None, "file_quota_full", "file_quota_full"]
    settings.FILES_PER_USER, settings.FILE_BYTES_PER_USER = 100, services.used_by(User.objects.get())[1] + 15
    assert [send(api, bytes(10)).status_code for _ in range(2)] == [200, 413]
    assert len([path for path in files_dir.rglob("*") if path.is_file()]) == StoredFile.objects.count() == 6


# --- K4, K5 ----------------------------------------------------------------------------------------------------------
def test_K4_a_signed_address_is_short_lived_bound_and_told_to_nobody(
    api: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = send(api, PNG).json()
    other = send(api, PNG + b"1").json()
    address = signed(said["url"])
    (signature,) = parse_qs(urlsplit(address).query)["signature"]
    caplog.set_level(logging.DEBUG)

    shown = Client().get(address)
    assert b"".join(shown.streaming_content) == PNG
    assert shown["Referrer-Policy"] == "no-referrer"
    assert shown["Cache-Control"] == "private, no-store"
    of_another = address.replace(said["path"], other["path"])
    unsigned = f"/files/{said['path']}"
    for wrong in (of_another, f"{address}x", address.replace("expires=1", "expires=2"), address[:-1], unsigned):
        refused = Client().get(wrong)
        assert refused.status_code == 403
        assert refused["Referrer-Policy"] == "no-referrer"
    assert Client().post(address).status_code == Client().delete(address).status_code == 405
    monkeypatch.setattr(services.time, "time", lambda now=services.time.time(): now + services.MOST_SECONDS + 1)
    assert Client().get(address).status_code == 403
    logged = "\n".join(OneLine().format(record) for record in caplog.records)
    assert said["path"] in logged, "refusals are logged"
    assert signature not in logged


def test_K5_no_way_of_writing_a_path_leads_to_another_users_file(api: Any, others: list[Any], buyer: User) -> None:
    path = send(api, PNG).json()["path"]
    own = send(others[0], PNG).json()["path"].rsplit("/", 1)[0]
    for written in (
        path,
        f"/{path}",
        f"{own}/../../../{path}",
        f"{own}/..%2f..%2f..%2f{path}",
        path.replace("/", "%2f"),
        path.replace("/", "//"),
        path.upper(),
        f"{path}/",
        f"{path}%00",
        f"{path}.",
        "../env",
        "..%2f..%2fenv",
    ):
        answer = others[0].get(f"/api/files/{written}?download=1")
        assert answer.status_code in (400, 404), written
        assert others[0].delete(f"/api/files/{written}").status_code in (400, 404)
    assert len(path.split("/")[-1].split(".")[0]) == 32, "128 random bits"
    assert api.get(f"/api/files/{path}").status_code == 200


# --- K7 --------------------------------------------------------------------------------------------------------------
def everything_agrees(folder: Path) -> None:
    """Each row has its object, each object its row, and nothing is on its way."""
    objects = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert objects == set(StoredFile.objects.values_list("key", flat=True))
    assert set(StoredFile.objects.values_list("state", flat=True)) <= {"stored"}


def test_K7_a_store_that_is_down_is_said_and_leaves_nothing_apart(
    api: Any,
    s3: Bucket,  # noqa: F811
    s3_server: Any,
) -> None:
    path = send(api, PNG).json()["path"]
    Bucket.objects.filter(pk=s3.pk).update(endpoint="http://127.0.0.1:1")

    down = send(api, PNG)
    assert (down.status_code, down.json()["code"]) == (503, "store_down")
    assert api.get(f"/api/files/{path}?download=1").status_code == 503
    # A put whose outcome is not known is deleted again when the store is back; the user's deletion counts at once.
    assert api.delete(f"/api/files/{path}").status_code == 200
    assert api.get("/api/files").json()["data"]["items"] == []
    assert set(StoredFile.objects.values_list("state", flat=True)) == {"deleting"}

    Bucket.objects.filter(pk=s3.pk).update(endpoint=s3_server.url)
    StoredFile.objects.update(moved=clock.now() - sweeping.DELETING * 2)
    assert sweeping.sweep() == 2
    assert not StoredFile.objects.exists()
    assert "Contents" not in s3_server.plain.list_objects(Bucket=s3.bucket)
    assert send(api, PNG).status_code == 200


def test_K7_a_full_disk_is_said_and_leaves_nothing(api: Any, files_dir: Path, monkeypatch: Any) -> None:  # noqa: F811
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert send(api, PNG).json()["code"] == "store_down"
    everything_agrees(files_dir)
    assert not StoredFile.objects.exists()


FORM = b'--e\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + PNG + b"\r\n--e--\r\n"
# Where a server dies; in soak, also between any two lines.
POINTS = (
    "storage_backends/services.py:label_of",
    "storage_backends/backends/local.py:_to_disk",
    "storage_backends/models.py:move",
    "storage_backends/services.py:signed_url",
)


@pytest.fixture
def shared_folder(_workers: Workers, settings: Any) -> Iterator[Path]:
    """Where the workers keep files; empty, whatever other tests left there."""
    folder = folder_of_servers()
    shutil.rmtree(folder, ignore_errors=True)
    settings.FILES_DIR = str(folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def die(workers: Workers, kill_at: int | str, method: str, path: str, token: str, body: bytes = b"") -> Any:
    pid = workers.forge.serve(workers.mortal, kill_at=kill_at)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=e"}
    try:
        reply = request(workers.mortal.getsockname()[1], method, path, body=body, headers=headers, timeout_s=20)
    finally:
        end = workers.forge.end(pid)
    return reply, end


def agree_after_the_sweep(folder: Path) -> None:
    """Hours later. What the dead had sent to the database may still be committed after them."""
    until = time.monotonic() + 10
    while True:
        for _ in range(2):
            sweeping.finish(clock.now() + sweeping.WRITING * 2)
        try:
            everything_agrees(folder)
        except AssertionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.rare
@pytest.mark.django_db(transaction=True)
def test_K7_killed_between_any_two_lines_row_and_object_stay_together(
    _workers: Workers,
    buyer: User,
    shared_folder: Path,
) -> None:
    token = issue_token(buyer)
    active_bucket()
    reply, end = die(_workers, 0, "POST", "/api/files/upload", token, FORM)
    assert reply.status == 200, reply.body
    dead = 0
    for point in (*POINTS, *lines(end.lines, 2)):
        reply, killed = die(_workers, point, "POST", "/api/files/upload", token, FORM)
        dead += bool(killed.where)
        agree_after_the_sweep(shared_folder)
    assert dead >= len(POINTS)

    kept = services.store_file(buyer, "a", io.BytesIO(PNG))
    _reply, end = die(_workers, 0, "DELETE", f"/api/files/{kept.key}", token)
    for point in (
        "storage_backends/services.py:remove",
        "storage_backends/backends/local.py:delete",
        *lines(end.lines, 2),
    ):
        file = services.store_file(buyer, "a", io.BytesIO(PNG))
        die(_workers, point, "DELETE", f"/api/files/{file.key}", token)
        agree_after_the_sweep(shared_folder)
