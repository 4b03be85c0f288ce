"""Roles that come along: made once, the operators' own from then on, and readable."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client

from tests.operators import browser_of, clerk
from voicehelper import roles as grants
from voicehelper.accounts import roles
from voicehelper.accounts.models import BuiltInRole, User

pytestmark = pytest.mark.django_db

NEW = {"username": "lin", "email": "lin@example.org", "group": "default", "usable_password": "true"}
PASSWORD = "a long new password"


@pytest.fixture(autouse=True)
def _planted(db: None) -> None:
    roles.plant()


def role(name: str) -> Group:
    group = BuiltInRole.objects.get(name=name).group
    assert group is not None
    return group


def operator_of(name: str) -> User:
    user = clerk(name=f"{name}-operator")
    user.groups.add(role(name))
    return user


def test_four_roles_are_there_after_migrating_and_every_permission_they_name_exists() -> None:
    assert set(BuiltInRole.objects.values_list("name", flat=True)) == set(grants.ROLES)
    known = {
        f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.select_related("content_type")
    }
    for name in grants.ROLES:
        assert roles.granted(name) <= known, name
        assert role(name).permissions.count() == len(roles.granted(name)) > 3
    assert {group.name for group in Group.objects.all()} >= {"客服", "财务", "模型运营", "只读"}


def test_what_operators_changed_about_a_role_stays() -> None:
    support, finance = role("support"), role("finance")
    support.permissions.remove(Permission.objects.get(codename="view_order"))
    Group.objects.filter(pk=support.pk).update(name="Hotline")
    finance.delete()
    roles.plant()
    assert [group.name for group in Group.objects.filter(pk=support.pk)] == ["Hotline"]
    assert not support.permissions.filter(codename="view_order").exists()
    assert BuiltInRole.objects.get(name="finance").group is None
    assert not Group.objects.filter(name="财务").exists()


def test_what_a_later_release_grants_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    support = role("support")
    monkeypatch.setitem(grants._granted, "support", {*grants._granted["support"], "topup.view_gatewaycall"})
    roles.plant()
    assert support.permissions.filter(codename="view_gatewaycall").exists()


def test_a_group_of_that_name_that_was_there_before_is_left_alone() -> None:
    BuiltInRole.objects.all().delete()
    Group.objects.all().delete()
    mine = Group.objects.create(name="客服")
    roles.plant()
    assert not mine.permissions.exists()
    assert role("support").name == "客服 2"


def test_a_new_operator_gets_a_role_on_the_page_that_makes_them(browser: Client) -> None:
    page = browser.get("/admin/accounts/user/add/").text
    assert "Support – Finds anything" in page
    form = {**NEW, "password1": PASSWORD, "password2": PASSWORD, "groups": [role("support").pk]}
    assert browser.post("/admin/accounts/user/add/", form).status_code == 302
    lin = User.objects.get(username="lin")
    assert (lin.is_staff, lin.is_superuser, lin.groups.get()) == (True, False, role("support"))
    assert "客服 – " in browser.get("/admin/accounts/user/add/", headers={"Accept-Language": "zh-hans"}).text


def test_nobody_but_a_superuser_makes_operators() -> None:
    helper = browser_of(clerk("view_user", "add_user", "change_user"))
    assert "groups" not in helper.get("/admin/accounts/user/add/").context["adminform"].form.fields
    form = {**NEW, "password1": PASSWORD, "password2": PASSWORD, "groups": [role("support").pk]}
    helper.post("/admin/accounts/user/add/", form)
    lin = User.objects.get(username="lin")
    assert not lin.is_staff
    assert not lin.groups.exists()


def test_permissions_are_words_about_pages_without_the_sandbox_and_internals(browser: Client) -> None:
    def boxes(language: str) -> list[str]:
        address = f"/admin/auth/group/{role('support').pk}/change/"
        answer: Any = browser.get(address, headers={"Accept-Language": language})
        return [str(label) for _pk, label in answer.context["adminform"].form.fields["permissions"].choices]

    names = boxes("en")
    assert "Orders: see" in names
    assert "Refunds: ask for a refund" in names
    assert not [name for name in names if "Can " in name]
    internals = ("Session", "Content type", "Recovery", "Second factor", "Trade", "Message", "Log entries: change")
    assert not [name for name in names if name.startswith(internals) and "Chat sessions" not in name]
    assert not [name for name in names if name.startswith(("Entries: ", "Holds: ")) and name[-3:] != "see"]
    assert len(names) == len(set(names))
    chinese = [name for name in boxes("zh-hans") if re.sub(r"API|¥", "", name).isascii()]
    assert not chinese


def test_saving_a_role_takes_nothing_away_that_is_not_shown(browser: Client) -> None:
    group = Group.objects.create(name="Mine")
    hidden, shown = Permission.objects.get(codename="view_session"), Permission.objects.get(codename="view_order")
    group.permissions.set([hidden, shown])
    page: Any = browser.get(f"/admin/auth/group/{group.pk}/change/")
    ticked = page.context["adminform"].form.initial["permissions"]
    form = {"name": "Mine", "permissions": [one.pk for one in ticked]}
    assert browser.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 302
    assert set(group.permissions.all()) == {hidden, shown}


def test_support_moves_no_money_and_reads_no_settings(buyer: User) -> None:
    support = browser_of(operator_of("support"))
    assert support.get("/admin/topup/order/").status_code == 200
    assert support.get(f"/admin/accounts/user/{buyer.pk}/change/").status_code == 200
    assert "add_refund" not in {one.partition(".")[2] for one in roles.granted("support")}
    for page in ("topup/rechargesettings/", "llm/credential/", "wallet/adjustment/", "auth/group/", "admin/logentry/"):
        assert support.get(f"/admin/{page}").status_code == 403, page


def test_the_read_only_role_sees_every_page_and_changes_nothing() -> None:
    reader = operator_of("read-only")
    browser = browser_of(reader)
    assert all(name.partition(".")[2].startswith("view_") for name in reader.get_all_permissions())
    for page in ("topup/order/", "wallet/wallet/", "llm/model/", "notifications/alert/", "auth/group/"):
        assert browser.get(f"/admin/{page}").status_code == 200, page


def test_migrating_again_makes_nothing_twice() -> None:
    before = set(Group.objects.values_list("pk", flat=True))
    call_command("migrate", verbosity=0)
    assert set(Group.objects.values_list("pk", flat=True)) == before
