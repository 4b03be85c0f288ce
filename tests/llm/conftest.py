"""A user with a key, an account at the scripted upstream, and a way to run a scenario on them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from llm.models import Credential, Model, Usage
from llm.relay import loops
from llm.relay.engine import close_engine
from llm.seeds import plant
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry

from .client import Answer, ApiClient
from .upstream import Upstream

ASK: dict[str, Any] = {"model": "doubao-pro", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 100}
STREAM = {**ASK, "stream": True}
CLAUDE = {**ASK, "model": "claude"}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@dataclass
class World:
    """Everything a scenario needs. One unit is 500,000 quota; doubao-pro costs 0.1 units per 1,000 tokens: 50 quota a
    token."""

    user: User
    client: ApiClient
    upstream: Upstream
    credential: Credential

    def play(self, scenario: Callable[["World"], Awaitable[Any]]) -> Any:
        """Run a scenario on an event loop of its own, with the upstream up; all is closed and settled afterwards."""

        async def main() -> Any:
            async with self.upstream:
                try:
                    return await scenario(self)
                finally:
                    await close_engine()

        return asyncio.run(main())

    def give(self, quota: int, ref: str = "welcome") -> None:
        services.credit(self.user, quota, kind=Entry.Kind.GIFT, ref=ref, actor="test")

    @property
    def wallet(self) -> Any:
        return services.wallet_of(self.user)

    def usage(self) -> Usage:
        """The only usage row."""
        return Usage.objects.get()


@pytest.fixture
def world(transactional_db: None, settings: Any) -> Iterator[World]:
    settings.LLM_ACCOUNTS = {}
    settings.LLM_DRAIN_SECONDS = 2.0
    plant(Model)
    user = User.objects.create_user("speaker")
    upstream = Upstream()
    # Ark answers Responses; what is asked in them is translated here unless a test says otherwise.
    credential = Credential.objects.create(
        name="ark", provider="ark", base_url=upstream.url, api_key="ark-key", from_environment=True, retry_delay_ms=10,
        responses_api="no",
    )  # fmt: skip
    credential.refresh_from_db()
    made = World(user, ApiClient(create_api_key(user, "test")[1]), upstream, credential)
    yield made
    upstream.socket.close()


@pytest.fixture
def claude(world: World) -> World:
    """An account at Anthropic, which is the scripted upstream again; `claude` is claude-x there."""
    world.give(10**9)
    base = world.upstream.url.removesuffix("/v1")
    Credential.objects.create(
        name="claude", provider="claude", base_url=base, api_key="claude-key", from_environment=True, retry_delay_ms=10
    )
    model("claude", provider="claude", provider_model_id="claude-x", max_tokens=4096)
    return world


@pytest.fixture
def rich(world: World) -> World:
    world.give(10**9)
    return world


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    """No connection to the test database outlives its test."""
    yield
    loops.hang_up()


@pytest.fixture
def books_agree() -> Callable[[], None]:
    def check() -> None:
        assert audit.run(full=True).findings == []

    return check


def account(world: World, name: str, **more: Any) -> Credential:
    """Another account at the same upstream, asked after those that were made before."""
    values = {"provider": "ark", "api_key": f"{name}-key", "from_environment": True, "retry_delay_ms": 10}
    values |= {"priority": -Credential.objects.count(), "responses_api": "no", **more}
    return Credential.objects.create(name=name, base_url=world.upstream.url, **values)


def model(name: str, **more: Any) -> Model:
    values = {"provider": "ark", "provider_model_id": f"{name}-id", "capabilities": ["chat"], "max_tokens": 4096}
    return Model.objects.create(name=name, **{**values, "cost_per_1k": Decimal("0.1"), **more})


def post(world: World, path: str, body: Any, **options: Any) -> Answer:
    answer: Answer = world.play(lambda w: w.client.post(path, body, **options))
    return answer


__all__ = ["ASK", "STREAM", "ApiClient", "World", "account", "connection", "model"]
