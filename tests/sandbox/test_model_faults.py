"""What the stand-ins for model providers do when they are asked to fail: by a mark, or by a script."""

import time
from typing import Any

import pytest
from django.test import Client

from sandbox.models import UpstreamScript
from sandbox.upstream.catalogue import CUSTOMERS
from sandbox.upstream.faults import FAULTS, marked, without_marks

from .model_client import CHAT_MODELS, Answer, Customer

EVERYONE = pytest.mark.parametrize("provider", ["ark", "openai", "anthropic"])


def fail(models: int, provider: str, fault: str, **more: Any) -> Answer:
    return Customer(models, provider).chat(messages=[{"role": "user", "content": f"Hello [[fault: {fault}]]"}], **more)


@EVERYONE
@pytest.mark.parametrize("fault", ["429 3", "500", "503", "overdue", "risk"])
def test_a_refusal_has_the_providers_status_and_code(models: int, provider: str, fault: str) -> None:
    said = fail(models, provider, fault)
    expected = {
        ("ark", "429 3"): (429, "RateLimitExceeded.EndpointRPMExceeded"),
        ("ark", "500"): (500, "InternalServiceError"),
        ("ark", "503"): (429, "ServerOverloaded"),
        ("ark", "overdue"): (403, "AccountOverdueError"),
        ("ark", "risk"): (400, "InputTextRiskDetection"),
        ("openai", "429 3"): (429, "rate_limit_exceeded"),
        ("openai", "500"): (500, "server_error"),
        ("openai", "503"): (503, "server_error"),
        ("openai", "overdue"): (429, "insufficient_quota"),
        ("openai", "risk"): (400, "content_policy_violation"),
        ("anthropic", "429 3"): (429, "rate_limit_error"),
        ("anthropic", "500"): (500, "api_error"),
        ("anthropic", "503"): (529, "overloaded_error"),
        ("anthropic", "overdue"): (402, "billing_error"),
        ("anthropic", "risk"): (400, "invalid_request_error"),
    }
    assert (said.status, said.error.get("code") or said.error["type"]) == expected[provider, fault]
    assert said.headers.get("retry-after") == ("3" if fault == "429 3" else None)


@EVERYONE
def test_a_connection_is_cut_in_the_middle(models: int, provider: str) -> None:
    streamed = fail(models, provider, "cut 4", stream=True)
    assert streamed.broken
    assert len(streamed.lines) == 4
    whole = fail(models, provider, "cut")
    assert whole.status == 200
    assert whole.broken


@EVERYONE
def test_an_error_comes_inside_a_stream(models: int, provider: str) -> None:
    said = fail(models, provider, "error_in_stream 3", stream=True)
    assert (said.status, said.broken, len(said.events)) == (200, False, 4)
    assert said.events[-1]["error"]["message"]
    assert "[DONE]" not in said.lines


@EVERYONE
def test_lines_of_a_stream_make_no_sense(models: int, provider: str) -> None:
    said = fail(models, provider, "broken_line", stream=True)
    assert sum(line.endswith("bro") for line in said.lines) == 2


@EVERYONE
@pytest.mark.parametrize("stream", [True, False])
def test_usage_is_missing_or_too_large(models: int, provider: str, stream: bool) -> None:
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream and provider != "anthropic" else {}
    nothing = fail(models, provider, "no_usage", **(more or {"stream": stream}))
    assert b'"usage"' not in nothing.body
    much = fail(models, provider, "too_much_usage 4", **(more or {"stream": stream}))
    name = "output_tokens" if provider == "anthropic" else "completion_tokens"
    assert f'"{name}":120'.encode() in much.body


@EVERYONE
def test_other_misfortunes(models: int, provider: str) -> None:
    assert fail(models, provider, "html").body.startswith(b"<!DOCTYPE html>")
    started = time.monotonic()
    assert fail(models, provider, "hang 0.5").status == 500
    assert fail(models, provider, "slow 60", max_tokens=30).status == 200
    assert time.monotonic() - started > 0.9
    reason = "refusal" if provider == "anthropic" else "content_filter"
    assert f'"{reason}"'.encode() in fail(models, provider, "filtered 3").body


def test_marks_are_read_and_taken_out() -> None:
    assert marked("a [[fault: 429 2.5]] [[FAULT:no_usage]] b") == {"429": 2.5, "no_usage": 0}
    assert marked("[[fault: explode]] [[fault: 429 x]] [fault: 500]") == {}
    assert without_marks("Say [[fault: slow]]") == "Say"
    assert all(fault.says for fault in FAULTS.values())


# --- Scripts ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_script_hits_so_many_calls_of_its_provider(models: int, client: Client) -> None:
    script = {"provider": "ark", "fault": "429", "number": 7, "times": 2}
    assert client.post("/sandbox/models/script", script, content_type="application/json").status_code == 201
    assert Customer(models, "openai").chat().status == 200
    assert Customer(models, "ark", "sk-wrong").chat().status == 401
    assert Customer(models, "ark").chat(max_tokens=0).status == 400
    hit = [Customer(models, "ark").chat() for _ in range(3)]
    assert [answer.status for answer in hit] == [429, 429, 200]
    assert hit[0].headers["retry-after"] == "7"
    script = {"model": CHAT_MODELS["openai"], "fault": "500"}
    client.post("/sandbox/models/script", script, content_type="application/json")
    assert Customer(models, "openai").chat(model="gpt-3.5-turbo").status == 200
    assert Customer(models, "openai").chat().status == 500


@pytest.mark.django_db
@pytest.mark.parametrize(
    "bad",
    [
        {"fault": "explode"},
        {},
        {"fault": "500", "provider": "nobody"},
        {"fault": "500", "model": "nothing"},
        {"fault": "500", "times": 0},
        {"fault": "500", "times": "many"},
        {"fault": "429", "number": -1},
        {"fault": "429", "number": "soon"},
        {"fault": "429", "seconds": 1},
    ],
    ids=str,
)
def test_a_script_that_makes_no_sense_is_refused(client: Client, bad: dict[str, Any]) -> None:
    response = client.post("/sandbox/models/script", bad, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["error"]
    assert not UpstreamScript.objects.exists()


@pytest.mark.django_db
def test_scripts_are_written_and_removed_on_the_page(client: Client) -> None:
    form = {"provider": "", "model": "", "fault": "cut", "number": "", "times": "3"}
    assert client.post("/sandbox/models/script", form).status_code == 302
    script = UpstreamScript.objects.get()
    assert (script.fault, script.number, script.times) == ("cut", 5, 3)
    page = client.get("/sandbox/models").content.decode()
    assert "0/3" in page
    assert all(f"<code>{name}</code>" in page for name in FAULTS)
    assert all(customer.key in page for customers in CUSTOMERS.values() for customer in customers)
    assert " style=" not in page
    refused = client.post("/sandbox/models/script", form | {"fault": "explode"})
    assert refused.status_code == 400
    assert 'role="alert"' in refused.content.decode()
    foreign = client.post("/sandbox/models/script", form, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    client.post(f"/sandbox/models/script/{script.pk}/remove")
    client.post("/sandbox/models/script", form)
    assert client.delete("/sandbox/models/script").status_code == 204
    assert not UpstreamScript.objects.exists()
