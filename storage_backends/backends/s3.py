"""Every store that speaks S3: Aliyun OSS, Tencent COS, MinIO and its kin, through django-storages.

boto3 would add checksums in trailers (aws-chunked) that OSS and COS do not know; and neither wants bulk deletion, which
needs a Content-MD5 that boto3 does not send any more.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import IO, Any

from boto3 import Session
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session as BotocoreSession
from django.core.files.base import File
from storages.backends.s3 import S3Storage

from voicehelper.net.http import CONNECT_S
from voicehelper.secrets import Secret

from .base import Body, Label, Listed, Store
from .connections import connect_through_http
from .diagnosis import explained

PART_BYTES = 8 * 1024 * 1024
# Parts of one upload that are in memory at once.
_PARTS_AT_ONCE = 4
READ_S = 30


@dataclass(frozen=True)
class S3Account:
    """Where a bucket is, and who we are there. `private`: the deployer allows its host to be in a private network."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret: Secret
    signature_version: str
    addressing: str
    prefix: str = ""
    private: bool = False


class _Storage(S3Storage):  # type: ignore[misc]  # django-storages has no types
    """django-storages' with one client for all threads, whose connections are ours. boto3's clients may be shared, and
    making one takes a tenth of a second."""

    def __init__(self, account: S3Account) -> None:
        self._account = account
        self._making = threading.Lock()
        self._shared: Any = None
        transfer = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=_PARTS_AT_ONCE
        )
        # How many parts wait in memory; boto3's own TransferConfig does not take it.
        transfer.max_in_memory_upload_chunks = _PARTS_AT_ONCE
        super().__init__(
            bucket_name=account.bucket,
            access_key=account.access_key,
            secret_key=account.secret.reveal(),
            security_token=None,
            session_profile=None,
            endpoint_url=account.endpoint,
            region_name=account.region or "us-east-1",
            location=account.prefix,
            transfer_config=transfer,
            client_config=_config(account),
        )

    @property
    def connection(self) -> Any:
        with self._making:
            if self._shared is None:
                made = super().connection
                connect_through_http(made.meta.client, trusted=self._account.private)
                self._shared = made
        return self._shared

    def _create_session(self) -> Any:
        # What boto3 knows of S3 is 80 ms of JSON: read once for all buckets.
        known = BotocoreSession()
        known.register_component("data_loader", _known_of_s3())
        return Session(aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key, botocore_session=known)

    def _get_write_parameters(self, name: str, content: Any = None) -> dict[str, Any]:
        label: Label = content.label
        return {
            "ContentType": label.content_type,
            "ContentDisposition": label.disposition,
            "Metadata": dict(label.facts),
        }


@cache
def _known_of_s3() -> Any:
    return BotocoreSession().get_component("data_loader")


def _config(account: S3Account) -> Config:
    return Config(
        s3={"addressing_style": account.addressing},
        signature_version=account.signature_version,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
        # Not the machine's: files would go through a stranger.
        proxies={},
    )


class S3Store(Store):
    """A bucket, or what lies in it below a prefix."""

    def __init__(self, account: S3Account) -> None:
        self._account = account
        self._storage = _Storage(account)

    def put(self, key: str, content: IO[bytes], label: Label) -> None:
        file = File(content)
        file.label = label  # type: ignore[attr-defined]
        with _explaining():
            self._storage.save(key, file)

    def open(self, key: str) -> Body:
        with _explaining():
            return _Arriving(self._object(key).get()["Body"])

    def has(self, key: str) -> bool:
        with _explaining():
            return bool(self._storage.exists(key))

    def delete(self, key: str) -> None:
        with _explaining():
            self._storage.delete(key)

    def listed(self, prefix: str, after: str, limit: int) -> list[Listed]:
        below = f"{self._account.prefix}/" if self._account.prefix else ""
        marker = {"Marker": below + after} if after else {}
        with _explaining():
            # The first version of the call: not every server knows the second.
            answer = self._client.list_objects(
                Bucket=self._account.bucket, Prefix=below + prefix, MaxKeys=limit, **marker
            )
        return [
            Listed(found["Key"].removeprefix(below), found["Size"], found["LastModified"])
            for found in answer.get("Contents", ())
        ]

    def signed_url(self, key: str, seconds: int, label: Label) -> str | None:
        shown = {"ResponseContentType": label.content_type, "ResponseContentDisposition": label.disposition}
        with _explaining():
            return str(self._storage.url(key, parameters=shown, expire=seconds))

    def abort_unfinished(self, before: datetime) -> int:
        below = f"{self._account.prefix}/" if self._account.prefix else ""
        bucket = {"Bucket": self._account.bucket}
        count = 0
        with _explaining():
            for upload in self._client.list_multipart_uploads(**bucket, Prefix=f"{below}u/").get("Uploads", ()):
                if upload["Initiated"] < before:
                    self._client.abort_multipart_upload(**bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                    count += 1
        return count

    @property
    def _client(self) -> Any:
        return self._storage.connection.meta.client

    def _object(self, key: str) -> Any:
        return self._storage.bucket.Object(self._storage._normalize_name(key))


class _Arriving:
    """An object's bytes; what goes wrong on their way is explained too."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def read(self, amount: int, /) -> bytes:
        with _explaining():
            return self._body.read(amount)

    def close(self) -> None:
        self._body.close()


@contextmanager
def _explaining() -> Iterator[None]:
    """boto3's errors as ours."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise explained(error) from error
