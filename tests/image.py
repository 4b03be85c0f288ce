"""The image as Dockerfile makes it, in a folder and without Docker: its variables, its steps, its command."""

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet

from tests import processes
from voicehelper.embedded.process import Process

ROOT = Path(__file__).parent.parent
# The image's lines, each with what continues it.
_LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
_EXAMPLE = (ROOT / ".env.example").read_text()


def example() -> dict[str, str]:
    """What .env.example sets: what stands behind a hash is not set."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", _EXAMPLE, re.MULTILINE))


def command() -> str:
    """What a container runs when nobody says otherwise."""
    [line] = [line for line in _LINES if line.startswith("CMD ")]
    shell, option, script = json.loads(line.removeprefix("CMD "))
    assert (shell, option) == ("sh", "-c")
    return str(script)


class Image:
    """The image in a folder, which stands for its root."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        ignored = [name.removeprefix("**/") for name in (ROOT / ".dockerignore").read_text().split()]
        shutil.copytree(ROOT, self.app, ignore=shutil.ignore_patterns(*ignored))
        words = [word for line in _LINES if line.startswith("ENV ") for word in shlex.split(line.removeprefix("ENV "))]
        given = {name: value.replace("/app", str(self.app)) for name, value in (word.split("=", 1) for word in words)}
        self.environment = given | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for line in _LINES:
            if line.startswith("RUN ") and "manage.py" in line:
                self.run(line.removeprefix("RUN "), {}).check_returncode()

    def deployed(self, **changes: str) -> dict[str, str]:
        """A container's variables: the image's, then those of .env, then compose.yaml's. .env is as the example says,
        with what has to be filled in."""
        secret = {"SECRET_KEY": secrets.token_urlsafe(50), "VOICEHELPER_SECRET_KEYS": Fernet.generate_key().decode()}
        composed = {name: str(value) for name, value in COMPOSE["x-app"]["environment"].items()}
        here = {"DATABASE_URL": processes.database_url(), "REDIS_URL": processes.redis_url()}
        here |= {"DATABASE_HOST": "", "REDIS_HOST": "", "STOP_LEAD_SECONDS": "0"}
        return {**self.environment, **example(), **secret, **composed, **here, **changes}

    def run(self, script: str, variables: dict[str, str], timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
        """A command of the shell in a container."""
        environment = self.environment | variables
        return subprocess.run(
            ["sh", "-c", script], cwd=self.app, env=environment, capture_output=True, text=True, timeout=timeout_s
        )

    @contextmanager
    def serving(self, **changes: str) -> Iterator[int]:
        """A container that runs the image's command; yields its port."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(100)
            port, descriptor = listener.getsockname()[1], listener.fileno()
            script = command().replace("--host 0.0.0.0 --port 8000", f"--fd {descriptor}")
            start = ["sh", "-c", f"cd {shlex.quote(str(self.app))} && {script}"]
            data = Path(os.environ["VOICEHELPER_DATA"])
            with Process("image", start, data, env=self.deployed(**changes), pass_fds=[descriptor], grace_s=3) as web:
                web.wait_until(lambda: ask(port, "/healthz").status == 200)
                yield port


def ask(port: int, path: str) -> processes.Reply:
    """What a visitor is answered whose request comes through the proxy in front."""
    headers = {"Host": "pay.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    return processes.request(port, "GET", path, headers=headers, timeout_s=10)
