"""PostgreSQL and Valkey: ours, unless the environment names others."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from voicehelper.embedded.postgres import Postgres
from voicehelper.embedded.process import Process
from voicehelper.embedded.valkey import Valkey


@contextmanager
def services(folder: Path, *, durable: bool = True) -> Iterator[tuple[dict[str, str], list[Process]]]:
    """DATABASE_URL and REDIS_URL as variables, and the processes we started for them; stops those at the end."""
    kinds: dict[str, Callable[[Path], Postgres | Valkey]] = {
        "DATABASE_URL": partial(Postgres, durable=durable),
        "REDIS_URL": Valkey,
    }
    addresses: dict[str, str] = {}
    processes: list[Process] = []
    with ExitStack() as stack:
        for variable, kind in kinds.items():
            if given := os.environ.get(variable):
                addresses[variable] = given
                continue
            service = kind(folder)
            stack.callback(service.stop)
            processes.append(service.start())
            addresses[variable] = service.url
        yield addresses, processes
