"""Storing files beside plain boto3 on the same server: SeaweedFS, one after the other, in turns."""

import io
import os
import secrets
import time
from collections.abc import Callable
from statistics import median

ROUNDS = 5
# Bytes of a file, and how many in a round.
SIZES = {"64 KiB": (64 * 1024, 40), "4 MiB": (4 * 1024**2, 10), "64 MiB": (64 * 1024**2, 2)}


def measure() -> dict[str, dict[str, float]]:
    """MiB per second of both, and the ratio of their medians."""
    from django.conf import settings

    from storage_backends import services
    from storage_backends.buckets import activate
    from storage_backends.models import Bucket
    from tests.seaweed import ACCESS_KEY, S3Server
    from voicehelper.accounts.models import User
    from voicehelper.secrets import Secret

    settings.S3_PRIVATE_HOSTS = ["127.0.0.1"]
    settings.FILES_PER_USER = settings.FILE_BYTES_PER_USER = 2**40
    user = User.objects.create_user("files")
    figures = {}
    with S3Server() as server:
        name = server.make_bucket()
        facts = {"kind": "s3", "endpoint": server.url, "bucket": name, "key_id": ACCESS_KEY}
        activate(Bucket.objects.create(name="bench", secret=Secret(server.secret), **facts))
        plain = server.plain
        for label, (size, count) in SIZES.items():
            content = os.urandom(size)

            def ours(content: bytes = content) -> None:
                services.store_file(user, "a.bin", io.BytesIO(content))

            def theirs(content: bytes = content) -> None:
                plain.upload_fileobj(io.BytesIO(content), name, secrets.token_hex(16))

            times = [(clocked(ours, count), clocked(theirs, count)) for _ in range(ROUNDS + 1)][1:]
            speeds = [size * count / 1024**2 / median(column) for column in zip(*times, strict=True)]
            figures[label] = {
                "mib_per_second": round(speeds[0], 1),
                "boto3_mib_per_second": round(speeds[1], 1),
                "ratio": round(speeds[0] / speeds[1], 3),
            }
    return figures


def clocked(act: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        act()
    return time.perf_counter() - start


def show(figures: dict[str, dict[str, float]]) -> None:
    print("\nFiles stored, beside plain boto3 on the same SeaweedFS; ours with digest and two commits each.\n")
    print(f"{'':10}{'MiB/s':>12}{'boto3 MiB/s':>14}{'ratio':>10}")
    for size, values in figures.items():
        print(f"{size:10}" + "".join(f"{values[k]:>{w}}" for k, w in zip(values, (12, 14, 10), strict=True)))
