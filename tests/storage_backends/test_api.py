"""The routes of files, on the local disk."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from storage_backends.models import Bucket, StoredFile
from tests.storage_backends.samples import MP3, PNG, file, send
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def local(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_an_upload_says_where_it_lies_and_what_it_is(api: Any, buyer: User, files_dir: Path) -> None:
    answer = send(api, MP3, "tmp_1234.mp3", file_name="语音.mp3")

    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert said.keys() >= {"path", "url", "name", "size", "contentType"}
    assert (said["name"], said["size"], said["contentType"]) == ("语音.mp3", len(MP3), "audio/mpeg")
    assert said["path"].startswith(f"u/{buyer.pk}/")
    assert said["path"].endswith(".mp3")
    assert (files_dir / said["path"]).read_bytes() == MP3
    assert body_of(Client().get(local(said["url"]))) == MP3


def test_a_browser_uploads_with_its_session_and_token(buyer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(buyer)
    client.cookies["csrftoken"] = token = "t" * 32
    form = {"file": file(PNG)}

    assert client.post("/api/files/upload", form).status_code == 403
    form["file"].seek(0)
    assert client.post("/api/files/upload", form, headers={"X-CSRFToken": token}).status_code == 200


def test_nobody_uploads_without_signing_in(as_user: Any) -> None:
    assert send(as_user(None), PNG).status_code == 401
    assert not StoredFile.objects.exists()


def test_files_are_listed_by_prefix_in_pages(api: Any, as_user: Any, other_user: User) -> None:
    paths = {send(api, PNG + bytes([number])).json()["path"] for number in range(5)}
    send(as_user(other_user), PNG)
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get("/api/files", {"limit": 2, "cursor": cursor}).json()["data"]
        seen += [item["path"] for item in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break

    assert len(seen) == 5
    assert set(seen) == paths
    one = min(paths)
    assert [item["path"] for item in api.get("/api/files", {"prefix": one}).json()["data"]["items"]] == [one]
    assert api.get("/api/files", {"prefix": "u/0/"}).json()["data"]["items"] == []
    assert api.get("/api/files", {"limit": 0}).status_code == 400


def test_a_file_is_looked_at_downloaded_and_deleted(api: Any, files_dir: Path) -> None:
    path = send(api, PNG, "dot.png").json()["path"]

    facts = api.get(f"/api/files/{path}").json()["data"]
    assert (facts["path"], facts["name"], facts["contentType"]) == (path, "dot.png", "image/png")
    assert body_of(api.get(f"/api/files/{path}?download=1")) == PNG

    assert api.delete(f"/api/files/{path}").json() == {"success": True}
    assert api.get(f"/api/files/{path}").status_code == 404
    assert api.delete(f"/api/files/{path}").status_code == 404
    assert not (files_dir / path).exists()
    assert not StoredFile.objects.exists()


def test_pictures_and_sound_are_shown_in_place(api: Any) -> None:
    answer = Client().get(local(send(api, PNG, "dot.png").json()["url"]))
    assert body_of(answer) == PNG
    assert answer["Content-Disposition"] == 'inline; filename="dot.png"'
    assert answer["Content-Type"] == "image/png"


def test_a_form_without_a_file_is_explained(api: Any) -> None:
    for answer in (
        api.post("/api/files/upload", {"fileName": "a.png"}, format="multipart"),
        api.post("/api/files/upload", {"file": "text"}, format="json"),
        api.post("/api/files/upload", b"no form", content_type="multipart/form-data; boundary=x"),
        api.post("/api/files/upload", b"no form", content_type="multipart/form-data"),
    ):
        assert answer.status_code == 400, answer.content
        assert answer.json()["code"] == "no_file"
    assert send(api, b"").json()["code"] == "empty_file"
    assert not StoredFile.objects.exists()


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(api: Any, settings: Any, files_dir: Path) -> None:
    settings.FILE_MAX_BYTES = 100_000
    answer = send(api, bytes(100_001))
    assert answer.status_code == 413
    assert answer.json()["code"] == "file_too_large"
    assert "97.7 KB" in answer.json()["message"]
    assert send(api, bytes(100_000)).status_code == 200
    assert len([path for path in files_dir.rglob("*") if path.is_file()]) == 1


def test_a_users_files_have_an_end(api: Any, as_user: Any, other_user: User, settings: Any) -> None:
    settings.FILES_PER_USER, settings.FILE_BYTES_PER_USER = 2, 1000
    assert send(api, bytes(600)).status_code == 200
    assert send(api, bytes(500)).json()["code"] == "file_quota_full"
    second = send(api, bytes(100)).json()
    full = send(api, bytes(100))
    assert (full.status_code, full.json()["code"]) == (413, "file_quota_full")
    assert send(as_user(other_user), bytes(600)).status_code == 200
    api.delete(f"/api/files/{second['path']}")
    assert send(api, bytes(100)).status_code == 200


def test_uploads_are_braked(api: Any, settings: Any) -> None:
    settings.FILE_RATE_LIMIT = "1 per minute"
    assert send(api, PNG).status_code == 200
    answer = send(api, PNG)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer["Retry-After"]) > 0


def test_the_disk_is_the_first_bucket(api: Any) -> None:
    send(api, PNG)
    bucket = Bucket.objects.get()
    assert (bucket.kind, bucket.active) == ("local", True)
