"""compose.yaml, the units of systemd and the manifests of Kubernetes start the same, and fit what they start."""

import configparser
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.urls import resolve

from llm.relay import engine
from tests.image import COMPOSE, ROOT, command

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
KINDS = {"web", "worker", "beat", "migrate"}
# Read by a command, and by nothing that runs; and the two of Python itself.
COMMANDS = {"DATABASE_ROLE_PASSWORD", "PYTHONUNBUFFERED"}


@cache
def manifests() -> list[dict[str, Any]]:
    files = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
    return [part for file in files for part in yaml.safe_load_all(file.read_text())]


def unit(file: Path) -> dict[str, list[str]]:
    """The values of its [Service], by name."""
    lines = [line for line in file.read_text().split("[Service]")[1].splitlines() if "=" in line and line[0] != "#"]
    found: dict[str, list[str]] = {}
    for name, value in (line.split("=", 1) for line in lines):
        found.setdefault(name, []).append(value)
    return found


def pods() -> dict[str, dict[str, Any]]:
    """The pod's specification, by what runs in it."""
    found = {}
    for part in manifests():
        if part["kind"] in {"Deployment", "Job"}:
            found[part["metadata"]["name"].removeprefix("voicehelper-")] = part["spec"]["template"]["spec"]
    return found


def words(text: str) -> list[str]:
    """A command without what belongs to its place: where Python and its folders are, and which port."""
    shortened = re.sub(r"/opt/voicehelper/\.venv/bin/|exec |--(host|port|workers) \S+", "", text)
    return shlex.split(re.sub(r"-s \S+", "", shortened))


def composed() -> dict[str, list[str]]:
    services = COMPOSE["services"]
    found = {kind: words(services[kind]["command"]) for kind in ("worker", "beat")}
    [script] = re.findall(r'^sh -c "(.*)"$', services["migrate"]["command"])
    return found | {"web": words(command()), "migrate": words(script)}


def test_units_and_manifests_start_what_compose_starts() -> None:
    expected = composed()
    of_units = {re.sub(r"voicehelper-|@", "", file.stem): words(" && ".join(unit(file)["ExecStart"])) for file in UNITS}
    assert of_units == expected
    for kind, pod in pods().items():
        [container] = pod["containers"]
        assert container["image"] == COMPOSE["x-app"]["image"]
        asked = container.get("command")
        if kind == "web":
            # The image's own command.
            assert asked is None
        else:
            assert words(asked[2] if asked[0] == "sh" else shlex.join(asked)) == expected[kind]
    assert pods().keys() == expected.keys() == KINDS


def test_every_variable_that_is_set_is_one_that_is_read() -> None:
    known = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) | COMMANDS
    named = {name for each in ("x-environment",) for name in COMPOSE[each]}
    named |= set(COMPOSE["services"]["migrate"]["environment"])
    for file in UNITS:
        named |= {word.split("=")[0] for line in unit(file).get("Environment", []) for word in shlex.split(line)}
    for part in manifests():
        named |= part.get("data", {}).keys() | part.get("stringData", {}).keys()
    assert named <= known


def test_probes_ask_for_what_there_is_by_address() -> None:
    asked = {
        probe["httpGet"]["path"]
        for pod in pods().values()
        for container in pod["containers"]
        for name, probe in container.items()
        if name.endswith("Probe") and "httpGet" in probe
    }
    caddy = (ROOT / "deploy/caddy/Caddyfile").read_text()
    asked |= set(re.findall(r"health_uri (\S+)", caddy)) | set(
        re.findall(r"8000(/\w+)", (ROOT / "Dockerfile").read_text())
    )
    assert asked == {"/readyz"}
    assert [resolve(path).url_name for path in asked] == ["readyz"]


def test_whoever_stops_a_node_waits_for_its_longest_work() -> None:
    longest = settings.STOP_LEAD_SECONDS + settings.STOP_DRAIN_SECONDS + engine._LONGEST_CLOSE_S + 15
    config = next(part["data"] for part in manifests() if part["kind"] == "ConfigMap")
    of_pods = float(config["STOP_LEAD_SECONDS"]) + float(config["STOP_DRAIN_SECONDS"]) + engine._LONGEST_CLOSE_S + 15
    web, worker = COMPOSE["x-web"], COMPOSE["services"]["worker"]
    assert int(web["stop_grace_period"].removesuffix("s")) >= longest
    assert pods()["web"]["terminationGracePeriodSeconds"] >= of_pods
    seconds = {file.stem: int(unit(file).get("TimeoutStopSec", ["90"])[0]) for file in UNITS}
    assert seconds["voicehelper-web@"] >= longest
    for each in (
        int(worker["stop_grace_period"].removesuffix("s")),
        pods()["worker"]["terminationGracePeriodSeconds"],
        seconds["voicehelper-worker"],
    ):
        assert each > settings.CELERY_TASK_TIME_LIMIT


def test_balancers_hear_of_a_node_that_stops_before_its_port_closes() -> None:
    caddy = (ROOT / "deploy/caddy/Caddyfile").read_text()
    [interval] = map(int, re.findall(r"health_interval (\d+)s", caddy))
    assert interval * 2 < settings.STOP_LEAD_SECONDS
    config = next(part["data"] for part in manifests() if part["kind"] == "ConfigMap")
    probe = pods()["web"]["containers"][0]["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"] < float(
        config["STOP_LEAD_SECONDS"]
    )


def test_passwords_stand_in_no_address_and_no_shell() -> None:
    """`/ @ % # $` in one would end it, or be something else."""
    text = (ROOT / "compose.yaml").read_text()
    for line in text.splitlines():
        if "PASSWORD:?" in line:
            assert "://" not in line, line
            assert not re.search(r"command: [^\[]", line), line
    assert "rediss://" not in text
    assert "redis://" not in text


def test_what_runs_does_not_know_the_owner_s_password() -> None:
    services = COMPOSE["services"]
    for name in ("web-a", "web-b", "worker", "beat"):
        environment = services[name]["environment"]
        assert environment["POSTGRES_PASSWORD"] == ""
        assert environment["DATABASE_USER"] != services["migrate"]["environment"]["DATABASE_USER"]
    for kind, pod in pods().items():
        secrets = [each["secretRef"]["name"] for each in pod["containers"][0]["envFrom"] if "secretRef" in each]
        assert ("voicehelper-owner" in secrets) == (kind == "migrate")
    for file in UNITS:
        assert any("owner" in each for each in unit(file)["EnvironmentFile"]) == ("migrate" in file.stem)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_systemd_understands_the_unit(file: Path, tmp_path: Path) -> None:
    configparser.ConfigParser(strict=False, interpolation=None).read(file)
    whole = tmp_path / file.name.replace("@", "@8001")
    # Where there is no such user and no such folder, its words can still be read.
    whole.write_text(re.sub(r"=/opt/voicehelper/.venv/bin/\w+", "=/bin/true", file.read_text()))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", whole], capture_output=True, text=True)
    complaints = [line for line in said.stderr.splitlines() if whole.name in line]
    assert complaints == []
