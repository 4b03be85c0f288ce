"""Somebody forgets a password and sets a new one, with a browser and a mailbox."""

from collections.abc import Callable
from typing import Any

import pytest

from notifications import mail
from tests.accounts.conftest import link_in
from tests.browser.person import Person
from tests.notifications.channels import mail_channel
from tests.notifications.conftest import Mailbox
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_forgotten_password_is_replaced_by_mail(
    shop: User, open_browser: Callable[..., Person], settings: Any
) -> None:
    settings.SMTP_PRIVATE_HOSTS = ["127.0.0.1"]
    User.objects.filter(pk=shop.pk).update(email="buyer@example.com", email_verified_at=clock.now())
    with Mailbox() as mailbox:
        mail_channel(mailbox.port, users=True)
        person = open_browser("phone")
        person.visit("/accounts/sign-in")
        person.click("a[href='/accounts/forgot']")
        person.fill("#id_who", "buyer")
        person.click("button.primary")
        person.sees("h1", "Look into your mail")
        assert mail.deliver() == 1
        person.visit(link_in(mailbox.mails[0]))
        person.sees("h1", "Set a new password")
        assert person.path.endswith("/set-password")
        person.fill("#id_new_password1", "plum-tree-93-lake")
        person.fill("#id_new_password2", "plum-tree-93-lake")
        person.click("button.primary")
        person.sees(".notice.good", "Your new password is set")
        person.fill("[name=username]", "buyer")
        person.fill("[name=password]", "plum-tree-93-lake")
        person.click("button.primary")
        person.sees("#account")
        assert person.complaints() == []
