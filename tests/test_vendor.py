"""What others made is what they published."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\S+\.(?:js|css|woff2)) \|.*\| ([0-9a-f]{64}) \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", ["static/vendor", "tests/browser/vendor"])
def test_vendored_files_are_the_ones_that_were_reviewed(folder: str) -> None:
    there = ROOT / folder
    listed = dict(ROW.findall((there / "README.md").read_text()))
    found = {
        str(path.relative_to(there)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in there.rglob("*")
        if path.suffix in (".js", ".css", ".woff2")
    }
    assert listed == found != {}
