"""docs/clients.md tells the versions that are locked, and nothing that no test runs."""

import json
import re

from . import HERE, ROOT, page

_ROW = re.compile(r"^\| `(\S+)` (?:\(`(\S+)` (\S+)\) )?\| (\S+) \|", re.MULTILINE)


def test_the_page_names_the_versions_that_are_tried() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    wanted |= dict(line.split("==") for line in (HERE / "requirements.in").read_text().splitlines())
    told = {}
    for name, companion, its, version in _ROW.findall((ROOT / "docs" / "clients.md").read_text()):
        told |= {name: version} | ({companion: its} if companion else {})
    assert told == wanted


def test_every_example_of_the_page_is_run() -> None:
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    assert len(page.names()) > 10
    assert [name for name in page.names() if f'"{name}"' not in tests] == []


def test_locks_name_no_host_that_packages_come_from() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in locked.items() if "resolved" in package]
    assert all("integrity" in package for name, package in locked.items() if name)
    assert "http" not in (HERE / "requirements.txt").read_text().replace("httpx", "").replace("httpcore", "")
