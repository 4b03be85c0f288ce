import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import requests

from tests.conftest import SOAK
from tests.embedded.conftest import processes_of, wait_for
from voicehelper.embedded.demo import _Health
from voicehelper.embedded.folder import ROOT, prepare

# One worker, one data folder: only the first start has to make a database.
pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    prepare(folder)
    return folder


@pytest.fixture
def folder(demo_folder: Path) -> Iterator[Path]:
    yield demo_folder
    wait_for(lambda: not processes_of(demo_folder))


@contextmanager
def running_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The supervisor, once everything is up and answers at the address that it printed."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "voicehelper.embedded", "run"],
        cwd=ROOT,
        env={**os.environ, "PORT": "0", "VOICEHELPER_DATA": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert demo.stdout
        said = ""
        while "Ctrl-C" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address
        with urlopen(f"{address[0]}/healthz") as answer:
            assert answer.status == 200
        yield demo
    finally:
        demo.kill()
        demo.wait()
        if demo.stdout:
            demo.stdout.close()


def pay_as(folder: Path, forwarded_for: str) -> None:
    """Place an order through the demo's server, from an address that a header names."""
    address = dict(line.split("=", 1) for line in (folder / "env").read_text().split("\n") if line)["SERVER_ADDRESS"]
    headers = {"X-Forwarded-For": forwarded_for}
    account = {"username": "demo", "password": "demo"}
    signed_in = requests.post(f"{address}/api/auth/login", json=account, headers=headers, timeout=10)
    headers["Authorization"] = f"Bearer {signed_in.json()['token']}"
    asked = {"amount": 10, "payment_method": "wechat"}
    answer = requests.post(f"{address}/api/user/wechat/pay", json=asked, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["message"]) == (200, "success")


@pytest.mark.rare
@pytest.mark.timeout(300)
def test_X41_the_demo_comes_up_again_after_being_killed_and_stops_without_a_trace(folder: Path) -> None:
    with running_demo(folder) as demo:
        demo.kill()
    # At once, while the keepers of the first are still at work.
    with running_demo(folder) as demo:
        pay_as(folder, "unknown")
        manage = [sys.executable, "manage.py", "migrate", "--check"]
        subprocess.run(manage, cwd=ROOT, env={**os.environ, "VOICEHELPER_DATA": str(folder)}, check=True)
        demo.terminate()
        assert demo.wait(30) == 0
        assert processes_of(folder) == []


@pytest.mark.rare
def test_an_answer_of_healthz_is_waited_for_and_asked_for_once_however_slow_the_machine_is() -> None:
    """Questions that were given up after five seconds would all be answered before the next, and to nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[bytes] = []

        def answer() -> None:
            connection, _address = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                time.sleep(6)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        slow = threading.Thread(target=answer)
        slow.start()
        health = _Health(server.getsockname()[1], [])
        wait_for(health.ready)
        slow.join()
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert [request.split(b"\r\n")[0] for request in asked] == [b"GET /healthz HTTP/1.1"]


@pytest.mark.skipif(not SOAK, reason="make soak: another start takes as long as two hundred other tests")
def test_the_demo_ends_with_an_explanation_when_one_of_its_processes_dies(folder: Path) -> None:
    with running_demo(folder) as demo:
        os.kill(int((folder / "run" / "beat.pid").read_text().split()[0]), signal.SIGKILL)
        assert demo.stdout
        said = demo.stdout.read()
        assert demo.wait(30) == 1
        assert "beat ended with exit code 137" in said
        assert f"(log: {folder}/logs/beat.log)" in said
        wait_for(lambda: not processes_of(folder))
