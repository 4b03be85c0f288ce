"""An operator sets up two-step sign-in, and signs in to the admin with it, in a browser."""

from collections.abc import Callable

import pytest

from tests.accounts.test_second_factor import digits
from tests.browser.person import Person
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"


def test_an_operator_sets_it_up_and_signs_in_with_it(
    shop: User, staff: User, open_browser: Callable[..., Person]
) -> None:
    person = open_browser()
    person.is_signed_in(staff)
    person.visit("/accounts/two-steps")
    person.fill("#id_password", PASSWORD)
    person.click("button[value=begin]")
    person.sees("[data-key]")
    person.fill("#id_code", digits(staff, -1))
    person.click("button[value=confirm]")
    person.sees("[data-codes]")
    paper = person.text("[data-codes]").split()[0]
    for code in (digits(staff), paper):
        person.forget_everything()
        person.visit("/admin/")
        person.fill("#id_username", "operator")
        person.fill("#id_password", PASSWORD)
        person.click("button[type=submit]")
        person.sees("h1", "Second step")
        assert person.path == "/accounts/code?next=/admin/"
        person.fill("#id_code", code)
        person.click("button.primary")
        person.until(lambda: person.path == "/admin/", "the admin does not open")
    assert person.complaints() == []
