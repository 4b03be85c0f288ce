"""Variables a deployer sets, for settings.py: a wrong or missing value refuses to start, and says how to mend it."""

from pathlib import Path
from typing import TypeVar

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
