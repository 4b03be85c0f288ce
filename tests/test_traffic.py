"""Requests are counted by route on a real server, over all its processes, and followed to a collector of traces."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Server, open_sandbox_accounts
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a-token-of-some-length"
PAY = "/api/user/wechat/pay"


def samples(server: Server) -> dict[tuple[str, ...], float]:
    answer = server.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 200, answer
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def pay(server: Server, buyer: User, **headers: str) -> int:
    ask = {"amount": 10, "payment_method": "wechat"}
    return server.post_json(PAY, ask, headers={"Authorization": f"Bearer {issue_token(buyer)}", **headers}).status


class Collector:
    """Takes spans as OpenTelemetry's exporters send them (OTLP over HTTP, protobuf)."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(facts["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> Any:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if found := [span for span in self.spans if span.name == name]:
                return found[0]
            time.sleep(0.1)
        raise AssertionError([span.name for span in self.spans])


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    found = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield found, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_two_processes_count_together_and_a_trace_reaches_from_the_request_to_the_gateway(
    tmp_path: Path, buyer: User, collector: tuple[Collector, str]
) -> None:
    open_sandbox_accounts()
    seen, address = collector
    variables = {
        "METRICS_TOKEN": TOKEN,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
    }
    with Server(workers=2, **variables) as server:
        before = samples(server)
        assert before["voicehelper_http_requests_total", PAY, "2xx"] == 0
        assert before["voicehelper_http_requests_total", "/v1/chat/completions", "5xx"] == 0
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        assert [pay(server, buyer, traceparent=parent) for _ in range(6)] == [200] * 6
        assert server.post_json(PAY, {}).status == 401
        assert server.get("/nothing/of/ours").status == 404
        assert server.post_json("/v1/chat/completions", {}).status == 401
        assert server.post_json("/v1/nothing", {}).status == 401
        after = samples(server)
        told = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        request = seen.named(f"POST {PAY}")
        asked = seen.named("wechat create")
    counted = {key[1:]: value for key, value in after.items() if key[0] == "voicehelper_http_requests_total" and value}
    assert counted[PAY, "2xx"] == 6
    assert counted[PAY, "4xx"] == 1
    assert counted["none", "4xx"] == 1
    assert counted["/v1/chat/completions", "4xx"] == counted["/v1/*", "4xx"] == 1
    assert after["voicehelper_http_request_seconds_count", PAY] == 7
    # Requests are counted, and none has a line of the log to itself.
    assert not [line for line in told if line["logger"] == "uvicorn.access"]
    assert not any("/nothing" in value for key in after for value in key)
    assert seen.services == {"voicehelper"}
    assert request.trace_id == asked.trace_id == bytes.fromhex(parent[3:35])
    assert asked.parent_span_id == request.span_id
    facts = {each.key: each.value.string_value or each.value.int_value for each in request.attributes}
    assert (facts["http.route"], facts["http.response.status_code"]) == (PAY, 200)
    assert told
    assert all({"time", "level", "logger", "message", "request_id"} <= line.keys() for line in told)
    assert all(line["time"][-5:] in ("+0800", "+0000") for line in told)
