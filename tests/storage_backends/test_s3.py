"""Files on a real S3 server."""

import hashlib
import io
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import translation

from storage_backends import services
from storage_backends.backends.s3 import PART_BYTES
from storage_backends.buckets import activate, active_bucket, store_of, try_out
from storage_backends.models import Bucket, StoredFile
from tests.conftest import full, sampled
from tests.seaweed import S3Server
from tests.storage_backends.samples import HTML, PNG, send
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db


def fetch(url: str) -> tuple[int, dict[str, str], bytes]:
    """As somebody who has nothing but the address."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers.items()), error.read()


def objects(server: S3Server, bucket: Bucket) -> list[str]:
    return [found["Key"] for found in server.plain.list_objects(Bucket=bucket.bucket).get("Contents", ())]


def test_a_file_is_stored_listed_shown_and_deleted(api: Any, s3: Bucket, s3_server: S3Server) -> None:
    said = send(api, PNG, "dot.png").json()

    assert objects(s3_server, s3) == [said["path"]]
    head = s3_server.plain.head_object(Bucket=s3.bucket, Key=said["path"])
    assert head["ContentType"] == "image/png"
    assert head["Metadata"]["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert head["Metadata"]["uploaded"].startswith("20")
    assert urlsplit(said["url"]).netloc == f"127.0.0.1:{s3_server.port}"
    status, headers, body = fetch(said["url"])
    assert (status, headers["Content-Type"], body) == (200, "image/png", PNG)
    assert b"".join(api.get(f"/api/files/{said['path']}?download=1").streaming_content) == PNG

    assert api.delete(f"/api/files/{said['path']}").status_code == 200
    assert objects(s3_server, s3) == []


def test_the_store_shows_no_page_either(api: Any, s3: Bucket) -> None:
    status, headers, _body = fetch(send(api, HTML, "页面.html").json()["url"])
    assert status == 200
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Disposition"].startswith("attachment")


def test_a_signed_address_is_for_one_object_and_a_while(api: Any, s3: Bucket, s3_server: S3Server) -> None:
    first, second = (send(api, PNG + bytes([number])).json() for number in (1, 2))

    assert "X-Amz-Expires=600" in first["url"]
    assert fetch(first["url"])[0] == 200
    assert fetch(first["url"].replace(first["path"], second["path"]))[0] == 403
    assert fetch(first["url"].replace("X-Amz-Expires=600", "X-Amz-Expires=6000"))[0] == 403
    assert fetch(first["url"].replace("image%2Fpng", "text%2Fhtml"))[0] == 403
    assert fetch(first["url"].split("?")[0])[0] == 403
    put = urllib.request.Request(first["url"], data=b"other", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(put)
    refused.value.close()
    assert refused.value.code == 403
    expired = services.signed_url(StoredFile.objects.get(key=second["path"]), 1)
    threading.Event().wait(2.1)
    assert fetch(expired)[0] == 403


@pytest.mark.rare
def test_a_large_file_comes_in_parts_and_in_constant_memory(
    buyer: User, s3: Bucket, s3_server: S3Server, tmp_path: Path, settings: Any
) -> None:
    size = full(1024, 64) * 1024**2
    settings.FILE_MAX_BYTES = settings.FILE_BYTES_PER_USER = 2 * 1024**3
    services.store_file(buyer, "warm", io.BytesIO(os.urandom(2 * PART_BYTES)))
    path = tmp_path / "large"
    block = os.urandom(1024**2)
    with path.open("wb") as large:
        for number in range(size // 1024**2):
            large.write(number.to_bytes(8, "big") + block[8:])
    before, stop, peak = resident(), threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.01):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with path.open("rb") as large:
        file = services.store_file(buyer, "large.bin", large)
    digest = hashlib.sha256()
    for part in services.bytes_of(file):
        digest.update(part)
    stop.set()
    watcher.join()

    assert file.size == size
    assert digest.hexdigest() == file.sha256
    assert "-" in s3_server.plain.head_object(Bucket=s3.bucket, Key=file.key)["ETag"], "in parts"
    grown = peak[0] - before
    print(f"{size // 1024**2} MiB in {grown // 1024**2} MiB of memory")
    assert grown < 150 * 1024**2


def resident() -> int:
    """This process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Breaking(io.RawIOBase):
    """A file whose disk fails after a while, the second time it is read."""

    def __init__(self, size: int) -> None:
        self.size, self.at, self.rounds = size, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.rounds += offset == 0 and whence == 0
        self.at = {0: 0, 1: self.at, 2: self.size}[whence] + offset
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        if self.rounds > 1 and self.at >= 2 * PART_BYTES:
            raise OSError("the disk is gone")
        size = min(size if size >= 0 else self.size, self.size - self.at)
        self.at += size
        return bytes(size)


def test_an_upload_that_breaks_leaves_no_part_behind(buyer: User, s3: Bucket, s3_server: S3Server) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        services.store_file(buyer, "a.bin", Breaking(5 * PART_BYTES))  # type: ignore[arg-type]

    assert "Uploads" not in s3_server.plain.list_multipart_uploads(Bucket=s3.bucket)
    assert objects(s3_server, s3) == []
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize(
    ("facts", "said"),
    sampled(
        [
            ({"key_id": "somebody-else"}, "The access key is unknown there."),
            ({"secret": Secret("a wrong secret")}, "The secret does not belong to the access key."),
            ({"bucket": "no-such-bucket"}, "There is no such bucket there."),
            ({"endpoint": "http://127.0.0.1:1"}, "The server cannot be reached"),
        ],
        keep=2,
    ),
    ids=["key", "secret", "bucket", "nobody there"],
)
def test_what_is_wrong_with_a_bucket_is_said_in_words(
    new_bucket: Callable[..., Bucket], facts: dict[str, Any], said: str, api: Any
) -> None:
    bucket = new_bucket(**facts)
    with translation.override("en"):
        trial = try_out(bucket)
        assert trial.failed == "write"
        assert trial.error is not None
        assert str(trial.error.text).startswith(said)
        assert trial.error.hint

    activate(bucket)
    answer = send(api, PNG)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_down")
    assert int(answer["Retry-After"]) > 0


def test_a_bucket_that_works_is_tried_in_five_steps(s3: Bucket, s3_server: S3Server) -> None:
    trial = try_out(s3)
    assert trial.steps == ("write", "read", "sign", "list", "delete")
    assert trial.error is None
    assert objects(s3_server, s3) == []


def test_a_private_address_is_refused_unless_the_deployer_allows_it(
    new_bucket: Callable[..., Bucket], settings: Any
) -> None:
    """Also the address that a name leads to only when boto3 connects."""
    settings.S3_PRIVATE_HOSTS = []
    trial = try_out(new_bucket())
    assert trial.error is not None
    assert trial.error.code == "address_refused"
    assert "S3_PRIVATE_HOSTS" in str(trial.error.hint)


def test_a_prefix_is_kept_apart(new_bucket: Callable[..., Bucket], s3_server: S3Server, api: Any) -> None:
    bucket = new_bucket(prefix="voice/helper")
    activate(bucket)
    path = send(api, PNG).json()["path"]
    assert objects(s3_server, bucket) == [f"voice/helper/{path}"]
    assert [listed.key for listed in store_of(bucket).listed("u/", "", 10)] == [path]
    assert store_of(bucket).listed("u/", path, 10) == []


def test_old_files_stay_readable_when_the_bucket_changes(api: Any, s3: Bucket, new_bucket: Any) -> None:
    old = send(api, PNG).json()["path"]
    other = new_bucket()
    activate(other)
    new = send(api, PNG).json()["path"]

    assert [StoredFile.objects.get(key=path).bucket for path in (old, new)] == [s3, other]
    for path in (old, new):
        assert b"".join(api.get(f"/api/files/{path}?download=1").streaming_content) == PNG


def test_keys_can_be_changed_without_a_restart(api: Any, s3: Bucket, s3_server: S3Server) -> None:
    Bucket.objects.update(secret=Secret("wrong"))
    assert send(api, PNG).status_code == 503
    Bucket.objects.update(secret=Secret(s3_server.secret))
    assert send(api, PNG).status_code == 200


@pytest.mark.rare
@pytest.mark.django_db(transaction=True)
def test_switching_while_uploads_run_loses_nothing(
    buyer: User, new_bucket: Callable[..., Bucket], s3_server: S3Server
) -> None:
    buckets = [new_bucket(), new_bucket()]
    activate(buckets[0])
    rounds, results = full(50, 8), list[tuple[str, bytes]]()
    failures: list[Exception] = []

    def upload(number: int) -> None:
        try:
            for turn in range(rounds):
                content = os.urandom(1000 + number + turn)
                results.append((services.store_file(buyer, "a", io.BytesIO(content)).key, content))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    turn = 0
    while any(thread.is_alive() for thread in threads):
        turn += 1
        activate(buckets[turn % 2])
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(results) == 4 * rounds
    for key, content in results:
        assert services.read_file(buyer, key, 10_000)[1] == content
    assert {file.bucket for file in StoredFile.objects.all()} == set(buckets)
    assert sum(len(objects(s3_server, bucket)) for bucket in buckets) == len(results)
    assert active_bucket() in buckets
