"""What the stand-ins for model providers do when they are asked to fail: by a mark, or by a script."""

from typing import Any

import pytest
from django.test import Client

from sandbox.models import UpstreamScript
from sandbox.upstream.catalogue import CUSTOMERS
from sandbox.upstream.faults import FAULTS, marked, without_marks


def test_marks_are_read_and_taken_out() -> None:
    assert marked("a [[fault: 429 2.5]] [[FAULT:no_usage]] b") == {"429": 2.5, "no_usage": 0}
    assert marked("[[fault: explode]] [[fault: 429 x]] [fault: 500]") == {}
    assert without_marks("Say [[fault: slow]]") == "Say"
    assert all(fault.says for fault in FAULTS.values())


# --- Scripts ---------------------------------------------------------------------------------------------------------
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
