"""Users in the admin: operators help them, and cannot make themselves more powerful."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client

from tests.operators import browser_of, clerk
from voicehelper.accounts.models import AccessToken, User
from voicehelper.accounts.services import issue_token, user_of_token
from voicehelper.admin.base import change_url
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = pytest.mark.django_db

USERS = "/admin/accounts/user/"


@pytest.fixture
def helper(db: None) -> User:
    """An operator who may change users, and nothing else."""
    return clerk("view_user", "change_user", "delete_user")


@pytest.fixture
def helpers_browser(helper: User) -> Client:
    return browser_of(helper)


def tokens_form() -> dict[str, str]:
    lists = ("access_tokens", "wechat_identities")
    return {f"{name}-{count}_FORMS": "0" for name in lists for count in ("TOTAL", "INITIAL")}


def test_the_group_of_a_user_can_be_changed(helpers_browser: Client, buyer: User) -> None:
    form: dict[str, Any] = {"username": "buyer", "group": "vip", "is_active": "on"} | tokens_form()
    assert helpers_browser.post(change_url(buyer), form).status_code == 302
    buyer.refresh_from_db()
    assert buyer.group == "vip"


def test_an_operator_cannot_make_anybody_more_powerful(helpers_browser: Client, helper: User, buyer: User) -> None:
    powers: dict[str, Any] = {"is_staff": "on", "is_superuser": "on"}
    for user in (buyer, helper):
        form: dict[str, Any] = {"username": user.username, "group": "default", "is_active": "on"}
        helpers_browser.post(change_url(user), form | powers | tokens_form())
        user.refresh_from_db()
        assert not user.is_superuser
    assert not buyer.is_staff


def test_an_operator_cannot_take_over_another_ones_account(helpers_browser: Client, staff: User) -> None:
    new = {"password1": "a stolen password 1", "password2": "a stolen password 1", "usable_password": "true"}
    assert helpers_browser.post(f"{USERS}{staff.pk}/password/", new).status_code == 403
    assert helpers_browser.post(change_url(staff), {"username": "mine"} | tokens_form()).status_code == 403
    staff.refresh_from_db()
    assert staff.check_password("a long operator password")


def test_roles_are_for_superusers(helpers_browser: Client, helper: User, browser: Client) -> None:
    helper.user_permissions.add(Permission.objects.get(codename="change_group"))
    group = Group.objects.create(name="Support")
    page = f"/admin/auth/group/{group.pk}/change/"
    assert helpers_browser.post(page, {"name": "Mine"}).status_code == 403
    assert browser.get(page).status_code == 200


def test_a_user_with_a_wallet_is_never_deleted(browser: Client, buyer: User, other_user: User) -> None:
    credit(buyer, 1, kind=Entry.Kind.GIFT, ref="x", actor="test")
    assert browser.post(f"{USERS}{buyer.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(USERS, {"action": "delete_selected", "_selected_action": [buyer.pk], "post": "yes"})
    assert User.objects.filter(pk=buyer.pk).exists()
    browser.post(f"{USERS}{other_user.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=other_user.pk).exists()


def test_tokens_are_listed_without_their_text_and_revoked(browser: Client, buyer: User) -> None:
    text = issue_token(buyer)
    page = browser.get(change_url(buyer)).text
    assert text not in page
    assert AccessToken.objects.get().digest not in page
    answer = browser.post(change_url(buyer).replace("/change/", "/do/revoke/"), follow=True).text
    assert "1 token revoked." in answer
    assert user_of_token(text) is None
    assert "Revoke all tokens" in LogEntry.objects.get().change_message
    assert "There is no valid token." in browser.get(change_url(buyer)).text


def test_tokens_of_many_users_are_revoked_but_not_those_of_other_operators(
    helpers_browser: Client, buyer: User, staff: User
) -> None:
    mine, bosses = issue_token(buyer), issue_token(staff)
    data = {"action": "revoke_selected", "_selected_action": [buyer.pk, staff.pk]}
    helpers_browser.post(USERS, data)
    assert user_of_token(mine) is None
    assert user_of_token(bosses) == staff


def test_a_users_password_can_be_set_and_ends_the_tokens(browser: Client, buyer: User) -> None:
    text = issue_token(buyer)
    new = {"password1": "a brand new password 1", "password2": "a brand new password 1", "usable_password": "true"}
    assert browser.get(f"{USERS}{buyer.pk}/password/").status_code == 200
    assert browser.post(f"{USERS}{buyer.pk}/password/", new).status_code == 302
    assert user_of_token(text) is None


def test_the_pages_open(browser: Client, buyer: User) -> None:
    credit(buyer, 1_234_567, kind=Entry.Kind.GIFT, ref="x", actor="test")
    assert "1,234,567" in browser.get(USERS).text
    assert "1,234,567" in browser.get(change_url(buyer)).text
    assert browser.get(f"{USERS}add/").status_code == 200
    assert browser.get(USERS, {"active": "staff", "q": "op"}).status_code == 200
    assert browser.get("/admin/admin/logentry/").status_code == 200
    assert browser.get("/admin/auth/group/").status_code == 200


def test_a_username_is_shown_as_text(browser: Client) -> None:
    user = User.objects.create(username="<script>alert(1)</script>")
    assert "<script>alert(1)" not in browser.get(change_url(user)).text + browser.get(USERS).text


def test_a_list_offers_the_rest_only_where_something_is_looked_for(buyer: User, staff: User) -> None:
    browser = browser_of(staff)
    assert "Show all" not in browser.get("/admin/accounts/user/").text
    assert "Show all" in browser.get("/admin/accounts/user/?q=buyer").text
