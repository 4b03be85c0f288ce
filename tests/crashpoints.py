"""Servers that kill themselves (SIGKILL) at a chosen line of the product, forked from one warm process.

The product has no hook for this: a child traces its own execution and counts the lines it runs in WATCHED files. A
fork costs a few milliseconds where a fresh server costs seconds, so that every line can have its turn.

python -m tests.crashpoints FD is the warm process; FD is a socket for its orders, one JSON object a line (see `Forge`).
"""

import itertools
import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import django
from django.core.management import call_command

_numbers = itertools.count(1)
ROOT = Path(__file__).resolve().parents[1]
# What a payment, or a call of a model, passes through between the socket and the disk.
WATCHED = (
    "llm/api/v1.py",
    "llm/api/v1_request.py",
    "llm/api/v1_talk.py",
    "llm/relay/attempts.py",
    "llm/relay/call.py",
    "llm/relay/gathering.py",
    "llm/relay/opening.py",
    "llm/relay/settling.py",
    "notifications/delivery.py",
    "notifications/routing.py",
    "notifications/services.py",
    "storage_backends/api.py",
    "storage_backends/archiving.py",
    "storage_backends/backends/local.py",
    "storage_backends/models.py",
    "storage_backends/services.py",
    "topup/api/notices.py",
    "topup/api/users.py",
    "topup/gateways/base.py",
    "topup/gateways/exchanges.py",
    "topup/services/configured.py",
    "topup/services/crediting.py",
    "topup/services/opening.py",
    "topup/services/receiving.py",
    "topup/services/refund_mirroring.py",
    "topup/services/surplus.py",
    "topup/models/orders.py",
    "topup/models/refunds.py",
    "topup/services/reconciliation/*.py",
    "topup/services/placing.py",
    "topup/services/settling.py",
    "topup/services/given_back.py",
    "topup/services/following.py",
    "topup/services/refunding.py",
    "topup/services/refund_finding.py",
    "topup/services/refund_settling.py",
    "topup/services/sweeping.py",
    "voicehelper/asgi.py",
    "voicehelper/postgres.py",
    "voicehelper/wallet/audit.py",
    "voicehelper/wallet/batch.py",
    "voicehelper/wallet/periods.py",
    "voicehelper/wallet/services.py",
    "voicehelper/wallet/statements.py",
    # Before and after COMMIT are lines of Django's.
    "django/db/transaction.py",
)


@dataclass(frozen=True)
class End:
    """How a server ended: where it killed itself ("" if it did not), and how many watched lines it had run."""

    where: str
    lines: int


class Forge:
    """The test's end. Servers accept on one of `listeners`, each a socket that was given to `forge`. `log` is what all
    of them say."""

    def __init__(self, control: socket.socket, log: Path) -> None:
        self._control = control.makefile("rw")
        self.log = log

    def serve(self, listener: socket.socket, *, kill_at: int | str | None = None) -> int:
        """Start a server; its process id. It kills itself before the `kill_at`-th watched line it runs, or before the
        first line in a function named like "topup/inbox.py:receive_notice". 0: never, but its lines are counted;
        None: it is not slowed by that."""
        pid: int = self._ask(serve=listener.fileno(), kill_at=kill_at)
        return pid

    def command(self, *arguments: str, kill_at: int | str = 0) -> End:
        """Run `manage.py` with these arguments, to its end or to the line where it kills itself."""
        return End(**self._ask(command=arguments, kill_at=kill_at))

    def call(self, function: str, settings: dict[str, Any], *, kill_at: int | str = 0) -> End:
        """Call a function, named like "notifications.delivery:deliver", under these settings; as `command`."""
        return End(**self._ask(call=function, settings=settings, kill_at=kill_at))

    def start(self, function: str) -> int:
        """Have a process call a function, named as for `call`, and live until `end`; its process id."""
        pid: int = self._ask(call=function, settings={}, kill_at=None, stays=True)
        return pid

    def end(self, pid: int) -> End:
        """Kill the server, or what was started, if it still runs."""
        return End(**self._ask(end=pid))

    def _ask(self, **order: Any) -> Any:
        self._control.write(json.dumps(order) + "\n")
        self._control.flush()
        return json.loads(self._control.readline())


@contextmanager
def forge(environment: dict[str, str], listeners: Sequence[socket.socket]) -> Iterator[Forge]:
    """A warm process with this environment; it and its servers are gone afterwards."""
    from voicehelper.embedded.process import Process

    ours, theirs = socket.socketpair()
    descriptors = [theirs.fileno(), *(listener.fileno() for listener in listeners)]
    data = Path(os.environ["VOICEHELPER_DATA"])
    command = [sys.executable, "-m", "tests.crashpoints", str(theirs.fileno())]
    name = f"forge-{os.getpid()}-{next(_numbers)}"
    with ours, Process(name, command, data, env=environment, grace_s=1, pass_fds=descriptors) as process:
        theirs.close()
        yield Forge(ours, process.log)


# --- In the warm process ---------------------------------------------------------------------------------------------
def main(control: socket.socket) -> None:
    warm_up()
    notes: dict[int, mmap.mmap] = {}
    with control.makefile("rw") as orders:
        for line in orders:
            order = json.loads(line)
            if "end" in order:
                os.kill(order["end"], signal.SIGKILL)
                os.waitpid(order["end"], 0)
                answer: Any = read(notes.pop(order["end"]))
            else:
                note = mmap.mmap(-1, 4096)
                pid = os.fork()
                if pid == 0:
                    if order["kill_at"] is not None:
                        watch(order["kill_at"], note)
                    be(order)
                if "serve" in order or "stays" in order:
                    notes[pid] = note
                    answer = pid
                else:
                    os.waitpid(pid, 0)
                    answer = read(note)
            orders.write(json.dumps(answer) + "\n")
            orders.flush()


def warm_up() -> None:
    """Everything that a server loads, but no thread and no connection: neither survives a fork."""
    from django.urls import get_resolver
    from django.utils import translation

    import voicehelper.asgi
    from topup.gateways.alipay.wire import official

    assert voicehelper.asgi
    get_resolver().resolve("/healthz")
    for language in ("zh-hans", "en"):
        with translation.override(language):
            translation.gettext("warm")
    for name in ("AlipayTradePrecreate", "AlipayTradeRefund", "AlipayTradeFastpayRefundQuery"):
        official(name, {}, "")
    assert threading.active_count() == 1


def be(order: dict[str, Any]) -> NoReturn:
    """What was ordered, in a child."""
    if "serve" in order:
        serve(order["serve"])
    if "call" in order:
        call(order["call"], order["settings"])
    manage(order["command"])


def call(function: str, settings: dict[str, Any]) -> NoReturn:
    module, _, name = function.partition(":")
    for setting, value in settings.items():
        setattr(django.conf.settings, setting, value)
    try:
        getattr(import_module(module), name)()
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


def manage(arguments: Sequence[str]) -> NoReturn:
    """Be one run of manage.py."""
    try:
        with Path(os.devnull).open("w") as nowhere:
            call_command(*arguments, stdout=nowhere, stderr=nowhere)
    except SystemExit:
        pass
    finally:
        os._exit(0)


def serve(descriptor: int) -> NoReturn:
    """Be a server."""
    import uvicorn

    from voicehelper.asgi import application

    config = uvicorn.Config(application, lifespan="off", ws="none", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=os.dup(descriptor))])
    os._exit(0)


def watch(kill_at: int | str, note: mmap.mmap) -> None:
    """Trace this thread and all that will be started."""
    watched = {
        str(path): path.relative_to(root).as_posix()
        for root in (ROOT, Path(django.__file__).parents[1])
        for pattern in WATCHED
        for path in root.glob(pattern)
    }
    gone = [
        pattern
        for pattern in WATCHED
        if not any([*ROOT.glob(pattern), *Path(django.__file__).parents[1].glob(pattern)])
    ]
    assert not gone, f"nothing is there: {gone}"
    if isinstance(kill_at, str):
        place, function = kill_at.split(":")
        assert place in watched.values(), f"{place} is not watched"
        assert f"def {function}(" in (ROOT / place).read_text(), f"nothing is called {kill_at}"
    count = 0

    def at_line(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            struct.pack_into("i", note, 0, count)
            code = frame.f_code
            name = watched[code.co_filename]
            if count == kill_at or f"{name}:{code.co_name}" == kill_at:
                where = f"{name}:{frame.f_lineno} {code.co_name}".encode()
                struct.pack_into("i", note, 4, len(where))
                note[8 : 8 + len(where)] = where
                os.kill(os.getpid(), signal.SIGKILL)
        return at_line

    def at_call(frame: FrameType, _event: str, _argument: object) -> Any:
        return at_line if frame.f_code.co_filename in watched else None

    threading.settrace(at_call)
    sys.settrace(at_call)


def read(note: mmap.mmap) -> dict[str, Any]:
    count, length = struct.unpack_from("ii", note, 0)
    return {"where": note[8 : 8 + length].decode(), "lines": count}


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
