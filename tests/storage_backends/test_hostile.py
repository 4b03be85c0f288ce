"""Forty files that somebody made to hurt: each ends as a clear error or as a harmless stored file."""

import io
import zipfile
from typing import Any

import pytest

from storage_backends.contents import NAME_CHARS, clean_name, is_shown
from storage_backends.models import StoredFile
from tests.conftest import sampled
from tests.storage_backends.samples import GIF, HTML, JPEG, MP3, PDF, PNG, SVG, huge_png, send, wav

pytestmark = pytest.mark.django_db


def bomb() -> bytes:
    """20 MiB in 20 KiB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20 * 1024**2))
    return packed.getvalue()


# What it is called → what it holds.
HOSTILE: dict[str, tuple[str, bytes]] = {
    "html as a picture": ("cat.png", HTML),
    "svg as a picture": ("cat.png", SVG),
    "svg": ("logo.svg", SVG),
    "svg after white space": ("logo.svg", b"\n\n  " + SVG),
    "svg with a byte order mark": ("logo.svg", b"\xef\xbb\xbf" + SVG),
    "html": ("index.html", HTML),
    "html in utf-16": ("index.html", HTML.decode().encode("utf-16")),
    "html in utf-7": ("index.html", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
    "xhtml": ("a.xhtml", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script/></html>'),
    "a page behind a picture": ("cat.gif", GIF + HTML),
    "a picture that is a script": ("cat.gif", b"GIF89a/*" + bytes(8) + b"*/=1;alert(1)"),
    "a page in a picture's comment": ("cat.jpg", JPEG[:20] + b"\xff\xfe\x00\x60" + HTML + b"\xff\xd9"),
    "a page behind a picture's end": ("cat.png", PNG + HTML),
    "an archive behind a picture": ("cat.png", PNG + b"PK\x05\x06" + bytes(18)),
    "a picture of fifty thousand lines": ("big.png", huge_png()),
    "a sound that is a page": ("a.mp3", HTML),
    "a sound with a page in its tag": ("a.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x60" + HTML + MP3),
    "a sound as a picture": ("cat.png", MP3),
    "a picture as a sound": ("a.mp3", PNG),
    "a recording that says it is long": ("a.wav", wav(1)[:4] + b"\xff\xff\xff\x7f" + wav(1)[8:]),
    "a pdf with a script": (
        "a.pdf",
        PDF.replace(b"/Catalog", b"/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>"),
    ),
    "a program": ("setup.exe", b"MZ\x90\x00" + bytes(60) + b"PE\x00\x00"),
    "a program as a picture": ("cat.png", b"\x7fELF\x02\x01\x01" + bytes(60)),
    "a shell script": ("run.sh", b"#!/bin/sh\nrm -rf /\n"),
    "php": ("shell.php", b"<?php system($_GET['c']); ?>"),
    "a web server's settings": (".htaccess", b"AddType application/x-httpd-php .png"),
    "a template": ("a.txt", b"{{ settings.SECRET_KEY }}{% load x %}"),
    "an archive that unpacks without end": ("a.zip", bomb()),
    "an archive that climbs": ("a.zip", b"PK\x03\x04" + bytes(22) + b"\x10\x00\x00\x00../../etc/passwd"),
    "a flash film": ("a.swf", b"CWS\x0a" + bytes(40)),
    "climbing": ("../../../etc/passwd", PNG),
    "climbing in Windows": ("..\\..\\windows\\system32\\cmd.exe", PNG),
    "an absolute path": ("/etc/cron.d/evil", PNG),
    "a NUL in the name": ("cat.png\x00.exe", PNG),
    "a line in the name": ('a"\r\nSet-Cookie: admin=1\r\n\r\n<script>.png', PNG),
    "a name written backwards": ("photo\u202egnp.exe", PNG),
    "a very long name": ("长" * 5000 + ".png", PNG),
    "a name of dots": ("...", PNG),
    "a device of Windows": ("CON.png", PNG),
    "markup in the name": ("<img src=x onerror=alert(1)>.png", PNG),
    "half a character in the name": ("a\udcff.png", PNG),
    "nothing": ("empty.png", b""),
    "one byte": ("a", b"\x00"),
}
assert len(HOSTILE) >= 40


@pytest.mark.parametrize("case", sampled(HOSTILE, keep=12))
def test_a_hostile_file_is_refused_or_harmless(case: str, api: Any) -> None:
    name, content = HOSTILE[case]
    answer = send(
        api, content, "upload.bin", file_name=name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    )

    if answer.status_code == 400:
        assert answer.json()["code"] in ("empty_file", "no_file")
        assert not StoredFile.objects.exists()
        return
    assert answer.status_code == 200, answer.content
    said = answer.json()
    harmless_name(said["name"])
    assert said["path"].isascii()
    shown = api.get(f"/api/files/{said['path']}?download=1")
    assert b"".join(shown.streaming_content) == content
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in shown["Content-Security-Policy"]
    assert shown["Content-Type"] == said["contentType"]
    head = shown["Content-Disposition"]
    assert "\r" not in head
    assert "\n" not in head
    assert head.startswith("inline" if is_shown(said["contentType"]) else "attachment")
    if content.lstrip().startswith((b"<", b"\xef\xbb\xbf<", b"MZ", b"\x7fELF", b"#!", b"+ADw")):
        assert head.startswith("attachment")
        assert said["contentType"] in ("text/plain; charset=utf-8", "application/octet-stream")


def harmless_name(name: str) -> None:
    assert 0 < len(name) <= NAME_CHARS
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|\0')
    assert not name.startswith(".")
    assert name.split(".")[0].upper() not in ("CON", "NUL", "AUX", "PRN")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("语音 备忘.mp3", "语音 备忘.mp3"),
        ("../../etc/passwd", "passwd"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("", "file.png"),
        ("a\ud800.png", "a?.png".replace("?", "")),
        ("nul", "_nul"),
        ("a" * 300 + ".png", "a" * (NAME_CHARS - 4) + ".png"),
        ("é.png", "é.png"),
    ],
)
def test_names_are_cleaned_and_stay_readable(name: str, clean: str) -> None:
    assert clean_name(name, "image/png") == clean
