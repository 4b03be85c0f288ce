"""/v1, which stands in front of Django: every route wants a key, and a kept response is its owner's."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from llm.api import v1
from llm.models import KeptResponse
from llm.relay.engine import close_engine
from tests.faults.test_i_models import raw
from tests.llm.conftest import World, world  # noqa: F401  # a fixture
from tests.llm.upstream import in_a_thread
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token

pytestmark = pytest.mark.django_db(transaction=True)


def route_with(route: str) -> str:
    return route.replace("{model}", "deep").replace("{response}", "resp_1").replace("*", "nowhere")


def statuses(asked: list[tuple[str, str, list[tuple[bytes, bytes]]]]) -> list[int]:
    async def ask_all() -> list[int]:
        try:
            return [(await raw(path, headers, method)).status for method, path, headers in asked]
        finally:
            await close_engine()

    return asyncio.run(ask_all())


def test_I1_no_route_of_v1_answers_without_a_key(world: World, buyer: User) -> None:  # noqa: F811
    """Neither to nobody, nor to a key that is none, nor to the token or the cookie of somebody who is signed in."""
    doors: list[list[tuple[bytes, bytes]]] = [
        [],
        [(b"authorization", b"Bearer sk-" + b"0" * 48)],
        [(b"authorization", f"Bearer {issue_token(buyer)}".encode())],
        [(b"cookie", b"sessionid=x")],
    ]
    asked = [(method, route_with(route), door) for route in v1.ROUTES for method in ("GET", "POST") for door in doors]
    with in_a_thread(world.upstream):
        found = statuses(asked)
    assert [(ask, status) for ask, status in zip(asked, found, strict=True) if status != 401] == []


def test_I1_a_kept_response_is_missing_to_everybody_else(world: World, buyer: User) -> None:  # noqa: F811
    expires = clock.now() + timedelta(days=1)
    facts: dict[str, Any] = {"body": "{}", "input": "[]", "item_ids": [], "expires": expires}
    KeptResponse.objects.create(public_id="resp_1", user=world.user, **facts)
    door = [(b"authorization", f"Bearer {create_api_key(buyer, 'mine')[1]}".encode())]
    asked = [(method, "/v1/responses/resp_1", door) for method in ("GET", "DELETE")]
    with in_a_thread(world.upstream):
        assert statuses(asked) == [404, 404]
    assert KeptResponse.objects.count() == 1
