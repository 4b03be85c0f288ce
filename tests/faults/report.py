"""The line at the end of a run: how many faults of the catalogue were survived.

A fault is named by its tests, `test_<ID>_…`, in whatever folder they are. It is survived when all of them passed; one
that was skipped was not tried.
"""

import re
from collections import defaultdict

import pytest

_ID = re.compile(r"::test_([A-L][0-9]{1,2})_")
_outcomes: dict[str, set[str]] = defaultdict(set)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With xdist, the controller is told of every worker's tests here as well."""
    found = _ID.search(report.nodeid)
    if found and (report.when == "call" or report.outcome != "passed"):
        _outcomes[found[1]].add(report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Called where there is a terminal: in the controller, or in the only process."""
    if not _outcomes:
        return
    lost = sorted((fault for fault, outcomes in _outcomes.items() if outcomes != {"passed"}), key=_in_order)
    terminalreporter.write_line(f"{len(_outcomes) - len(lost)} of {len(_outcomes)} faults survived")
    if lost:
        terminalreporter.write_line(f"not survived, or not tried: {' '.join(lost)}", red=True)


def _in_order(fault: str) -> tuple[str, int]:
    return fault[0], int(fault[1:])
