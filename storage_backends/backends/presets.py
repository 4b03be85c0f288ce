"""What is particular to each kind of S3 server: where it is, how its buckets are addressed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Preset:
    """`endpoint` with {region}, or empty: it has to be entered. `addressing` is boto3's addressing_style."""

    label: Any
    endpoint: str
    addressing: str
    bucket: "re.Pattern[str]"
    bucket_rule: Any


_PLAIN = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

PRESETS: Mapping[str, Preset] = {
    # Only the virtual-hosted style: another is answered SecondLevelDomainForbidden.
    # https://help.aliyun.com/zh/oss/developer-reference/use-amazon-s3-sdks-to-access-oss
    "oss": Preset(
        _("Aliyun OSS"),
        "https://s3.oss-{region}.aliyuncs.com",
        "virtual",
        re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
        _("3 to 63 small letters, digits and hyphens."),
    ),
    # https://cloud.tencent.com/document/product/436/37421
    "cos": Preset(
        _("Tencent COS"),
        "https://cos.{region}.myqcloud.com",
        "virtual",
        re.compile(r"[a-z0-9][a-z0-9-]{0,49}-[0-9]{6,12}"),
        _("With the account’s number: name-1250000000."),
    ),
    "s3": Preset(
        _("MinIO or another S3 server"), "", "path", _PLAIN, _("3 to 63 small letters, digits, dots and hyphens.")
    ),
}


def endpoint_of(kind: str, region: str, typed: str = "") -> str:
    """Where a bucket's server is: what was typed, else the preset's; empty when neither is known."""
    preset = PRESETS[kind]
    if typed or not preset.endpoint:
        return typed.rstrip("/")
    return preset.endpoint.format(region=region) if region else ""
