"""The line at the end of a run: how many faults of the catalogue were survived.

A fault is named by its tests, `test_<ID>_…` or `test_<ID>_<ID>_…`, in whatever folder they are. It is survived when all
of them passed; one that was skipped was not tried. `make test` leaves rare tests out: a fault that has no others counts
as one that was not survived there, and the report names it.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

_IDS = re.compile(r"::test((?:_[A-O][0-9]{1,2})+)_")
_outcomes: dict[str, set[str]] = defaultdict(set)
_left_out: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With xdist, the controller is told of every worker's tests here as well."""
    if report.when == "call" or report.outcome != "passed":
        for fault in _faults(report.nodeid):
            _outcomes[fault].add(report.outcome)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Only what is rare, and not when tests are chosen by name."""
    rare = [item for item in items if item.get_closest_marker("rare") and not item.config.option.keyword]
    _left_out.update(fault for item in rare for fault in _faults(item.nodeid))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Workers collect, and the controller tells."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults left out"] = sorted(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.update(getattr(node, "workeroutput", {}).get("faults left out", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Called where there is a terminal: in the controller, or in the only process."""
    if not _outcomes:
        return
    untried = _left_out - set(_outcomes)
    lost = sorted((fault for fault, outcomes in _outcomes.items() if outcomes != {"passed"}), key=_in_order)
    total = len(_outcomes) + len(untried)
    terminalreporter.write_line(f"{len(_outcomes) - len(lost)} of {total} faults survived")
    if lost:
        terminalreporter.write_line(f"not survived, or not tried: {' '.join(lost)}", red=True)
    if untried:
        terminalreporter.write_line(f"tried by `make test-all` only: {' '.join(sorted(untried, key=_in_order))}")


def _faults(name: str) -> list[str]:
    found = _IDS.search(name)
    return found[1].split("_")[1:] if found else []


def _in_order(fault: str) -> tuple[str, int]:
    return fault[0], int(fault[1:])
