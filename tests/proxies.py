"""Caddy and nginx as deploy/ sets them up, in front of nodes on loopback and without TLS."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.image import ROOT
from voicehelper.embedded.process import Process

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {ours}
}}
"""


def nginx(folder: Path, port: int, nodes: Sequence[int]) -> list[str]:
    """The command; its configuration is written into the folder."""
    ours = (ROOT / "deploy/nginx/voicehelper.conf").read_text()
    for example, node in zip(("127.0.0.1:8001", "127.0.0.1:8002"), nodes, strict=True):
        ours = ours.replace(example, f"127.0.0.1:{node}")
    ours = re.sub(r"ssl_certificate.*;|server_name .*;", "", ours).replace("443 ssl", f"127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, ours=ours.replace("$host", "$http_host")))
    return ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, nodes: Sequence[int]) -> list[str]:
    """The command; its configuration is the one that is deployed, with variables."""
    addresses = " ".join(f"127.0.0.1:{node}" for node in nodes)
    values = {"SERVER_ADDRESS": f"http://127.0.0.1:{port}", "WEB_NODES": addresses, "XDG_DATA_HOME": str(folder)}
    values |= {"XDG_CONFIG_HOME": str(folder), "CADDY_ADMIN": f"unix/{folder}/admin.sock"}
    given = [f"{name}={value}" for name, value in values.items()]
    config = str(ROOT / "deploy/caddy/Caddyfile")
    return ["env", *given, "caddy", "run", "--adapter", "caddyfile", "--config", config]


PROXIES: dict[str, Callable[[Path, int, Sequence[int]], list[str]]] = {"nginx": nginx, "caddy": caddy}


def here(name: str) -> bool:
    """Whether this machine has the program."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is not None


def asks_again_with_body(name: str) -> bool:
    """Whether it asks the next node when one refuses a POST; Caddy up to 2.11.1 does not (caddyserver/caddy#7546)."""
    if name != "caddy":
        return True
    told = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
    return numbers is not None and tuple(map(int, numbers.groups())) >= (2, 11, 2)


@contextmanager
def in_front(name: str, folder: Path, port: int, nodes: Sequence[int]) -> Iterator[Process]:
    """The proxy at this port, when it answers connections."""
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    data = Path(os.environ["VOICEHELPER_DATA"])
    with Process(f"proxy-{name}-{port}", PROXIES[name](folder, port, nodes), data, env=environment, grace_s=3) as proxy:
        proxy.wait_until(lambda: _answers(port))
        yield proxy


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
