"""What others made is what they published."""

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "static" / "vendor"
ROW = re.compile(r"^\| (\S+\.(?:js|css|woff2)) \|.*\| ([0-9a-f]{64}) \|$", re.MULTILINE)


def test_vendored_files_are_the_ones_that_were_reviewed() -> None:
    listed = dict(ROW.findall((VENDOR / "README.md").read_text()))
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.suffix in (".js", ".css", ".woff2")
    }
    assert listed == found != {}
