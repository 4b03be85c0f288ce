"""Deployed by the book, the doors open: Dockerfile, compose.yaml and .env.example fit together and fit the code."""

import re

import pytest

from tests.image import ROOT, Image, ask


@pytest.mark.django_db
def test_deployed_by_the_book_every_page_opens(image: Image) -> None:
    with image.serving() as port:
        assert ask(port, "/readyz").status == 200
        for path in ("/accounts/sign-in", "/admin/login/", "/api/docs"):
            page = ask(port, path)
            assert page.status == 200, path
            sheets = re.findall(rb'(?:href|src)="(/static/[^"]+)"', page.body)
            assert sheets, path
            for sheet in sheets:
                assert ask(port, sheet.decode()).status == 200, sheet


def test_image_and_demo_start_the_server_that_bounds_headers() -> None:
    for file in ("Dockerfile", "voicehelper/embedded/demo.py"):
        assert "voicehelper.protocol:Bounded" in (ROOT / file).read_text(), file


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "old"),
    [("python manage.py check --deploy", False), ("python -c 'import voicehelper.asgi'", True)],
    ids=["none", "of an older version"],
)
def test_without_its_static_files_the_server_refuses_to_start_and_says_how_to_mend_it(
    image: Image, command: str, old: bool
) -> None:
    [manifest] = image.app.rglob("staticfiles.json")
    whole = manifest.read_text()
    manifest.unlink()
    try:
        if old:
            manifest.write_text(whole.replace("img/logo.svg", "img/sign.svg"))
        refused = image.run(command, image.deployed())
    finally:
        manifest.write_text(whole)
    assert refused.returncode != 0
    assert "voicehelper.E008" in refused.stderr
    assert "collectstatic" in refused.stderr
