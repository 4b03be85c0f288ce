"""What the audit says when a charge and its usage row do not agree; and that the locks it rests on are asked for."""

from collections.abc import Callable

import pytest

from llm.models import Usage
from voicehelper.wallet import audit

from .conftest import ASK, World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def charged(world: World, books_agree: Callable[[], None]) -> World:
    world.give(1_000_000)
    world.play(lambda w: w.client.post("/v1/chat/completions", ASK))
    books_agree()
    return world


def findings() -> str:
    return "\n".join(audit.run(full=True).findings)


def test_a_charge_without_a_usage_row_is_named(charged: World) -> None:
    ref = charged.usage().request_id
    Usage.objects.all().delete()
    assert f"({ref}): charged 1500, has no usage row" in findings()


def test_a_usage_row_that_says_another_amount_is_named(charged: World) -> None:
    Usage.objects.update(quota=1499)
    assert "charged 1500, its usage row says 1499" in findings()


def test_a_usage_row_without_a_charge_is_named(charged: World) -> None:
    Usage.objects.update(request_id="req_other")
    assert "usage req_other: says 1500 quota, nothing was charged" in findings()
