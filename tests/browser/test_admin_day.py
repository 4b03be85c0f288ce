"""An operator's keyboard and eyes: past the menu in a few steps, a job run by hand, and an alert made quiet."""

from collections.abc import Callable

import pytest
from selenium.webdriver import Keys

from notifications.models import Alert
from notifications.services import raise_alert
from tests.browser.person import Person
from voicehelper.accounts.models import SavedView, User
from voicehelper.admin.base import change_url

pytestmark = pytest.mark.django_db(transaction=True)

FOCUSED = "return [document.activeElement.id, document.activeElement.className, document.activeElement.name || '']"


def tabs_until(operator: Person, name: str) -> int:
    """How often Tab (and Enter on the skip link, once) until the input of this name has the focus."""
    for count in range(1, 60):
        operator.press(Keys.TAB)
        _id, shown, found = operator.script(FOCUSED)
        if found == name:
            return count
        if "vh-skip" in shown:
            operator.press(Keys.ENTER)
    return 60


@pytest.mark.rare
def test_an_operator_reaches_the_search_snoozes_an_alert_runs_a_job_and_keeps_a_view(
    open_browser: Callable[..., Person], staff: User
) -> None:
    raise_alert("job_missed", title="Late", key="late")
    operator = open_browser("desktop")
    operator.is_signed_in(staff)
    operator.visit("/admin/notifications/alert/?open=yes")
    assert tabs_until(operator, "q") <= 5
    operator.click(".vh-keep-view summary")
    operator.fill(".vh-keep-view [name=name]", "Open ones")
    operator.click(".vh-keep-view button")
    operator.loaded()
    operator.sees(".vh-view[aria-current=page]")
    assert SavedView.objects.get().query == "open=yes"
    operator.visit(change_url(Alert.objects.get()))
    operator.click("form[action$='/do/snooze/'] button")
    operator.loaded()
    assert Alert.objects.get().snoozed_until is not None
    operator.visit("/admin/notifications/jobrun/")
    operator.click("form[action$='/check_room/run/'] button")
    operator.loaded()
    assert "/admin/notifications/jobrun/" in operator.path
    operator.sees("#check_room")
