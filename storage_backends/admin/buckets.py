"""Buckets: write-only keys, a test before and after saving, which is active, and what lies in each."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import Action, Report
from voicehelper.admin.columns import column, label, number
from voicehelper.admin.forms import BoundSecret, CardForm, Consequences, Status
from voicehelper.admin.probing import ProbedFormAdmin
from voicehelper.net.addresses import AddressRefused, check_written
from voicehelper.net.probe import Probe
from voicehelper.numbers import grouped

from ..backends.presets import PRESETS, endpoint_of
from ..buckets import activate, active_bucket, is_private, try_out
from ..contents import readable
from ..models import LOCAL, Bucket, kinds
from . import words

_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_REGION = re.compile(r"[a-z0-9-]*")


class BucketForm(CardForm):
    """A bucket on an S3 server."""

    bound_secrets = (
        BoundSecret(
            "secret",
            ("kind", "region", "endpoint"),
            lambda values: endpoint_of(values["kind"], values["region"], values["endpoint"]),
            _("Enter the secret again: a stored one is never used with another server than it was entered for."),
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].choices = [choice for choice in kinds() if choice[0] != LOCAL]  # type: ignore[attr-defined]

    def clean_endpoint(self) -> str:
        """Empty for a preset that knows its address; else one that operators may enter."""
        typed = str(self.cleaned_data["endpoint"]).strip().rstrip("/")
        if not typed:
            return ""
        if urlsplit(typed).path or urlsplit(typed).query:
            raise ValidationError(_("Only scheme, host and port: https://s3.example.com"))
        if typed.startswith(("http://", "https://")) and is_private(urlsplit(typed).hostname or ""):
            return typed
        try:
            return check_written(typed)
        except AddressRefused as error:
            raise ValidationError(
                _(
                    "Enter an address of the public Internet that starts with https://; one in your own network has to"
                    " be allowed at deployment (S3_PRIVATE_HOSTS)."
                )
            ) from error

    def clean_region(self) -> str:
        return self._matching("region", _REGION, _("Only small letters, digits and hyphens, like cn-hangzhou."))

    def clean_prefix(self) -> str:
        self.cleaned_data["prefix"] = str(self.cleaned_data["prefix"]).strip().strip("/")
        return self._matching("prefix", _PREFIX, _("Letters, digits, hyphens and underscores, with / between."))

    def _matching(self, name: str, pattern: "re.Pattern[str]", rule: Any) -> str:
        typed = str(self.cleaned_data[name]).strip()
        if typed and not pattern.fullmatch(typed):
            raise ValidationError(rule)
        return typed

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        preset = PRESETS.get(cleaned.get("kind", self.instance.kind))
        if preset is not None:
            self._check_place(cleaned, preset)
        return cleaned

    def _check_place(self, cleaned: dict[str, Any], preset: Any) -> None:
        if "bucket" in cleaned and not preset.bucket.fullmatch(cleaned["bucket"]):
            self.add_error("bucket", preset.bucket_rule)
        if "key_id" in cleaned and not cleaned["key_id"]:
            self.add_error("key_id", _("Please enter the access key"))
        kind = cleaned.get("kind", self.instance.kind)
        if "endpoint" in cleaned and not endpoint_of(kind, cleaned.get("region", ""), cleaned["endpoint"]):
            self.add_error("region" if preset.endpoint else "endpoint", _("Say where it is."))


@admin.register(Bucket)
class BucketAdmin(ProbedFormAdmin):
    form = BucketForm
    list_display = ("name", "kind", "where", "state", "num_files", "total_size")
    list_display_links = ("name",)
    ordering = ("-active", "name")
    actions: Any = None
    purpose = _("A place for users’ files. New ones go into the active bucket; each stays in the one it was put into.")
    password_help = _("Only needed when you enter or clear the secret.")
    save_label = _("Save")
    delete_link = True
    test_hint = _("Writes, reads, signs, lists and deletes a small object with what is entered above, saved or not.")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ["name"]}),
        (_("Where"), {"fields": ["kind", "region", "endpoint", "bucket", "prefix"]}),
        (_("Who we are there"), {"fields": ["key_id", "secret", "signature_version"]}),
    )
    place = ("kind", "region", "endpoint", "bucket", "prefix")
    placeholders = {
        "name": _("For example: OSS Hangzhou"),
        "region": "cn-hangzhou",
        "endpoint": "https://s3.example.com",
        "bucket": "voice-files",
        "key_id": _("Please enter the access key"),
        "secret": _("Please enter the secret key"),
    }
    help_texts = {
        "name": _("Only operators see it."),
        "region": _("OSS: cn-hangzhou; COS: ap-shanghai; other servers often need none."),
        "endpoint": _("Empty for OSS and COS: the region says where they are. Changing it wants the secret again."),
        "bucket": _("It must exist, and be private. COS: with the account’s number, name-1250000000."),
        "prefix": _("Optional: everything lies below it, so that a bucket can be shared."),
        "key_id": _("OSS: AccessKey ID; COS: SecretId; MinIO: access key."),
        "secret": _("Stored encrypted and never shown again."),
        "signature_version": _("Version 4, unless an old server knows only version 2."),
    }

    # --- The list ----------------------------------------------------------------------------------------------------
    num_files = number("count", _("files"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # The local disk is there from the beginning.
        active_bucket()
        rows = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(count=Count("files"), total=Sum("files__size", default=0))
        return counted

    where = column(_("where"), lambda row: _where(row))
    state = column(
        _("state"), lambda row: label("success", gettext("Active")) if row.active else label("default", gettext("Kept"))
    )
    total_size = column(_("size"), lambda row: readable(row.total))

    # --- The form ----------------------------------------------------------------------------------------------------
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What says where files are cannot change under them; keys can."""
        return self.place if obj is not None and _holds_something(obj) else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return [(None, {"fields": ["name"]})] if obj is not None and obj.kind == LOCAL else fieldsets

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and (obj.active or obj.kind == LOCAL or _holds_something(obj)))

    def status(self, row: Bucket) -> Status:
        held = row.files.aggregate(count=Count("pk"), total=Sum("size", default=0))
        lies = gettext("Files: %(count)s, %(size)s") % {
            "count": grouped(held["count"]),
            "size": readable(held["total"]),
        }
        if row.active:
            return Status("on", (gettext("Active: new files go here"), lies))
        return Status("off", (gettext("Not active: only what lies here already"), lies))

    def page_context(self, row: Bucket | None) -> dict[str, Any]:
        return {
            "title": row.name if row else gettext("New bucket"),
            "notes": _notes(row) if row else [],
            "help_steps": _steps(),
            "consequences": Consequences(gettext("Switching and changing"), _consequences()),
        }

    # --- Switching ---------------------------------------------------------------------------------------------------
    def actions_for(self, request: HttpRequest, record: Bucket) -> Sequence[Action]:
        if record.active or not self.has_change_permission(request, record):
            return ()
        hint = gettext("Tries it first. Files that are there already stay where they are, and stay readable.")
        return (Action("activate", gettext("Use for new files"), hint, main=True),)

    def do_activate(self, request: HttpRequest, record: Bucket, reason: str) -> Report:
        trial = try_out(record)
        if trial.error is not None:
            return Report(False, gettext("It stays as it was: %(why)s") % {"why": trial.error.text})
        activate(record)
        return Report(True, gettext("New files go here from now on."))

    # --- The test ----------------------------------------------------------------------------------------------------
    def probe_candidate(self, request: HttpRequest, candidate: Bucket) -> Probe:
        """Really writes, reads and deletes."""
        return words.probe_of(try_out(candidate), _where(candidate))


def _where(row: Bucket) -> str:
    if row.kind == LOCAL:
        return str(settings.FILES_DIR)
    place = "/".join(filter(None, (row.bucket, row.prefix)))
    return f"{endpoint_of(row.kind, row.region, row.endpoint)} · {place}"


def _notes(row: Bucket) -> list[tuple[str, str]]:
    """What the place of its files means: icon and text."""
    if row.kind == LOCAL:
        text = gettext(
            "Files lie in %(local_folder)s on this server. Several servers need a folder that they share, or a bucket"
            " elsewhere."
        )
        return [("hard_drive", text % {"local_folder": settings.FILES_DIR})]
    fixed = gettext("Files lie here, so its place is fixed. For another place make another bucket.")
    return [("lock", fixed)] if _holds_something(row) else []


def _steps() -> list[str]:
    return [
        gettext("Create a private bucket in the provider’s console: nobody but us reads it."),
        gettext(
            "Aliyun OSS: RAM console → a user with an AccessKey that may use this bucket only"
            " (oss:GetObject, PutObject, DeleteObject, ListObjects, AbortMultipartUpload, ListMultipartUploads)."
        ),
        gettext("Tencent COS: CAM console → a sub-account with SecretId and SecretKey for this bucket."),
        gettext("MinIO and others: endpoint with https://; one in your own network needs S3_PRIVATE_HOSTS."),
        gettext("Press “Test connection”: it writes, reads and deletes a small object and says what is wrong."),
    ]


def _consequences() -> list[str]:
    return [
        gettext("A switch needs no restart. What is being uploaded meanwhile ends where it began."),
        gettext(
            "Once files lie in a bucket, its place cannot be changed, and it cannot be deleted: they are read from"
            " there. Its keys can be replaced at any time."
        ),
    ]


def _holds_something(bucket: Bucket) -> bool:
    """Files of users, or archives."""
    return bucket.files.exists() or bucket.archives.exists()
