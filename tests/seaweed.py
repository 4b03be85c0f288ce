"""A real S3 server (SeaweedFS, out of a wheel) on free ports of loopback, with one account."""

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from voicehelper.embedded.process import Process

ACCESS_KEY = "voicehelper-test"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")


class S3Server:
    """Starts with the first `with`; its data is gone afterwards. It makes no bucket by itself."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="seaweed-"))
        (self._folder / "data").mkdir()
        self.secret = secrets.token_hex(20)
        config = self._folder / "s3.json"
        account = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config.write_text(json.dumps({"identities": [account]}))
        self.port, s3_grpc, *others = _free_ports(len(_PORTS) + 2)
        self._process = Process(
            f"seaweed-{os.getpid()}",
            [
                str(Path(sys.executable).with_name("weed")),
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-dir={self._folder / 'data'}",
                "-master.volumeSizeLimitMB=64",
                "-volume.max=0",
                "-volume.preStopSeconds=0",
                *(f"-{name}={port}" for name, port in zip(_PORTS, others, strict=True)),
                "-s3",
                f"-s3.port={self.port}",
                f"-s3.port.grpc={s3_grpc}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.config={config}",
                "-s3.autoCreateBucket=false",
            ],
            Path(os.environ["VOICEHELPER_DATA"]),
            grace_s=1,
            remove=[self._folder],
        )
        self._process.wait_until(self._ready)
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def plain(self) -> Any:
        """Plain boto3, the same each time: making one takes long."""
        return self.client()

    def client(self, **more: Any) -> Any:
        """Plain boto3, with more options."""
        options = {"s3": {"addressing_style": "path"}, "signature_version": "s3v4", "proxies": {}}
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=self.secret,
            config=Config(**{**options, **more}),
        )

    def make_bucket(self) -> str:
        name = f"files-{secrets.token_hex(6)}"
        self.plain.create_bucket(Bucket=name)
        return name

    def _ready(self) -> bool:
        """Whether it keeps something: its parts come up one after the other."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                pass
            client = self.plain
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except (OSError, BotoCoreError, ClientError):
            return False
        return True


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()
