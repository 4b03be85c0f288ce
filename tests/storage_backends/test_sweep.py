"""The sweep: what crashes and other people left between rows and objects."""

import io
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from notifications.models import Alert
from storage_backends import services, sweeping
from storage_backends.buckets import active_bucket
from storage_backends.models import StoredFile
from storage_backends.tasks import sweep_files
from tests.seaweed import S3Server
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db


def store(user: User, count: int = 1) -> list[StoredFile]:
    return [services.store_file(user, "a", io.BytesIO(os.urandom(100))) for _ in range(count)]


def age(files: Any, by: timedelta) -> None:
    StoredFile.objects.filter(pk__in=[file.pk for file in files]).update(moved=Now() - by)


def stray(files_dir: Path, key: str, *, days: float = 2) -> Path:
    path = files_dir / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nobody knows me")
    os.utime(path, (time.time() - days * 86400,) * 2)
    return path


def test_what_was_never_written_to_its_end_is_cleared_away(buyer: User, files_dir: Path) -> None:
    kept, begun, young = store(buyer, 3)
    age([kept, begun], timedelta(hours=4))
    StoredFile.objects.filter(pk__in=[begun.pk, young.pk]).update(state="writing")

    assert sweep_files() == 1
    assert set(StoredFile.objects.all()) == {kept, young}
    assert not (files_dir / begun.key).exists()
    assert (files_dir / young.key).exists()


def test_what_deleted_accounts_left_goes(buyer: User, other_user: User, files_dir: Path) -> None:
    kept, (left,) = store(other_user), store(buyer)
    buyer.delete()
    assert sweep_files() == 1
    assert list(StoredFile.objects.all()) == kept
    assert not (files_dir / left.key).exists()


def test_an_object_without_a_row_is_cleared_away_after_a_day(buyer: User, files_dir: Path) -> None:
    kept = store(buyer)
    old = stray(files_dir, f"u/7/2026-01-01/{'a' * 32}.bin")
    young = stray(files_dir, f"u/7/2026-01-01/{'b' * 32}.bin", days=0.5)
    not_ours = stray(files_dir, "u/7/readme.txt")

    assert sweep_files() == 1
    assert not old.exists()
    assert young.exists()
    assert not_ours.exists()
    assert list(StoredFile.objects.all()) == kept


def test_a_row_without_an_object_is_told_and_cleared_away(buyer: User, files_dir: Path) -> None:
    kept, gone = store(buyer, 2)
    age([kept, gone], timedelta(hours=1))
    (files_dir / gone.key).unlink()

    assert sweep_files() == 1
    assert list(StoredFile.objects.all()) == [kept]
    assert gone.key in Alert.objects.get(event="files_differ").content


def test_many_differences_are_told_and_nothing_is_deleted(buyer: User, files_dir: Path) -> None:
    files = store(buyer, sweeping.A_FEW + 1)
    age(files, timedelta(hours=1))
    (files_dir / "u").rename(files_dir / "moved")
    strays = [stray(files_dir, f"u/7/2026-01-01/{number:032x}.bin") for number in range(sweeping.A_FEW + 1)]

    assert sweep_files() == 0
    assert StoredFile.objects.count() == len(files)
    assert all(path.exists() for path in strays)
    assert Alert.objects.filter(event="files_differ").count() == 2


def test_a_bucket_is_compared_piece_by_piece(buyer: User, files_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 3)
    files = sorted(store(buyer, 7), key=lambda file: file.key)
    age(files, timedelta(hours=1))
    for file in (files[1], files[6]):
        (files_dir / file.key).unlink()

    marks = []
    for _ in range(3):
        sweep_files()
        marks.append(active_bucket().swept_to)
    assert marks[-1] == "" or marks[1] == ""
    assert set(StoredFile.objects.all()) == {*files} - {files[1], files[6]}


def test_both_sides_are_compared_on_an_s3_server(buyer: User, s3: Any, s3_server: S3Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(sweeping, "STRAY", timedelta(0))
    kept, gone = store(buyer, 2)
    age([kept, gone], timedelta(hours=1))
    client = s3_server.plain
    client.delete_object(Bucket=s3.bucket, Key=gone.key)
    client.put_object(Bucket=s3.bucket, Key=f"u/7/2026-01-01/{'a' * 32}.bin", Body=b"stray")
    client.create_multipart_upload(Bucket=s3.bucket, Key=f"u/7/2026-01-01/{'b' * 32}.bin")
    time.sleep(1.1)

    assert sweep_files() == 2
    assert list(StoredFile.objects.all()) == [kept]
    assert [found["Key"] for found in client.list_objects(Bucket=s3.bucket)["Contents"]] == [kept.key]
    assert "Uploads" not in client.list_multipart_uploads(Bucket=s3.bucket)
