"""A real server with the stand-in upstream behind it, and the vendors' own clients in front."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

import pytest

from llm.credentials import ensure_environment_credentials
from llm.models import Credential, Model, Usage
from llm.seeds import PICTURES, plant
from tests.processes import Server
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.embedded.environment import demo_values, new_keys
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry

from .vendors import anthropic, openai

GIFT = 10**9
QUOTA_PER_UNIT = 500_000


@dataclass
class Deployment:
    """One server that is its own upstream, and a user with a key and a full wallet."""

    server: Server
    user: User
    key: str
    clients: ExitStack

    @property
    def url(self) -> str:
        return f"{self.server.address}/v1"

    def openai(self, **more: Any) -> openai.OpenAI:
        client = openai.OpenAI(**{"api_key": self.key, "base_url": self.url, "max_retries": 0, **more})
        return self.clients.enter_context(client)

    def anthropic(self, **more: Any) -> anthropic.Anthropic:
        options = {"api_key": self.key, "base_url": self.server.address, "max_retries": 0, **more}
        return self.clients.enter_context(anthropic.Anthropic(**options))

    def script(self, **script: Any) -> None:
        """Make the upstream fail."""
        reply = self.server.post_json("/sandbox/models/script", script)
        assert reply.status == 201, reply

    @property
    def wallet(self) -> Any:
        return services.wallet_of(self.user)

    def usage(self, count: int = 1) -> Usage:
        """The newest usage row, of so many; waits for a call that its client has left."""
        deadline = time.monotonic() + 10
        while Usage.objects.count() < count and time.monotonic() < deadline:
            time.sleep(0.05)
        assert Usage.objects.count() == count
        return Usage.objects.latest("pk")


@pytest.fixture(scope="package")
def server(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    """One for all tests of a worker: what they change in the database reaches it as it would reach production's."""
    with django_db_blocker.unblock(), Server(SANDBOX_TOKENS_PER_SECOND="2000") as running:
        yield running


@pytest.fixture
def deployment(server: Server, transactional_db: None, settings: Any) -> Iterator[Deployment]:
    """Afterwards the ledger must agree, to the quota, with what the usage rows say and with the rule."""
    demo = demo_values(server.port, new_keys())
    brands = {"ark": "ARK", "openai": "OPENAI", "claude": "ANTHROPIC"}
    settings.LLM_ACCOUNTS = {
        name: (demo[f"{brand}_API_KEY"], demo[f"{brand}_BASE_URL"]) for name, brand in brands.items()
    }
    plant(Model)
    codex = {"capabilities": ["chat", "function_call"], "max_tokens": 16_384, "cost_per_1k": Decimal("0.01")}
    Model.objects.create(
        name="gpt-5-codex", provider="openai", provider_model_id="gpt-5-codex", responses_api="only", **codex
    )
    ensure_environment_credentials()
    Credential.objects.update(retry_delay_ms=10)
    user = User.objects.create_user("speaker")
    services.credit(user, GIFT, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    with ExitStack() as clients:
        yield Deployment(server, user, create_api_key(user, "test")[1], clients)
    rows = list(Usage.objects.all())
    assert [row.quota for row in rows] == [price(row) for row in rows]
    wallet = services.wallet_of(user)
    assert (wallet.balance, wallet.held) == (GIFT - sum(row.quota for row in rows), 0)
    assert audit.run(full=True).findings == []


def price(row: Usage) -> int:
    """The rule of docs/decisions.md, once more and independently."""
    if not row.input_tokens and not row.output_tokens:
        return 0
    model = Model.objects.get(name=row.model_name)
    into = model.cost_per_1k if model.input_price is None else model.input_price
    out = model.cost_per_1k if model.output_price is None else model.output_price
    per = Decimal(1000) if model.measure in ("1k_tokens", "1k_characters") else Decimal(1)
    if model.measure == "image":
        (kind,) = row.kinds
        out = Decimal(PICTURES[row.model_name][kind.partition(":")[2]])
    units = (row.output_tokens * out) if model.measure == "image" else row.input_tokens * into
    if model.measure == "1k_tokens":
        units += row.output_tokens * out
    return max(1, ceil(QUOTA_PER_UNIT * units / per))


WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Tells the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
    },
}
QUESTION = "What is the weather in Beijing?"
