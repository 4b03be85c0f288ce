"""Buckets and their stores: which is active, how to reach one, and whether it works."""

import hashlib
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.net.probe import since_ms
from voicehelper.secrets import Secret, SecretUnreadable

from .backends.base import Label, Parts, Store, StoreError
from .backends.local import LocalStore
from .backends.presets import PRESETS, endpoint_of
from .models import LOCAL, Bucket

_opening = threading.Lock()


def active_bucket() -> Bucket:
    """Where new files go. Read anew each time, so that every process follows a switch at once."""
    return Bucket.objects.filter(active=True).first() or _first_bucket()


def _first_bucket() -> Bucket:
    """The local disk, until an operator says otherwise."""
    try:
        with transaction.atomic(), translation.override(settings.LANGUAGE_CODE):
            local, _made = Bucket.objects.get_or_create(kind=LOCAL, defaults={"name": gettext("Local disk")})
            Bucket.objects.filter(pk=local.pk).update(active=True)
    except IntegrityError:
        # Another process was first.
        return Bucket.objects.get(active=True)
    local.active = True
    return local


def activate(bucket: Bucket) -> None:
    """New files go there from now on. What is being written goes on where it began."""
    with transaction.atomic():
        # One switch at a time.
        list(Bucket.objects.select_for_update().order_by("pk").values_list("pk"))
        Bucket.objects.filter(active=True).exclude(pk=bucket.pk).update(active=False)
        Bucket.objects.filter(pk=bucket.pk).update(active=True)


def store_of(bucket: Bucket) -> Store:
    """The bucket's store, opened once per process and again when the row changes. Raises StoreError."""
    if bucket.kind == LOCAL:
        return LocalStore(Path(settings.FILES_DIR))
    try:
        secret = bucket.secret.reveal()
    except SecretUnreadable as error:
        raise StoreError(_("The stored secret cannot be read."), str(error), "secret") from error
    if not (bucket.key_id and secret and bucket.bucket):
        raise StoreError(_("The bucket is not completely configured."), _("Enter bucket, access key and secret."))
    endpoint = endpoint_of(bucket.kind, bucket.region, bucket.endpoint)
    if not endpoint:
        raise StoreError(_("The bucket is not completely configured."), _("Enter its region, or an endpoint."))
    with _opening:
        return _open(
            endpoint,
            bucket.region,
            bucket.bucket,
            bucket.key_id,
            Secret(secret),
            bucket.signature_version,
            PRESETS[bucket.kind].addressing,
            bucket.prefix,
            is_private(urlsplit(endpoint).hostname or ""),
        )


@lru_cache(maxsize=32)
def _open(*facts: Any) -> Store:
    # Loading boto3 takes a second and 40 MB: only who uses it pays.
    s3 = import_module(".backends.s3", __package__)
    store: Store = s3.S3Store(s3.S3Account(*facts))
    return store


def is_private(host: str) -> bool:
    """Whether the deployer allows this host, or all below its domain, to be in a private network."""
    allowed = [name.lower().lstrip(".") for name in settings.S3_PRIVATE_HOSTS]
    return any(host.lower() == name or host.lower().endswith(f".{name}") for name in allowed)


# --- Trying one ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Trial:
    """What came of trying a bucket: the steps that worked, and the one that did not."""

    steps: tuple[str, ...]
    elapsed_ms: int
    failed: str = ""
    error: StoreError | None = None


def try_out(bucket: Bucket) -> Trial:
    """Write, read, sign and delete a small object. The row need not be saved."""
    key = f"u/0/probe/{secrets.token_hex(16)}.txt"
    text = secrets.token_bytes(64)
    label = Label("application/octet-stream", "attachment", (("sha256", hashlib.sha256(text).hexdigest()),))
    started, done = time.monotonic_ns(), list[str]()
    step = "open"
    try:
        store = store_of(bucket)
        for step, act in _steps(store, key, text, label):
            act()
            done.append(step)
    except StoreError as error:
        return Trial(tuple(done), since_ms(started), step, error)
    return Trial(tuple(done), since_ms(started))


def _steps(store: Store, key: str, text: bytes, label: Label) -> list[tuple[str, Callable[[], object]]]:
    def write() -> None:
        with tempfile.TemporaryFile() as content:
            content.write(text)
            store.put(key, content, label)

    def read() -> None:
        if b"".join(Parts(store.open(key))) != text:
            raise StoreError(_("The store answers with something else than was put there."))

    return [
        ("write", write),
        ("read", read),
        ("sign", lambda: store.signed_url(key, 60, label)),
        ("list", lambda: store.listed("u/0/probe/", "", 1)),
        ("delete", lambda: store.delete(key)),
    ]
