"""The pages of what is kept how long, and of what was archived."""

import gzip
from collections.abc import Callable
from datetime import date

import pytest
from django.test import Client

from notifications.models import Alert
from storage_backends import tasks
from storage_backends.models import Archive, Bucket, Retention
from voicehelper.accounts.models import User

from .test_archiving import called, keep, months_ago

pytestmark = pytest.mark.django_db


def test_the_page_says_what_is_kept_and_the_months_are_changed_with_the_password(
    browser: Client, staff: User, db: None
) -> None:
    called(months_ago(2))
    page = browser.get("/admin/storage_backends/retention/").text
    assert "12 months" in page
    assert f"{months_ago(2):%Y-%m-15}" in page
    address = "/admin/storage_backends/retention/topup.gatewaycall/change/"
    assert "Cybersecurity Law" in browser.get(address).text
    typed = {"months": "5", "current_password": "a long operator password"}
    assert "At least 6 months." in browser.post(address, typed).text
    assert browser.post(address, {**typed, "months": "7"}).status_code == 302
    assert Retention.objects.get(log="topup.gatewaycall").months == 7
    assert Alert.objects.filter(event="settings_changed").exists()


def test_an_archive_is_downloaded_by_whoever_may_see_it(browser: Client, buyer: User) -> None:
    keep()
    called(months_ago(9))
    tasks.archive_logs()
    archive = Archive.objects.get()
    assert "Done" in browser.get("/admin/storage_backends/archive/").text or archive.rows == 1
    address = f"/admin/storage_backends/archive/{archive.pk}/download/"
    answer = browser.get(address)
    packed = b"".join(answer.streaming_content)  # type: ignore[arg-type]
    assert len(gzip.decompress(packed).splitlines()) == 1
    assert answer["Content-Disposition"].startswith('attachment; filename="topup.gatewaycall-')
    client = Client()
    client.force_login(buyer)
    assert client.get(address).status_code == 302


def test_a_bucket_with_an_archive_stays_where_it_is(browser: Client, new_bucket: Callable[..., Bucket]) -> None:
    bucket = new_bucket()
    address = f"/admin/storage_backends/bucket/{bucket.pk}/delete/"
    assert browser.get(address).status_code == 200
    Archive.objects.create(log="topup.gatewaycall", month=date(2026, 1, 1), part=1, bucket=bucket)
    assert browser.get(address).status_code == 403
