"""The providers need no database and no rate limits; their hints are read in English."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from tests.test_http import self_signed  # noqa: F401  # a fixture


@pytest.fixture(autouse=True)
def _fresh_rate_limits() -> None:
    """Nothing here is limited."""


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield
