"""What Hypothesis tries must end before pytest-timeout ends it: else a wrong property looks like a slow test."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine

from tests.conftest import SOAK


def test_a_property_that_fails_slowly_shows_its_example_in_time(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    assert SOAK or pytestconfig.getoption("timeout") > 4 * engine.MAX_SHRINKING_SECONDS
    # As if it took a hundred times as long.
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 0.2)

    @settings(database=None, derandomize=True)
    @given(st.lists(st.integers(), min_size=40), st.text(min_size=40))
    def no_long_list_adds_up(numbers: list[int], text: str) -> None:
        time.sleep(0.002)
        assert sum(numbers) + len(text) < 1000

    started = time.monotonic()
    with pytest.raises(AssertionError) as caught:
        no_long_list_adds_up()
    assert time.monotonic() - started < 10
    assert any("Failing test case: no_long_list_adds_up(" in note for note in caught.value.__notes__)
