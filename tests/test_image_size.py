"""The image without what nobody imports: everything that is used is still there, and it is as small as is said."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deploy.image.slim import slim
from tests.faults.deployment import production
from tests.image import ROOT

PACKAGES = Path(sysconfig.get_path("purelib"))
SLIMMED = ("alipay", "babel", "boto3", "botocore", "django", "unfold", "Crypto")
# What is asked of Alipay, of a file store, and of pages in both languages.
USE_IT = """
import re, django
from pathlib import Path
django.setup()
import alipay
assert "SLIM" in alipay.__file__.replace("slim", "SLIM"), alipay.__file__
from topup.gateways.alipay.wire import official
sources = "".join(file.read_text() for file in Path("topup/gateways/alipay").glob("*.py"))
named = set(re.findall(r'"(Alipay[A-Z]\\w+)"', sources)) - {"AlipayWire", "AlipayConfig"}
tried = [official(name, {}, "https://x")["method"] for name in named]
assert len(tried) >= 8, tried
from django.utils import translation, formats
from datetime import date
for language in ("zh-hans", "en"):
    with translation.override(language):
        assert formats.date_format(date(2026, 11, 30)) and translation.gettext("Monday")
import boto3
boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y").generate_presigned_url(
    "get_object", Params={"Bucket": "b", "Key": "k"})
from voicehelper.embedded.translations import compile_translations
"""


@pytest.mark.rare
def test_what_the_image_leaves_out_nobody_misses(tmp_path: Path) -> None:
    packages = tmp_path / "slim"
    for name in SLIMMED:
        shutil.copytree(PACKAGES / name, packages / name, copy_function=os.link)
    went = slim(packages, ROOT / "topup/gateways/alipay")
    print(f"{went / 1e6:.0f} MB left out")
    assert went > 100e6
    tried = production("-c", USE_IT, PYTHONPATH=f"{packages}:{ROOT}")
    assert tried.returncode == 0, tried.stderr
    # And the installation here is as it was.
    assert len(list((PACKAGES / "alipay/aop/api/domain").glob("*.py"))) > 1000


def test_the_image_has_neither_the_stand_ins_nor_the_tests() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"tests", "sandbox", ".env", ".git"} <= set(ignored)
    build = (ROOT / "Dockerfile").read_text()
    assert "slim.py" in build
    assert re.search(r"compileall .*/venv/lib", build)
    assert subprocess.run([sys.executable, ROOT / "deploy/image/slim.py"], capture_output=True).returncode == 1
