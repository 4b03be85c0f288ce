"""The product as it is deployed: web servers on one port, workers, and what stands between them and the far sides."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from socket import socket

from django.conf import settings

from tests.crashpoints import Forge, forge
from tests.faults.proxy import Proxy
from tests.processes import Server, database_address, database_url, environment, listen, redis_url, request

WEB, WORKERS = 2, 2
_WORK = "tests.chaos.worker:work"
# What the database alone kept from happening is in a log, and nowhere else.
_STOPPED = re.compile(r"^.*(?:IntegrityError|AlreadyWritten|CheckViolation|UniqueViolation).*$", re.MULTILINE)


@dataclass
class Deployment:
    """Its processes and the ways between them. `address` is where buyers and providers reach the web servers."""

    forge: Forge
    listener: socket
    database: Proxy
    provider: Proxy
    web: list[int]
    workers: list[int]
    kills: int = 0

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill_web(self, which: int) -> None:
        """SIGKILL, and at once another in its place."""
        self.forge.end(self.web[which])
        self.web[which] = self.forge.serve(self.listener)
        self.kills += 1

    def kill_worker(self, which: int) -> None:
        self.forge.end(self.workers[which])
        self.workers[which] = self.forge.start(_WORK)
        self.kills += 1

    def heal(self) -> None:
        """All ways open, and servers that know of no broken connection."""
        for proxy in (self.database, self.provider):
            proxy.heal()
        for which in range(WEB):
            self.kill_web(which)
        for which in range(WORKERS):
            self.kill_worker(which)

    def stopped_by_constraints(self) -> list[str]:
        """Log lines of what should have been decided before the database had to refuse it."""
        return _STOPPED.findall(self.forge.log.read_text(errors="replace"))


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Everything runs and answers; the providers are a server of their own, which nobody kills. This process reaches
    the providers where the product does, and the database directly."""
    with ExitStack() as stack:
        enter = stack.enter_context
        stand_ins = enter(Server())
        provider, database = enter(Proxy(("127.0.0.1", stand_ins.port))), enter(Proxy(database_address()))
        listener = listen()
        stack.callback(listener.close)
        variables = environment(f"http://127.0.0.1:{listener.getsockname()[1]}") | {
            "DATABASE_URL": database_url(database.address),
            "REDIS_URL": redis_url(),
            "WECHAT_PAY_BASE_URL": f"http://{provider.address}/sandbox/wechat",
            "ALIPAY_GATEWAY_URL": f"http://{provider.address}/sandbox/alipay/gateway.do",
        }
        for name in ("WECHAT_PAY_BASE_URL", "ALIPAY_GATEWAY_URL"):
            stack.callback(setattr, settings, name, getattr(settings, name))
            setattr(settings, name, variables[name])
        the_forge = enter(forge(variables, [listener]))
        web = [the_forge.serve(listener) for _ in range(WEB)]
        found = Deployment(
            the_forge, listener, database, provider, web, [the_forge.start(_WORK) for _ in range(WORKERS)]
        )
        while request(found.port, "GET", "/healthz").status != 200:
            continue
        yield found
        for pid in (*found.web, *found.workers):
            the_forge.end(pid)
