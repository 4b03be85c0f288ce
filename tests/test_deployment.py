"""Deployed by the book, the doors open: Dockerfile, compose.yaml and .env.example fit together and fit the code."""

import re
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Expression

from tests import processes
from tests.image import ROOT, Image, ask, command
from tests.merchants import WeChatMerchant
from topup.models import Order, RechargeSettings
from topup.models.sections import WeChatSettings
from voicehelper import clock
from voicehelper.accounts.models import MiniProgramSettings, User


@pytest.mark.rare
@pytest.mark.django_db
def test_deployed_by_the_book_every_page_opens(image: Image) -> None:
    # The example's own suggestions, taken: they move no static file.
    with image.serving(VOICEHELPER_DATA="/var/lib/voicehelper") as port:
        assert processes.request(port, "GET", "/readyz", timeout_s=10).status == 200
        for path in ("/accounts/sign-in", "/admin/login/", "/api/docs"):
            page = ask(port, path)
            assert page.status == 200, path
            sheets = re.findall(rb'(?:href|src)="(/static/[^"]+)"', page.body)
            assert sheets, path
            for sheet in sheets:
                assert ask(port, sheet.decode()).status == 200, sheet


def test_image_and_demo_start_the_server_that_bounds_headers() -> None:
    assert "voicehelper.serving" in command()
    for file in ("voicehelper/serving.py", "voicehelper/embedded/demo.py"):
        assert "voicehelper.protocol:Bounded" in (ROOT / file).read_text(), file


@pytest.mark.rare
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("way", "old"),
    [("python manage.py check --deploy", False), ("python -c 'import voicehelper.asgi'", True)],
    ids=["none", "of an older version"],
)
def test_without_its_static_files_the_server_refuses_to_start_and_says_how_to_mend_it(
    image: Image, way: str, old: bool
) -> None:
    [manifest] = image.app.rglob("staticfiles.json")
    whole = manifest.read_text()
    manifest.unlink()
    try:
        if old:
            manifest.write_text(whole.replace("img/logo.svg", "img/sign.svg"))
        refused = image.run(way, image.deployed())
    finally:
        manifest.write_text(whole)
    assert refused.returncode != 0
    assert "voicehelper.E008" in refused.stderr
    assert "collectstatic" in refused.stderr


def refusal(image: Image, **changes: str) -> str:
    run = image.run("python -c 'import voicehelper.asgi'", image.deployed(**changes))
    assert run.returncode != 0
    return run.stderr


@pytest.mark.rare
@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
def test_a_server_that_cannot_serve_does_not_start_and_says_how_to_mend_it(
    image: Image, wechat: WeChatMerchant
) -> None:
    # Stored with the tests' key, and what is deployed here has one of its own.
    said = refusal(image)
    assert "voicehelper.E010" in said
    assert "VOICEHELPER_SECRET_KEYS" in said
    said = refusal(image, WEB_CONCURRENCY="40", VOICEHELPER_SECRET_KEYS=",".join(project.SECRET_KEYS))
    assert "voicehelper.E011" in said
    assert "max_connections" in said
    (newest,) = MigrationLoader(connection).graph.leaf_nodes("llm")
    MigrationRecorder(connection).record_unapplied(*newest)
    try:
        assert "python manage.py migrate" in refusal(image)
    finally:
        MigrationRecorder(connection).record_applied(*newest)


OLD_ORDER = {
    "gateway": "wechat",
    "trade_type": "NATIVE",
    "app_id": "wx1234567890",
    "merchant_id": "1900000109",
    "live": True,
    "sign_type": "MD5",
    "amount": 10,
    "amount_fen": 7300,
    "quota": 5_000_000,
    "unit_price": "7.3",
    "ratio": 1,
    "discount": 1,
    "quota_per_unit": 500_000,
    "in_tokens": False,
    "client_ip": "127.0.0.1",
}


def of_release(app: str, migration: str, model: str) -> Any:
    """A model as nodes have it whose code ends with this migration."""
    return MigrationLoader(connection).project_state((app, migration)).apps.get_model(app, model)


def test_nodes_of_every_release_before_place_orders_after_the_upgrade(buyer: User) -> None:
    releases = [name for app, name in MigrationLoader(None).disk_migrations if app == "topup"]
    for number, release in enumerate(sorted(releases)):
        order_no = f"VH{number}"
        expires = {"expires_at": clock.now()}
        of_release("topup", release, "Order").objects.create(
            order_no=order_no, user_id=buyer.pk, **OLD_ORDER, **expires
        )
        order = Order.objects.get(order_no=order_no)
        assert (order.openid, order.prepay_id, order.bonus_quota, order.state) == ("", "", 0, "created")
    assert Order.objects.count() >= 9


@pytest.mark.django_db
def test_nodes_of_the_first_release_save_settings_after_the_upgrade() -> None:
    for app, first, model in (
        ("topup", "0001_initial", RechargeSettings),
        ("topup", "0001_initial", WeChatSettings),
        ("accounts", "0004_wechat_identity", MiniProgramSettings),
    ):
        model.objects.all().delete()
        of_release(app, first, model.__name__).objects.create()
        saved, new = model.objects.get(), model()
        for field in model._meta.concrete_fields:
            if not field.primary_key and not isinstance(field, models.DateTimeField):
                assert getattr(saved, field.name) == getattr(new, field.name), field.name
                # Not an expression that the database has yet to work out.
                assert not isinstance(getattr(new, field.name), Expression), field.name
