"""Every variable a deployer can set is in .env.example, and nothing else is."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_example_lists_exactly_the_variables_that_are_read() -> None:
    source = (ROOT / "voicehelper/settings.py").read_text()
    read = set(re.findall(r'(?:env(?:\.\w+)?|required|number|rate)\(\s*"([A-Z_]+)"', source))
    listed = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert listed == read
