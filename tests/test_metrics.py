"""`/metrics` and `/readyz`, as Prometheus and a load balancer ask them."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from llm.models import Usage
from notifications.services import raise_alert
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from voicehelper import health
from voicehelper.accounts.models import User
from voicehelper.version import VERSION
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry

TOKEN = "a-token-of-some-length"


def read(settings: Any) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    settings.METRICS_TOKEN = TOKEN
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer wrong", TOKEN[:-1]])
def test_figures_are_shown_to_nobody_without_the_token(sent: str, settings: Any, db: None) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert Client().get("/metrics", headers={"Authorization": sent}).status_code == 404


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer x"])
def test_without_a_token_there_is_no_such_page(sent: str, settings: Any, db: None) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics", headers={"Authorization": sent}).status_code == 404


def test_the_figures_are_those_of_the_tables(settings: Any, buyer: User, wechat: WeChatMerchant) -> None:
    services.credit(buyer, 1000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    pending_order(buyer, wechat)
    raise_alert("gateway_unreachable", level="warning", title="WeChat Pay does not answer")
    Usage.objects.create(
        request_id="req_1", user=buyer, model_name="doubao-pro", operation="chat", quota=7, usage_source="provider",
        outcome="ok", latency_ms=500,
    )  # fmt: skip
    audit.run(full=True)
    found = read(settings)
    assert found["voicehelper_info", VERSION] == 1
    assert found["voicehelper_wallet_balance_quota",] == 1000
    assert found["voicehelper_orders_day", "wechat", "pending"] == 1
    assert found["voicehelper_open_alerts", "warning"] == 1
    assert found["voicehelper_open_alerts", "critical"] == 0
    assert found["voicehelper_calls_lately", "doubao-pro", "ok"] == 1
    assert found["voicehelper_calls_lately_quota", "doubao-pro", "ok"] == 7
    assert found["voicehelper_calls_lately_mean_seconds", "doubao-pro", "ok"] == 0.5
    # The usage row above was never charged, and the audit says so.
    assert found["voicehelper_audit_findings",] == 1
    assert 0 <= found["voicehelper_audit_age_seconds",] < 60


def test_a_server_is_ready_when_the_tables_are_those_it_wants(db: None) -> None:
    health._waiting_migrations.cache_clear()
    parts = ("server", "database", "static", "migrations", "keys")
    assert Client().get("/readyz").json() == dict.fromkeys(parts, "ok")


def test_a_server_whose_pages_would_find_no_static_files_is_not_ready(db: None, settings: Any) -> None:
    # What tests have collected: nothing.
    settings.PRODUCTION = True
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "python manage.py collectstatic" in answer.json()["static"]


def test_a_server_that_waits_for_migrations_is_not_ready(db: None) -> None:
    health._waiting_migrations.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'llm'")
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "python manage.py migrate" in answer.json()["migrations"]


def test_a_server_with_other_keys_than_the_stored_secrets_want_is_not_ready(
    db: None, settings: Any, wechat: WeChatMerchant
) -> None:
    health._keys_open.cache_clear()
    kept, settings.SECRET_KEYS = settings.SECRET_KEYS, [Fernet.generate_key().decode()]
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "VOICEHELPER_SECRET_KEYS" in answer.json()["keys"]
    settings.SECRET_KEYS = kept
    assert Client().get("/readyz").status_code == 200


def test_one_secret_that_no_key_opens_stops_no_server(db: None, settings: Any, wechat: WeChatMerchant) -> None:
    health._keys_open.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE topup_wechatsettings SET client_key = 'gAAAAAdamaged'")
    assert Client().get("/readyz").status_code == 200


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "[fd00::7]:8000", "localhost", "pay.example.com"])
def test_those_who_look_after_a_server_may_ask_by_its_address_and_for_nothing_else(
    host: str, db: None, settings: Any
) -> None:
    settings.ALLOWED_HOSTS, settings.METRICS_TOKEN = [".example.com"], TOKEN
    asked = Client(headers={"Host": host, "Authorization": f"Bearer {TOKEN}"})
    assert [asked.get(path).status_code for path in ("/readyz", "/healthz", "/metrics")] == [200, 200, 200]
    others = [asked.get(path).status_code for path in ("/accounts/sign-in", "/readyz/", "/%72eadyz/x")]
    assert others == ([200, 404, 404] if host == "pay.example.com" else [400, 400, 400])
