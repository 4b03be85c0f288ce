"""The people and merchants that appear in tests, on a real database; the rate limiter forgets between tests."""

import gc
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import hypothesis
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client
from hypothesis.internal.conjecture import engine as hypothesis_engine
from psycopg.pq import TransactionStatus
from rest_framework.test import APIClient

from tests import emptying, rewriting
from tests.databases import database_of
from tests.faults.report import (  # noqa: F401  # hooks
    pytest_deselected,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from tests.image import Image
from tests.merchants import ALIPAY, WECHAT, AlipayMerchant, WeChatMerchant
from tests.operators import browser_of
from voicehelper.accounts.models import User
from voicehelper.api import ratelimit

SOAK = os.environ.get("VOICEHELPER_SOAK") == "1"


def pytest_configure(config: pytest.Config) -> None:
    if not os.environ.get("VOICEHELPER_DATA"):
        raise pytest.UsageError("Run `make test` (T=path K=expression): it starts PostgreSQL and Valkey for the tests.")
    emptying.install()
    # Next to none of the thousands of objects that a page makes are in circles.
    gc.set_threshold(100_000, 20, 50)
    # Otherwise WhiteNoise reads all static files anew for each of our thousands of clients.
    settings.WHITENOISE_AUTOREFRESH = True
    # The same examples each time; `make soak` looks for new ones.
    examples = full(100, 50)
    hypothesis.settings.register_profile("quick", derandomize=not SOAK, deadline=None, max_examples=examples)
    hypothesis.settings.load_profile("quick")
    if not SOAK:
        # A property that fails says so, with an example made as small as there is time for, before its test times out.
        hypothesis_engine.MAX_SHRINKING_SECONDS = 20


# Fixtures with servers that many tests share. One worker runs them all: else each would start servers of its own.
SHARED_SERVERS = {
    "_chat_server", "_two_servers", "_workers", "_world", "demo_folder", "deployment", "image", "models", "s3_server",
    # The matrix of dialects is played once as well.
    "seen",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    rewriting.do_share(session.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """The order stays as it is: pytest-django puts tests that commit last, and what their servers write late is only
    harmless there."""
    for item in items:
        # pytest-xdist 3.8 appends it to an attribute that pytest 9.2 no longer reads.
        if (group := group_of(item)) and config.getoption("loadgroup", False):
            item._id = type(item.id).parse(f"{item.nodeid}@{group}")
            assert item.nodeid.endswith(f"@{group}")


def group_of(item: pytest.Function) -> str | None:
    """Of the tests that must run on the same worker."""
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    return min(SHARED_SERVERS.intersection(item.fixturenames), default=None)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look through half a gigabyte of it each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A test that ran out of time within a query loses its connection; the tests after it get a new one."""
    session = connection.connection
    if session is not None and session.info.transaction_status == TransactionStatus.ACTIVE:
        connection.close()
    return (yield)


def full(soak: int, quick: int) -> int:
    """A count: the full one in `make soak`, a smaller one in `make test`."""
    return soak if SOAK else quick


def rarely(*values: Any) -> list[Any]:
    """Parameters that only `make test-all` tries; the others show as much."""
    return [rare_row(value) for value in values]


def sampled(table: Iterable[Any], *, keep: int) -> list[Any]:
    """A table of parameters of which `make test` tries so many, spread from the first row to the last."""
    rows = list(table)
    often = {round(place * (len(rows) - 1) / max(keep - 1, 1)) for place in range(keep)}
    return [row if place in often else rare_row(row) for place, row in enumerate(rows)]


def rare_row(row: Any) -> Any:
    """A row of parameters, for `make test-all` only."""
    if hasattr(row, "marks"):
        return row._replace(marks=(*row.marks, pytest.mark.rare))
    return pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=pytest.mark.rare)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: Any, worker_id: str, testrun_uid: str
) -> Iterator[None]:
    with django_db_blocker.unblock(), database_of(worker_id, testrun_uid[:8]), django_db_blocker.block():
        yield


@pytest.fixture(scope="session")
def _counters(worker_id: str) -> Iterator[redis.Redis]:
    """Each worker counts in a Redis database of its own."""
    number = int(worker_id.removeprefix("gw")) + 1 if worker_id.startswith("gw") else 0
    settings.RATELIMIT_STORAGE = f"{settings.REDIS_URL.rsplit('/', 1)[0]}/{number}"
    with redis.Redis.from_url(settings.RATELIMIT_STORAGE) as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh_rate_limits(_counters: redis.Redis) -> None:
    _counters.flushdb()
    ratelimit._resting_until = 0.0
    ratelimit._local.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _few_keys() -> Iterator[None]:
    """The sandbox's merchants share four pairs of keys: making one takes longer than most tests."""
    from sandbox.management.commands import open_sandbox_accounts as command

    make, numbers = lru_cache(lambda _number: key_pair()), itertools.cycle(range(4))
    key_pair = command.key_pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "key_pair", lambda: make(next(numbers)))
        yield


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What a deployer builds from this checkout."""
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """A `tests.seaweed.S3Server`."""
    from tests.seaweed import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def buyer(db: None) -> User:
    return User.objects.create_user("buyer", password="a long buyer password")


@pytest.fixture
def other_user(db: None) -> User:
    return User.objects.create_user("stranger", password="a long stranger password")


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_superuser("operator", password="a long operator password")


@pytest.fixture
def browser(staff: User) -> Client:
    """The operator's."""
    return browser_of(staff)


@pytest.fixture
def wechat(db: None, settings: Any) -> WeChatMerchant:
    """WeChat Pay switched on with a known merchant; its notices are signed by the test itself."""
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    WECHAT.configure()
    return WECHAT


@pytest.fixture
def alipay(db: None, settings: Any) -> AlipayMerchant:
    """Alipay switched on with a known application; its notices are signed by the test itself."""
    settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9/gateway.do"
    ALIPAY.configure()
    return ALIPAY


@pytest.fixture
def as_user() -> Callable[[User | None], APIClient]:
    """An API client that is signed in as somebody, with a real bearer token."""

    def sign_in(user: User | None) -> APIClient:
        from voicehelper.accounts.services import issue_token

        client = APIClient()
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_token(user)}")
        return client

    return sign_in


@pytest.fixture
def provider() -> Client:
    """Whoever posts to our callbacks: CSRF checks on, no session."""
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


@pytest.fixture
def books_agree() -> Callable[[], None]:
    """Fails with the findings unless `manage.py audit` would exit 0."""
    from voicehelper.wallet import audit

    def check() -> None:
        assert audit.run(full=True).findings == []

    return check
