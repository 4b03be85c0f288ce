"""Where nothing is."""

import pytest
from django.test import Client


@pytest.mark.parametrize("path", ["/api/nothing", "/api/user/keys/-158", "/api/"])
def test_programs_are_told_in_json(path: str, db: None) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer.json()["success"]) == (404, False)


def test_people_get_a_page(db: None) -> None:
    answer = Client(headers={"accept-language": "en"}).get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
