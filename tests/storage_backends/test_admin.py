"""Buckets and files, as operators meet them."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import translation

from storage_backends.buckets import activate, active_bucket
from storage_backends.models import Bucket
from tests.conftest import sampled
from tests.operators import errors
from tests.seaweed import ACCESS_KEY, S3Server
from tests.storage_backends.samples import PNG, send
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db

PASSWORD = "a long operator password"
SECRET = "osssecretQm2Wv7Kt4Rn6Yb3Pd9Hf5Jg"
LIST = "/admin/storage_backends/bucket/"
ADD = f"{LIST}add/"
FILES = "/admin/storage_backends/storedfile/"


def form(**changes: Any) -> dict[str, Any]:
    typed = {"name": "OSS", "kind": "oss", "region": "cn-hangzhou", "endpoint": "", "bucket": "voice", "prefix": ""}
    typed |= {"key_id": "LTAI5t", "secret": "", "signature_version": "s3v4"}
    return typed | changes


def stored(**changes: Any) -> Bucket:
    facts = form(secret=Secret(SECRET)) | changes
    return Bucket.objects.create(**facts)


def page(row: Bucket) -> str:
    return f"{LIST}{row.pk}/change/"


def test_a_bucket_is_made_with_the_password_and_its_secret_is_never_shown(browser: Client) -> None:
    assert list(errors(browser.post(ADD, form(secret=SECRET)))) == ["current_password"]
    saved = browser.post(ADD, form(secret=SECRET, current_password=PASSWORD), follow=True)
    row = Bucket.objects.get(kind="oss")
    assert (row.secret.reveal(), row.active) == (SECRET, False)
    for shown in (saved.text, browser.get(LIST).text, browser.get(page(row)).text):
        assert SECRET not in shown
    assert SECRET not in "".join(LogEntry.objects.values_list("change_message", flat=True))


@pytest.mark.parametrize(
    ("changes", "field"),
    sampled(
        [
            ({"endpoint": "http://169.254.169.254"}, "endpoint"),
            ({"endpoint": "https://10.0.0.7:9000"}, "endpoint"),
            ({"endpoint": "https://minio"}, "endpoint"),
            ({"endpoint": "https://user@oss.example.com"}, "endpoint"),
            ({"endpoint": "https://s3.example.com/bucket"}, "endpoint"),
            ({"region": ""}, "region"),
            ({"region": "evil.example.com/"}, "region"),
            ({"kind": "s3"}, "endpoint"),
            ({"kind": "cos", "bucket": "no-account"}, "bucket"),
            ({"bucket": "../other"}, "bucket"),
            ({"prefix": "../x"}, "prefix"),
            ({"key_id": ""}, "key_id"),
            ({"kind": "local"}, "kind"),
        ],
        keep=4,
    ),
)
def test_what_cannot_be_is_refused_with_its_field(browser: Client, changes: dict[str, str], field: str) -> None:
    typed = form(secret=SECRET, current_password=PASSWORD, **changes)
    assert field in errors(browser.post(ADD, typed))
    assert not Bucket.objects.filter(kind="oss").exists()


def test_I11_a_bucket_secret_is_not_taken_to_another_server(browser: Client) -> None:
    row = stored()
    for changes in (
        {"endpoint": "https://s3.example.com"},
        {"region": "cn-beijing"},
        {"kind": "cos", "bucket": "v-123456"},
    ):
        assert list(errors(browser.post(page(row), form(**changes)))) == ["secret"]
        card = browser.post(f"{LIST}{row.pk}/test/", form(**changes), headers={"HX-Request": "true"}).text
        assert "Nothing was called" in card
    assert browser.post(page(row), form(name="renamed")).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.region, row.secret.reveal()) == ("renamed", "cn-hangzhou", SECRET)


def test_the_test_says_what_is_wrong_and_the_switch_tries_first(
    browser: Client, s3_server: S3Server, settings: Any
) -> None:
    settings.S3_PRIVATE_HOSTS = ["127.0.0.1"]
    typed = form(kind="s3", region="", endpoint=s3_server.url, bucket="files-of-nobody", key_id=ACCESS_KEY)
    typed["secret"] = s3_server.secret
    url = f"{LIST}test/"
    assert "There is no such bucket there." in browser.post(url, typed, headers={"HX-Request": "true"}).text
    with translation.override("zh-hans"):
        client = Client(headers={"Accept-Language": "zh-hans"})
        client.force_login(User.objects.get(username="operator"))
        assert "没有这个存储桶" in client.post(url, typed, headers={"HX-Request": "true"}).text
    typed["bucket"] = s3_server.make_bucket()
    card = browser.post(url, typed, headers={"HX-Request": "true"}).text
    assert "write → read → sign an address → list → delete" in card
    assert s3_server.secret not in card

    browser.post(ADD, typed | {"current_password": PASSWORD})
    row = Bucket.objects.get(kind="s3")
    Bucket.objects.filter(pk=row.pk).update(bucket="files-of-nobody")
    assert "It stays as it was" in browser.post(f"{LIST}{row.pk}/do/activate/", follow=True).text
    Bucket.objects.filter(pk=row.pk).update(bucket=typed["bucket"])
    assert "New files go here from now on" in browser.post(f"{LIST}{row.pk}/do/activate/", follow=True).text
    assert active_bucket() == row


def test_a_bucket_with_files_keeps_its_place_and_stays(browser: Client, api: Any) -> None:
    send(api, PNG)
    row = stored()
    local = active_bucket()
    activate(row)
    local.files.update(bucket=row)
    shown = browser.get(page(row)).text
    assert 'name="region"' not in shown
    assert 'name="key_id"' in shown
    assert browser.post(page(row), form(region="cn-beijing", key_id="LTAInew")).status_code == 302
    row.refresh_from_db()
    assert (row.region, row.key_id) == ("cn-hangzhou", "LTAInew")
    activate(local)
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    row.files.update(bucket=local)
    assert browser.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 302


def test_the_lists_say_where_files_lie_and_not_what_they_are_called(browser: Client, api: Any) -> None:
    empty = browser.get(LIST)
    assert "本地磁盘" in empty.text
    assert browser.get(FILES).status_code == 200
    path = send(api, PNG, "a very private name.png").json()["path"]

    for address in (LIST, FILES, f"{FILES}{active_bucket().files.get().pk}/change/"):
        shown = browser.get(address).text
        assert "private name" not in shown
    assert path in browser.get(f"{FILES}{active_bucket().files.get().pk}/change/").text
    assert "Files lie in" in browser.get(page(active_bucket())).text
