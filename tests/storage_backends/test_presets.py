"""What OSS and COS see: the requests as they arrive at a stand-in for their servers."""

import io
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from storage_backends import services
from storage_backends.backends.presets import endpoint_of
from storage_backends.backends.s3 import PART_BYTES
from storage_backends.buckets import activate, store_of
from storage_backends.models import Bucket, StoredFile
from tests.conftest import sampled
from tests.far_side import FarSide, Seen, http
from tests.storage_backends.samples import PNG
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db

PRESETS = {
    "oss": ("cn-hangzhou", "voice-files", "voice-files.s3.oss-cn-hangzhou.aliyuncs.com"),
    "cos": ("ap-shanghai", "voice-1250000000", "voice-1250000000.cos.ap-shanghai.myqcloud.com"),
}


def answer(seen: Seen) -> bytes:
    """As little of S3 as an upload in one piece or in parts needs."""
    if seen.line.startswith("POST") and "uploads" in seen.line:
        return http(b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>")
    if seen.line.startswith("POST"):
        return http(b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
    return http(b"", headers='ETag: "x"\r\nConnection: close\r\n')


@pytest.fixture
def recorder() -> Iterator[FarSide]:
    with FarSide(answer) as far_side:
        yield far_side


@pytest.fixture(params=sampled(PRESETS, keep=1))
def host(request: pytest.FixtureRequest, recorder: FarSide, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the preset, active, whose names all lead to the recorder."""
    region, bucket, host = PRESETS[request.param]
    domain = host.removeprefix(f"{bucket}.")
    assert endpoint_of(request.param, region) == f"https://{domain}"
    settings.S3_PRIVATE_HOSTS = [domain]
    find = socket.getaddrinfo

    def lead_here(name: Any, port: Any, *more: Any, **options: Any) -> Any:
        ours = str(name).endswith((".aliyuncs.com", ".myqcloud.com"))
        return find("127.0.0.1" if ours else name, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lead_here)
    facts = {"endpoint": f"http://{domain}:{recorder.port}", "key_id": "key", "secret": Secret("secret")}
    activate(Bucket.objects.create(name="one", kind=request.param, region=region, bucket=bucket, **facts))
    return f"{host}:{recorder.port}"


def as_they_want_it(seen: Seen) -> None:
    """Nothing that these servers do not know."""
    assert "aws-chunked" not in seen.headers.get("content-encoding", "")
    assert "transfer-encoding" not in seen.headers
    unknown = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")
    assert not [name for name in seen.headers if name.startswith(unknown)]
    assert "STREAMING" not in seen.headers.get("x-amz-content-sha256", "")
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")


def test_a_small_file_is_one_plain_request_to_the_buckets_own_host(host: str, recorder: FarSide, buyer: User) -> None:
    file = services.store_file(buyer, "dot.png", io.BytesIO(PNG))

    (seen,) = recorder.seen
    assert seen.line == f"PUT /{file.key} HTTP/1.1"
    assert seen.headers["host"] == host
    assert seen.headers["content-type"] == "image/png"
    assert seen.body == PNG
    as_they_want_it(seen)


def test_a_large_file_comes_in_plain_parts(host: str, recorder: FarSide, buyer: User) -> None:
    services.store_file(buyer, "a.bin", io.BytesIO(bytes(2 * PART_BYTES + 1)))

    methods = [seen.line.split(" ")[0] for seen in recorder.seen]
    assert (methods[0], sorted(methods[1:-1]), methods[-1]) == ("POST", ["PUT"] * 3, "POST")
    for seen in recorder.seen:
        assert seen.headers["host"] == host
        as_they_want_it(seen)
    assert sum(len(seen.body) for seen in recorder.seen if seen.line.startswith("PUT")) == 2 * PART_BYTES + 1


def test_files_are_deleted_one_by_one(host: str, recorder: FarSide, buyer: User) -> None:
    file = services.store_file(buyer, "dot.png", io.BytesIO(PNG))
    services.delete_file(buyer, file.key)

    assert recorder.seen[-1].line == f"DELETE /{file.key} HTTP/1.1"
    assert not any("delete" in seen.line for seen in recorder.seen)


def test_a_signed_address_names_the_buckets_host(host: str, buyer: User, recorder: FarSide) -> None:
    file = services.store_file(buyer, "dot.png", io.BytesIO(PNG))
    assert services.signed_url(file).startswith(f"http://{host}/{file.key}?")


def test_an_upload_whose_parts_are_refused_is_aborted(host: str, recorder: FarSide, buyer: User) -> None:
    recorder.answer = lambda seen: (
        http(b"<Error><Code>AccessDenied</Code></Error>", status="403 Forbidden")
        if seen.line.startswith("PUT")
        else answer(seen)
    )
    with pytest.raises(services.StoreDown):
        services.store_file(buyer, "a.bin", io.BytesIO(bytes(2 * PART_BYTES)))

    assert any(seen.line.startswith("DELETE") and "uploadId=one" in seen.line for seen in recorder.seen)
    assert not StoredFile.objects.exists()


def test_an_object_that_breaks_off_is_not_taken_for_whole(host: str, recorder: FarSide, buyer: User) -> None:
    file = services.store_file(buyer, "dot.png", io.BytesIO(PNG))
    recorder.answer = lambda _seen: http(PNG[:10], length=len(PNG))
    with pytest.raises(services.StoreDown):
        services.read_file(buyer, file.key, 10_000)


def test_the_secret_does_not_leave(host: str, recorder: FarSide, buyer: User) -> None:
    services.store_file(buyer, "dot.png", io.BytesIO(PNG))
    store_of(Bucket.objects.get()).listed("u/", "", 1)
    for seen in recorder.seen:
        assert "secret" not in f"{seen.line} {seen.headers}"
