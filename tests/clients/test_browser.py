"""A page of somebody else's, on another port: Chromium lets it call /v1 and read the answer as it comes."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.browser.conftest import CHROMIUM, DRIVER, FLAGS

from .conftest import Deployment


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Somebody else's page</title>")

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    running = webdriver.Chrome(options=options, service=Service(DRIVER))
    running.set_script_timeout(30)
    yield running
    running.quit()


def test_a_page_on_another_port_streams_an_answer(
    clients: Deployment, driver: webdriver.Chrome, elsewhere: str
) -> None:
    driver.get(elsewhere)
    code = clients.snippet("page.js")
    events, request_id = driver.execute_async_script(
        f"const done = arguments[0]; (async () => {{ {code}\nreturn [events, requestId]; }})()"
        ".then(done, (error) => done([String(error), null]));"
    )
    said = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for chunk in said for choice in chunk["choices"])
    assert (text, events.endswith("data: [DONE]\n\n")) == ("Hello! I am the stand-in.", True)
    assert request_id.startswith("req_")
    clients.settled()


def test_what_goes_wrong_can_be_read_there_too(clients: Deployment, driver: webdriver.Chrome, elsewhere: str) -> None:
    """A refusal without the headers of CORS would be "Failed to fetch", and nobody would know why."""
    driver.get(elsewhere)
    code = clients.snippet("page.js").replace(clients.key, "sk-wrong")
    events, _request_id = driver.execute_async_script(
        f"const done = arguments[0]; (async () => {{ {code}\nreturn [events, requestId]; }})()"
        ".then(done, (error) => done([String(error), null]));"
    )
    assert json.loads(events)["error"]["code"] == "invalid_api_key"
    assert clients.bodies == []
