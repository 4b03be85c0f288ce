"""The product as a deployer starts it: a process of its own that sees nothing but the environment given here."""

import json
import os
import secrets
import subprocess
import sys
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings


def production(*command: str, **changes: str | None) -> "subprocess.CompletedProcess[str]":
    """Run python with `command` under the environment of a sound production, with `changes` (None: not set)."""
    environment: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "DJANGO_SETTINGS_MODULE": "voicehelper.settings",
        "VOICEHELPER_DATA": "/nonexistent",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "VOICEHELPER_SECRET_KEYS": Fernet.generate_key().decode(),
        "SERVER_ADDRESS": "https://pay.example.com",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    environment |= changes
    return subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=90,
    )


@lru_cache(maxsize=1)
def bandit() -> dict[str, Any]:
    """What bandit says of everything but the tests."""
    command = ["-m", "bandit", "-q", "-r", ".", "-x", "./.venv,./.data,./tests,./build", "-f", "json"]
    run = subprocess.run([sys.executable, *command], cwd=settings.BASE_DIR, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    assert found["errors"] == []
    assert any(name.startswith("./topup/") for name in found["metrics"])
    return found
