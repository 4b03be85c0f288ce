"""Every variable a deployer can set is in .env.example, and nothing else is."""

import re

from tests.image import ROOT, command, example

SETTINGS = "".join((ROOT / f"voicehelper/{name}.py").read_text() for name in ("variables", "settings"))
# In place of an address with everything in it, the example says it in parts.
ELSEWHERE = {"DATABASE_URL": "DATABASE_HOST", "REDIS_URL": "REDIS_HOST"}
COMPOSE = (ROOT / "compose.yaml").read_text()
# What libraries read themselves.
OTHERS = {"OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_the_example_lists_exactly_the_variables_that_are_read() -> None:
    read = set(re.findall(r'(?:env(?:\.\w+)?|required|number|rate)\(\s*"([A-Z_]+)"', SETTINGS))
    read |= set(re.findall(r"\$\{([A-Z_]+)", COMPOSE + command()))
    listed = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert listed == read | OTHERS


def test_what_nothing_starts_without_stands_in_the_example_to_be_filled_in() -> None:
    required = {ELSEWHERE.get(name, name) for name in re.findall(r'required\(\s*"([A-Z_]+)"', SETTINGS)}
    required |= set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE))
    assert {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "SECRET_KEY", "SERVER_ADDRESS"} <= required <= example().keys()


def test_a_host_is_named_once_in_the_example() -> None:
    """Who changes only the address and is answered 400 everywhere looks for long."""
    assert "ALLOWED_HOSTS" not in example()
