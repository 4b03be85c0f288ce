"""Who hands out a day's bill."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.far_side import FarSide

from .day_bills import Provider


@pytest.fixture
def biller(wechat: Any, alipay: Any, settings: Any) -> Iterator[Provider]:
    with FarSide() as far:
        yield Provider(far, settings)
