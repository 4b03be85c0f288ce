"""Variables a deployer sets, for settings.py: a wrong or missing value refuses to start, and says how to mend it."""

from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import environ
from django.core.exceptions import ImproperlyConfigured
from limits import parse_many

Number = TypeVar("Number", int, float)

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
DATA_DIR = Path(env.path("VOICEHELPER_DATA", default=str(BASE_DIR / ".data")))
if (DATA_DIR / "env").is_file():
    env.read_env(str(DATA_DIR / "env"), overwrite=False)


def required(name: str, hint: str) -> str:
    """The variable's value; a missing or empty one refuses to start and says how to make one."""
    value: str = env.str(name, default="").strip()
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {hint} (`make run` does it for a demo.)")
    return value


def database() -> dict[str, Any]:
    """Where PostgreSQL is, as Django wants it. DATABASE_HOST and its like take a password as it is, whatever its
    characters, and win over DATABASE_URL, in which they have to be quoted. Several hosts, with commas between, are a
    primary and its standbys: whichever takes writes is connected to."""
    if host := env.str("DATABASE_HOST", default="").strip():
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": host,
            "PORT": number("DATABASE_PORT", 5432, least=1),
            "NAME": env.str("DATABASE_NAME", default="voicehelper"),
            "USER": env.str("DATABASE_USER", default="voicehelper"),
            "PASSWORD": env.str("DATABASE_PASSWORD", default=""),
            "OPTIONS": who_writes(host),
        }
    url = required("DATABASE_URL", "Set DATABASE_HOST and its like, or this: postgres://user:password@host/name")
    found: dict[str, Any] = env.db_url_config(url)
    if found["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "DATABASE_URL must be PostgreSQL: money relies on its row locks, checks and triggers."
        )
    return found


def direct_database() -> dict[str, str]:
    """Host and port of PostgreSQL itself, in libpq's words; empty when no pooler stands before it."""
    host = env.str("DATABASE_DIRECT_HOST", default="").strip()
    if not host:
        return {}
    return {"host": host, "port": str(number("DATABASE_DIRECT_PORT", 5432, least=1)), **who_writes(host)}


def who_writes(hosts: str) -> dict[str, str]:
    """For libpq: of several hosts the one that takes writes, so that a failover needs no change here."""
    return {"target_session_attrs": "read-write"} if "," in hosts else {}


def redis_url() -> str:
    """Where Redis or Valkey is. REDIS_HOST and its like win over REDIS_URL, for the same reason."""
    if host := env.str("REDIS_HOST", default="").strip():
        password, port = quote(env.str("REDIS_PASSWORD", default=""), safe=""), number("REDIS_PORT", 6379, least=1)
        return f"redis://{f':{password}@' if password else ''}{host}:{port}/0"
    return required("REDIS_URL", "Set REDIS_HOST and its like, or this: redis://:password@host:6379/0")


def number(name: str, default: Number, *, least: Number) -> Number:
    """The variable as a number of the default's kind; nonsense, or less than `least`, refuses to start."""
    text: str = env.str(name, default="").strip() or str(default)
    kind = type(default)
    try:
        value = kind(text)
    except ValueError:
        value = kind(least - 1)
    if not least <= value < float("inf"):
        whole = "whole " if kind is int else ""
        raise ImproperlyConfigured(f"{name} is {text!r}: use a {whole}number of {least} or more.")
    return value


def rate(name: str, default: str) -> str:
    """The variable as one rate limit, for ratelimit.py; what is none refuses to start."""
    text: str = env.str(name, default="").strip() or default
    try:
        limits = parse_many(text)
    except ValueError:
        limits = []
    if len(limits) != 1 or not limits[0].amount:
        raise ImproperlyConfigured(f'{name} is {text!r}. Write it like "{default}".')
    return text
