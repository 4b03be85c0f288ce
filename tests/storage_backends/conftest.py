"""Files go into a folder of their own, for each test; and a real S3 server for those that want one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage_backends.buckets import activate
from storage_backends.models import Bucket
from tests.seaweed import ACCESS_KEY, S3Server
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret


@pytest.fixture(autouse=True)
def files_dir(settings: Any, tmp_path: Path) -> Path:
    settings.FILES_DIR = str(tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def api(as_user: Any, buyer: User) -> Any:
    """The buyer's client."""
    return as_user(buyer)


@pytest.fixture
def new_bucket(db: None, s3_server: S3Server, settings: Any) -> Callable[..., Bucket]:
    """Makes buckets there, each with its row."""
    settings.S3_PRIVATE_HOSTS = ["127.0.0.1"]

    def make(**facts: Any) -> Bucket:
        bucket = facts.get("bucket") or s3_server.make_bucket()
        known = {"name": bucket, "kind": "s3", "endpoint": s3_server.url, "bucket": bucket, "key_id": ACCESS_KEY}
        return Bucket.objects.create(**{**known, "secret": Secret(s3_server.secret), **facts})

    return make


@pytest.fixture
def s3(new_bucket: Callable[..., Bucket]) -> Bucket:
    """The active bucket."""
    bucket = new_bucket()
    activate(bucket)
    return bucket
