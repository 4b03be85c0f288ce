"""Files go into a folder of their own, for each test."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def files_dir(settings: Any, tmp_path: Path) -> Path:
    settings.FILES_DIR = str(tmp_path / "files")
    return tmp_path / "files"
