"""Uploads as they arrive at voicehelper/asgi.py: read while they come, and only from those who may send them."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from storage_backends.models import StoredFile
from voicehelper import asgi
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
TAIL = b"\r\n--edge--\r\n"


class Client:
    """Sends a body in pieces, and keeps what it is answered."""

    def __init__(self, pieces: Iterable[bytes | float], *, hangs_up: bool = False) -> None:
        self.pieces = list(pieces)
        self.hangs_up = hangs_up
        self.taken = 0
        self.status = 0
        self.body = b""

    async def receive(self) -> dict[str, Any]:
        if self.taken == len(self.pieces):
            if not self.hangs_up:
                await asyncio.sleep(30)
            return {"type": "http.disconnect"}
        piece = self.pieces[self.taken]
        self.taken += 1
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            return await self.receive()
        more = self.hangs_up or self.taken < len(self.pieces)
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")


def upload(client: Client, user: User | None, length: int | None = None, path: str = "/api/files/upload") -> None:
    size = sum(len(piece) for piece in client.pieces if isinstance(piece, bytes)) if length is None else length
    headers = [(b"host", b"testserver"), (b"content-type", b"multipart/form-data; boundary=edge")]
    if size >= 0:
        headers.append((b"content-length", str(size).encode()))
    if user is not None:
        headers.append((b"authorization", f"Bearer {issue_token(user)}".encode()))
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}

    async def run() -> None:
        guard = asgi.BodyGuard()
        await asyncio.wait_for(guard(scope, client.receive, client.send), 20)
        # Its connection goes with its thread.
        await asyncio.get_running_loop().run_in_executor(guard.files._threads, lambda: connection.close())
        guard.files._threads.shutdown()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _one_thread(settings: Any) -> None:
    """The connection that is closed at the end is the one that was used."""
    settings.FILE_THREADS = 1


def left(files_dir: Path) -> list[Path]:
    return [path for path in files_dir.rglob("*") if path.is_file()]


def test_a_file_larger_than_any_other_body_is_taken(buyer: User, files_dir: Path) -> None:
    content = b"0123456789abcdef" * (3 * 1024**2 // 16)
    client = Client([HEAD, *(content[at : at + 65536] for at in range(0, len(content), 65536)), TAIL])
    upload(client, buyer)

    assert client.status == 200, client.body
    path = json.loads(client.body)["path"]
    assert (files_dir / path).read_bytes() == content


def test_nobody_sends_a_file_who_may_not(buyer: User, settings: Any) -> None:
    """The refusal comes before the first byte was read."""
    stranger = Client([HEAD, b"x" * 1000, TAIL])
    upload(stranger, None)
    assert (stranger.status, stranger.taken) == (401, 0)

    too_large = Client([HEAD, b"x", TAIL])
    upload(too_large, buyer, settings.FILE_MAX_BYTES + 2**20)
    assert (too_large.status, too_large.taken) == (413, 0)

    settings.FILE_BYTES_PER_USER = 1000
    full = Client([HEAD, b"x" * 10_000, TAIL])
    upload(full, buyer)
    assert (full.status, full.taken) == (413, 0)
    assert json.loads(full.body)["code"] == "file_quota_full"

    unmeasured = Client([HEAD, b"x", TAIL])
    upload(unmeasured, buyer, -1)
    assert (unmeasured.status, unmeasured.taken) == (411, 0)


def test_who_is_too_slow_or_hangs_up_leaves_nothing(
    buyer: User, files_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Client([HEAD, b"x" * 100_000], hangs_up=True)
    upload(gone, buyer, 200_000)
    assert gone.status == 408

    monkeypatch.setattr(asgi, "PAUSE_SECONDS", 0.2)
    slow = Client([HEAD, b"x" * 1000, 5.0, b"x" * 1000, TAIL])
    upload(slow, buyer)
    assert slow.status == 408
    assert json.loads(slow.body)["code"] == "interrupted"

    assert not StoredFile.objects.exists()
    assert left(files_dir) == []


def test_a_form_with_files_is_read_from_who_is_signed_in_and_no_larger_than_a_question(buyer: User) -> None:
    stranger = Client([HEAD, b"x" * 1000, TAIL])
    upload(stranger, None, path="/chat")
    assert (stranger.status, stranger.taken) == (302, 0)

    too_large = Client([HEAD, b"x", TAIL])
    upload(too_large, None, asgi.WITH_FILES_BYTES + 1, path="/chat/mine")
    assert (too_large.status, too_large.taken) == (413, 0)
