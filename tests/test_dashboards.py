"""The rules and the dashboard in deploy/ ask for metrics, labels and routes that there are; so does the handbook."""

import json
import re
from collections import defaultdict
from typing import Any

import pytest
import yaml
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from prometheus_client.parser import text_string_to_metric_families

from llm.api import v1
from llm.models import Model
from llm.seeds import plant
from tests.image import ROOT
from voicehelper import traffic

RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/grafana/voicehelper.json").read_text())
HANDBOOK = (ROOT / "docs/operations.md").read_text()
# Of Prometheus itself.
OF_TARGETS = {"instance", "job", "le"}


def expressions() -> dict[str, str]:
    """By what they belong to."""
    rules = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
    panels = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }
    return rules | panels


@pytest.fixture(scope="module")
def known(django_db_setup: None, django_db_blocker: Any) -> dict[str, dict[str, set[str]]]:
    """The values of each label of each metric, as a server shows them from its first minute on."""
    traffic.expect(*v1.ROUTES, *traffic.routes_of(get_resolver()))
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        plant(Model)
        patch.setattr("django.conf.settings.METRICS_TOKEN", "1234")
        answer = Client().get("/metrics", headers={"Authorization": "Bearer 1234"})
        transaction.set_rollback(True)
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(answer.content.decode()):
        found[family.name]
        for sample in family.samples:
            for label, value in sample.labels.items():
                found[sample.name][label].add(value)
            found[sample.name]
    return found


@pytest.mark.parametrize("name", expressions())
def test_a_rule_or_panel_asks_for_what_there_is(name: str, known: dict[str, dict[str, set[str]]]) -> None:
    expr = expressions()[name]
    asked = re.findall(r"(voicehelper_\w+)(?:\{([^}]*)\})?", expr)
    assert asked or expr.startswith("up{")
    for metric, selector in asked:
        assert metric in known, metric
        for label, how, value in re.findall(r'(\w+)\s*(=~|!~|=)\s*"([^"]*)"', selector):
            values = known[metric][label]
            match = re.fullmatch if how.endswith("~") else str.__eq__
            assert any(match(value, one) for one in values), (metric, label, value, values)
    for labels in re.findall(r"\bby \(([^)]*)\)", expr):
        named = {label.strip() for label in labels.split(",")}
        there = set().union(*(known[metric].keys() for metric, _ in asked))
        # How long calls took has no series before there was one.
        assert named <= there | OF_TARGETS | ({"model"} if "mean_seconds" in expr else set())


def test_the_handbook_names_only_metrics_that_there_are(known: dict[str, dict[str, set[str]]]) -> None:
    measuring = HANDBOOK[HANDBOOK.index("## Measuring") : HANDBOOK.index("## Backups")]
    named = set(re.findall(r"`(voicehelper_\w+)", measuring))
    assert len(named) > 10
    assert named <= known.keys()
