"""The document at /api/docs and the server agree: whatever the document allows is answered as the document says."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from llm.relay import loops
from tests.conftest import full
from tests.llm.conftest import World, world  # noqa: F401  # a fixture
from tests.processes import Server
from tests.wechat import set_up_mini_program
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db(transaction=True)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def server(world: World) -> Iterator[Server]:  # noqa: F811
    world.give(10**12)
    set_up_mini_program()
    loops.run(world.upstream.__aenter__())
    with Server(CHAT_RATE_LIMIT="1000000 per minute", LLM_TOTAL_SECONDS="5") as running:
        yield running
    loops.run(world.upstream.__aexit__())
    loops.hang_up()


@pytest.mark.rare
@pytest.mark.timeout(600)
def test_chat_keys_usage_and_the_mini_program_answer_as_documented(server: Server, world: World) -> None:  # noqa: F811
    headers = {"Authorization": f"Bearer {issue_token(world.user)}"}
    schema = schemathesis.openapi.from_url(f"{server.address}/api/schema", headers={"Accept": "application/json"})
    tried = []
    for found in schema.include(
        path_regex="^/api/(chat|user/keys|user/usage|user/statement|share|auth/wx)"
    ).get_all_operations():
        operation = found.ok()
        tried.append(operation.label)

        @given(case=operation.as_strategy())
        @settings(max_examples=full(200, 10), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def answers_as_documented(case: schemathesis.Case) -> None:
            # The middleware refuses those before any route sees them.
            assume("\\x00" not in repr((case.query, case.path_parameters)))
            case.call_and_validate(base_url=server.address, headers=headers, checks=CHECKS)

        answers_as_documented()
    assert len(tried) == 30
