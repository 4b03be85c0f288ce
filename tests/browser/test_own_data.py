"""One's data in a browser: the copy, minors' mode, and the end of the account, which signing in calls off."""

from collections.abc import Callable

import pytest

from storage_backends import exporting
from tests.browser.person import Person
from voicehelper.accounts.models import AccountDeletion, DataExport, MinorMode, User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long buyer password"


@pytest.mark.rare
@pytest.mark.parametrize("width", ["phone"])
def test_a_person_copies_limits_and_deletes_and_comes_back(
    shop: User, open_browser: Callable[..., Person], width: str
) -> None:
    credit(shop, 500_000, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    person = open_browser(width)
    person.is_signed_in(shop)
    copies(person)
    limits(person)
    deletes(person)
    assert person.complaints() == []


def copies(person: Person) -> None:
    person.visit("/accounts/data")
    person.click("a[href$='/accounts/data/export']")
    person.fill("#id_password", PASSWORD)
    person.click("main button.primary")
    person.sees(".notice", "It is being made")
    # The worker's part; the page looks again by itself.
    assert exporting.write(DataExport.objects.get().pk)
    person.sees(".notice.good", "Ready:")
    person.click("a[href$='/accounts/data/export/fetch']")
    person.fill("#id_password", PASSWORD)
    person.click("main button.primary")
    person.sees("[data-export]", "Download")
    assert "/exports/export/" in person.find("[data-export]").get_attribute("href")


def limits(person: Person) -> None:
    person.visit("/accounts/minors")
    person.fill("#id_minutes", "30")
    person.fill("#id_new_pin", "2468")
    person.fill("#id_password", PASSWORD)
    person.click("button[value=on]")
    person.sees(".notice.good", "Minors’ mode is on")
    assert MinorMode.objects.get().minutes == 30
    person.fill("#off_pin", "1357")
    person.click("button[value=off]")
    person.sees(".error", "This is not the PIN")
    assert MinorMode.objects.exists()
    person.fill("#off_pin", "2468")
    person.click("button[value=off]")
    person.sees(".notice.good", "Minors’ mode is off")
    assert not MinorMode.objects.exists()


def deletes(person: Person) -> None:
    person.visit("/accounts/delete")
    person.sees(".losses", "your balance of 500,000")
    person.click(".tick")
    person.fill("#id_password", PASSWORD)
    person.click("button.danger")
    person.sees(".notice.good", "Your account will be deleted on")
    assert AccountDeletion.objects.exists()
    person.fill("#id_username", "buyer")
    person.fill("#id_password", PASSWORD)
    person.click("main button.primary")
    person.sees(".notice.good", "Welcome back")
    assert not AccountDeletion.objects.exists()
