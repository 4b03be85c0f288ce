"""Facts about files: where they lie, whose they are, and how far they have come."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField

LOCAL = "local"


def kinds() -> Iterable[tuple[str, Any]]:
    """The kinds of buckets. A callable, so that a new one needs no migration."""
    return (
        (LOCAL, _("Local disk")),
        ("oss", _("Aliyun OSS")),
        ("cos", _("Tencent COS")),
        ("s3", _("MinIO or another S3 server")),
    )


class Bucket(models.Model):
    """A place for files. New ones go into the active one; each stays in the one it was put into.

    `swept_to` is how far the sweep has compared it with the rows.
    """

    class Signature(models.TextChoices):
        V4 = "s3v4", _("Version 4")
        V2 = "s3", _("Version 2")

    name = models.CharField(_("name"), max_length=50, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=kinds, default="s3")
    endpoint = models.CharField(_("endpoint"), max_length=256, blank=True)
    region = models.CharField(_("region"), max_length=64, blank=True)
    bucket = models.CharField(_("bucket"), max_length=64, blank=True)
    prefix = models.CharField(_("prefix"), max_length=64, blank=True)
    key_id = models.CharField(_("access key"), max_length=128, blank=True)
    secret = EncryptedField(_("secret key"))
    signature_version = models.CharField(_("signature version"), max_length=8, choices=Signature, default=Signature.V4)
    active = models.BooleanField(_("active"), default=False, editable=False)
    swept_to = models.CharField(max_length=128, blank=True, editable=False)

    class Meta:
        verbose_name = _("bucket")
        verbose_name_plural = _("buckets")
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="bucket_one_active"),
            models.UniqueConstraint(fields=["kind"], condition=Q(kind=LOCAL), name="bucket_one_local"),
        ]

    def __str__(self) -> str:
        return self.name


class StoredFile(models.Model):
    """A user's file. The row is written before the object and goes after it, so that no object is ever unknown.

    `user` is empty when the account is gone: the sweep deletes what it left. `moved` is when `state` last changed.
    """

    class State(models.TextChoices):
        WRITING = "writing", _("Being written")
        STORED = "stored", _("Stored")
        DELETING = "deleting", _("Being deleted")

    class Purpose(models.TextChoices):
        UPLOAD = "upload", _("Upload")
        SPEECH = "speech", _("Spoken answer")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="files", verbose_name=_("user")
    )
    bucket = models.ForeignKey(Bucket, models.PROTECT, related_name="files", verbose_name=_("bucket"))
    # In the order of its bytes, as stores list it.
    key = models.CharField(_("path"), max_length=128, unique=True, db_collation="C", editable=False)
    name = models.CharField(_("name"), max_length=200, editable=False)
    size = models.BigIntegerField(_("size"), editable=False)
    sha256 = models.CharField("SHA-256", max_length=64, editable=False)
    content_type = models.CharField(_("type"), max_length=100, editable=False)
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose, default=Purpose.UPLOAD, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WRITING, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    moved = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        constraints = [models.CheckConstraint(condition=Q(size__gt=0), name="file_is_not_empty")]
        indexes = [
            models.Index(fields=["user", "-key"], name="file_of_user"),
            models.Index(fields=["bucket", "key"], name="file_in_bucket"),
            models.Index(fields=["moved"], condition=~Q(state="stored"), name="file_unfinished"),
            models.Index(F("created").desc(), name="file_newest"),
        ]

    def __str__(self) -> str:
        return self.key

    def move(self, to: "StoredFile.State", *, allowed: Iterable["StoredFile.State"]) -> bool:
        """False: somebody else was first."""
        rows = StoredFile.objects.filter(pk=self.pk, state__in=list(allowed))
        if rows.update(state=to, moved=Now()) != 1:
            return False
        self.state = to
        return True


class Retention(models.Model):
    """For how many months the rows of a log are kept after the end of theirs; empty: for ever. See
    voicehelper/retention.py."""

    # Of a retention.GrowingLog.
    log = models.CharField(_("log"), max_length=64, primary_key=True, editable=False)
    months = models.PositiveSmallIntegerField(_("months kept"), null=True, blank=True)
    # Whoever archives this log has it until then, and says so again as he goes on.
    busy_until = models.DateTimeField(null=True, editable=False)

    # See voicehelper/changes.py.
    SENSITIVE: ClassVar = frozenset({"months"})

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retention")

    def __str__(self) -> str:
        return self.log


class Archive(models.Model):
    """A finished month of a log, written into a file and then deleted from its table. `key` is its place in the bucket:
    gzip, one row a line as JSON; `size` in bytes, `sha256` of the file. A month whose rows could not all go has more
    than one `part`. `deleted_to` is the last row that is gone: from there a killed run goes on."""

    class State(models.TextChoices):
        WRITING = "writing", _("Being written")
        DELETING = "deleting", _("Written; rows are being deleted")
        DONE = "done", _("Written; rows are deleted")

    log = models.CharField(_("log"), max_length=64, editable=False)
    month = models.DateField(_("month"), editable=False)
    part = models.PositiveSmallIntegerField(_("part"), editable=False)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WRITING, editable=False)
    bucket = models.ForeignKey(
        Bucket, models.PROTECT, related_name="archives", verbose_name=_("bucket"), editable=False
    )
    key = models.CharField(_("path"), max_length=128, blank=True, editable=False)
    rows = models.BigIntegerField(_("rows"), default=0, editable=False)
    size = models.BigIntegerField(_("size"), default=0, editable=False)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, editable=False)
    deleted_to = models.BigIntegerField(default=0, editable=False)
    deleted = models.BigIntegerField(_("rows deleted"), default=0, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    finished = models.DateTimeField(_("finished"), null=True, editable=False)

    class Meta:
        verbose_name = _("archive")
        verbose_name_plural = _("archives")
        constraints = [models.UniqueConstraint(fields=["log", "month", "part"], name="archive_counted")]
        indexes = [models.Index(fields=["-created"], name="archive_newest")]

    def __str__(self) -> str:
        return f"{self.log} {self.month:%Y-%m} #{self.part}"
