"""compose.yaml without Docker: the same services, commands and variables, as processes in a folder with the image in
it, on a database of their own. What Compose makes of `.env` and `${…}` is done here as its documentation says."""

import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from cryptography.fernet import Fernet
from psycopg import sql

from tests.image import COMPOSE, Image, command
from tests.nodes import free_port
from tests.processes import Reply, redis_url, request
from voicehelper.embedded.process import Process

ROLES = ("voicehelper_app", "voicehelper")
# Whatever a deployer's generator of passwords makes.
PASSWORD = "p/a@s%s:w?r&d+="


class Composition:
    """What `docker compose` knows of an installation: its folder, and what runs."""

    def __init__(self, image: Image, server: Mapping[str, Any], **given: str) -> None:
        """`server` is where PostgreSQL is; `given` are lines a deployer adds to `.env`."""
        self._image, self._server, self._given = image, server, given
        self._stack = ExitStack()
        self._env: dict[str, str] = {}
        self.ports = {name: free_port() for name in COMPOSE["services"] if name.startswith("web-")}

    def sh(self, line: str) -> str:
        """One line of the handbook, and what it says. Raises when it fails."""
        words = shlex.split(line, comments=True)
        match words:
            case ["cp", source, ".env"]:
                self._fill_in((self._image.app / source).read_text())
                return ""
            case ["docker", "compose", "up", "-d", *_]:
                return self._up()
            case ["docker", "compose", "exec", service, *command]:
                done = self._run(service, shlex.join(command))
                return done.stdout
        raise AssertionError(f"The handbook says what this cannot do: {line}")

    def _fill_in(self, example: str) -> None:
        """As a deployer does: whatever has no value there needs one."""
        lines = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE)) | self._given
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VOICEHELPER_SECRET_KEYS": Fernet.generate_key().decode(),
        }
        self._env = {name: value or made.get(name, PASSWORD) for name, value in lines.items()}

    def environment(self, service: str) -> dict[str, str]:
        """A container's: the image's, then `.env`, then the service's own; and where things are on this machine."""
        own = {name: self._filled(str(value)) for name, value in COMPOSE["services"][service]["environment"].items()}
        redis = urlsplit(redis_url())
        here = {
            "DATABASE_HOST": str(self._server["host"]),
            "DATABASE_PORT": str(self._server["port"]),
            "DATABASE_NAME": str(self._server["dbname"]),
            "REDIS_HOST": redis.hostname or "",
            "REDIS_PORT": str(redis.port),
            "REDIS_PASSWORD": unquote(redis.password or ""),
            "FILES_DIR": str(self._image.app.parent / "files"),
        }
        return {**self._image.environment, **self._env, **own, **here}

    def _filled(self, text: str) -> str:
        return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: self._env[found[1]], text)

    def _run(self, service: str, command: str) -> "subprocess.CompletedProcess[str]":
        done = self._image.run(command, self.environment(service), timeout_s=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def _up(self) -> str:
        """`migrate` to its end, then everything of ours; returns when both nodes are healthy."""
        said = self._run("migrate", COMPOSE["services"]["migrate"]["command"]).stdout
        nodes = {}
        for name, service in COMPOSE["services"].items():
            if service.get("image") == COMPOSE["x-app"]["image"] and name != "migrate":
                nodes[name] = self._start(name, service)
        for name, port in self.ports.items():
            nodes[name].wait_until(lambda port=port: request(port, "GET", "/readyz", timeout_s=10).status == 200)
        return said

    def _start(self, name: str, service: Mapping[str, Any]) -> Process:
        script = str(service.get("command", command()))
        if name in self.ports:
            script = script.replace("--host 0.0.0.0 --port 8000", f"--port {self.ports[name]}")
        script = script.replace("/tmp/beat-schedule", str(self._image.app.parent / "beat-schedule"))
        start = ["sh", "-c", f"cd {shlex.quote(str(self._image.app))} && exec {script.removeprefix('exec ')}"]
        data = Path(os.environ["VOICEHELPER_DATA"])
        return self._stack.enter_context(Process(name, start, data, env=self.environment(name), grace_s=5))

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Of the first node, through the proxy in front."""
        proxied = {"Host": "pay.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        headers = proxied | dict(options.pop("headers", {}))
        return request(next(iter(self.ports.values())), method, path, headers=headers, **options)

    def down(self) -> None:
        self._stack.close()


@contextmanager
def empty_server(address: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An empty database whose owner is the only role, as PostgreSQL's image makes it; both are gone afterwards."""
    name = f"deployed_{os.getpid()}"
    with psycopg.connect(**address, autocommit=True) as session:
        _clear(session, name)
        session.execute("CREATE ROLE voicehelper SUPERUSER LOGIN")
        session.execute(sql.SQL("CREATE DATABASE {} OWNER voicehelper").format(sql.Identifier(name)))
        try:
            yield {"host": address["host"], "port": address["port"], "dbname": name}
        finally:
            _clear(session, name)


def _clear(session: psycopg.Connection[Any], name: str) -> None:
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    for role in ROLES:
        session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
