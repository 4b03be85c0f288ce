"""docs/clients.md as a source of configuration: what stands there is what the tests run."""

import re
from functools import cache

from . import ROOT

_PAGE = ROOT / "docs" / "clients.md"
_SNIPPET = re.compile(r"^<!-- ([\w.-]+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS, KEY = "https://voicehelper.example.com", "sk-your-key"


@cache
def _snippets() -> dict[str, str]:
    return dict(_SNIPPET.findall(_PAGE.read_text()))


def names() -> list[str]:
    return list(_snippets())


def snippet(name: str, *, address: str, key: str) -> str:
    """The code block of that name, with a server's address and a key in place of those the page makes up."""
    return _snippets()[name].replace(ADDRESS, address).replace(KEY, key)


def variables(name: str, *, address: str, key: str) -> dict[str, str]:
    """A code block of `export NAME=value` lines."""
    lines = snippet(name, address=address, key=key).splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
