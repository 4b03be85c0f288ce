"""What Lighthouse says of the pages people use most, on its throttled phone: `make lighthouse`.

The server is a production one behind a proxy that is played by a header; static files are collected first, as for an
image. Lighthouse comes from npm into .clients/lighthouse; without it, or without Chromium, nothing is measured.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".clients" / "lighthouse"
PACKAGE = "lighthouse@13.5.0"
PAGES = ("/recharge", "/chat", "/")
CATEGORIES = ("performance", "accessibility", "best-practices")
WANTED = {"performance": 95, "accessibility": 100, "best-practices": 100}
_CHROME = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage"


def main() -> int:
    """Exit code 1 when a page falls short, or asks anybody else for anything."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    django.setup()
    from .__main__ import database

    with database():
        short = [problem for page in PAGES for problem in _judged(page, *_measured(page))]
    print("\n".join(short) or "All as wanted.")
    return 1 if short else 0


def _measured(page: str) -> tuple[dict[str, Any], str]:
    """Lighthouse's report of a page, and the server's address."""
    from django.test import Client

    from llm.models import Credential, Model
    from llm.seeds import plant
    from tests.processes import open_sandbox_accounts
    from voicehelper.accounts.models import User

    plant(Model)
    open_sandbox_accounts()
    Credential.objects.get_or_create(name="ark", provider="ark", defaults={"base_url": "http://127.0.0.1:9"})
    user, _made = User.objects.get_or_create(username="lighthouse")
    session = Client()
    session.force_login(user)
    cookie = "" if page == "/" else f"sessionid={session.cookies['sessionid'].value}"
    with _production() as server:
        headers = {"X-Forwarded-Proto": "https", "Cookie": cookie}
        report = FOLDER / "report.json"
        command = [
            str(_installed()), f"{server.address}{page}", "--quiet", "--output=json", f"--output-path={report}",
            f"--only-categories={','.join(CATEGORIES)}", f"--chrome-flags={_CHROME}",
            f"--extra-headers={json.dumps(headers)}",
        ]  # fmt: skip
        subprocess.run(command, check=True, env={**os.environ, "CHROME_PATH": shutil.which("chromium") or ""})
    found: dict[str, Any] = json.loads(report.read_text())
    return found, server.address


def _production() -> Any:
    """A `tests.processes.Server` that is set up as deployers do it."""
    from tests.processes import Server

    server = Server(VOICEHELPER_MODE="production", SANDBOX="False", TRUSTED_PROXIES="1", STAFF_SECOND_FACTOR="False")
    server.environment |= {
        "SERVER_ADDRESS": server.address.replace("http:", "https:"),
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"]
    subprocess.run(collect, check=True, cwd=ROOT, env={**os.environ, **server.environment})
    return server


def _judged(page: str, report: dict[str, Any], address: str) -> Iterator[str]:
    """Prints the figures; what falls short, in words."""
    scores = {name: round(100 * report["categories"][name]["score"]) for name in CATEGORIES}
    audits = report["audits"]
    asked = [item["url"] for item in audits["network-requests"]["details"]["items"]]
    foreign = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    times = {name: audits[name]["displayValue"] for name in ("first-contentful-paint", "largest-contentful-paint")}
    print(f"{page}: {scores} {times} {len(asked)} requests")
    for name, score in scores.items():
        if score < WANTED[name]:
            yield f"{page}: {name} {score}: {', '.join(_failed(report, name))}"
    yield from (f"{page} asks {url}" for url in foreign)


def _failed(report: dict[str, Any], category: str) -> Iterator[str]:
    """The audits of a category that count and are not passed."""
    for reference in report["categories"][category]["auditRefs"]:
        audit = report["audits"][reference["id"]]
        if reference["weight"] and audit["score"] is not None and audit["score"] < 0.9:
            yield f"{audit['id']} ({audit.get('displayValue', audit['title'])})"


def _installed() -> Path:
    program = FOLDER / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(FOLDER), PACKAGE], check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
