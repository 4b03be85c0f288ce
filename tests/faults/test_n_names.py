"""Faults N: nobody gets a name that others take for an operator's, the system's, or another user's."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tests.accounts.test_admin import tokens_form
from tests.conftest import sampled
from tests.faults.conftest import at_once
from tests.operators import browser_of, clerk
from voicehelper.accounts import mini_program, names
from voicehelper.accounts.models import User
from voicehelper.accounts.wechat.mini_program import WeChatPerson

pytestmark = pytest.mark.django_db

PASSWORDS = {"password1": "plum-tree-93-lake", "password2": "plum-tree-93-lake"}


def sign_up(name: str) -> str:
    """What is said of the name; empty: it was taken."""
    answer = Client(headers={"accept-language": "en"}).post("/accounts/sign-up", {"username": name} | PASSWORDS)
    if answer.status_code == 302:
        return ""
    assert not User.objects.filter(username=name).exists()
    return " ".join(answer.context["form"].errors["username"])


MIXED = ["аlice", "Αlice", "alicе", "раypal", "ali\u0441e小明", "漢字Ж", "аб\u03b1"]
STYLED = ["ａｌｉｃｅ", "𝐚lice", "ⅷ", "ﬁona", "alic℮"]
RESERVED = [
    "admin",
    "Admin",
    "ADMIN",
    "adm1n",
    "admin2024",
    "_admin_",
    "li.admin",
    "root",
    "system",
    "SUPPORT",
]
RESERVED += [
    "0fficial",
    "VoiceHelper",
    "voicehe1per-vip",
    "VoiceHeIper",
    "小系统",
    "系统",
    "管理员",
    "官方客服",
    "客服01",
]


@pytest.mark.parametrize("name", sampled(MIXED, keep=3))
def test_N8_letters_of_different_scripts_are_not_mixed(name: str) -> None:
    assert "must not be mixed" in sign_up(name)


@pytest.mark.parametrize("name", sampled(STYLED, keep=2))
def test_N8_styled_and_full_width_letters_are_refused(name: str) -> None:
    assert sign_up(name)


@pytest.mark.parametrize("name", sampled(RESERVED, keep=8))
def test_N8_nobody_is_called_like_the_house(name: str) -> None:
    assert "taken for one of ours" in sign_up(name)


@pytest.mark.parametrize(
    "name", ["小明", "小明ming", "王老师_01", "ひろみちゃん", "김철수", "Иван", "José", "m.mustermann+1", "wx2024"]
)
def test_N8_ordinary_names_are_taken(name: str) -> None:
    assert sign_up(name) == ""


@pytest.mark.parametrize("name", ["Buyer", "BUYER", "búyer", "modem.rnan", "vvang1i", "BiII", "ИВАН"])
def test_N8_a_name_that_looks_like_anothers_is_refused(name: str) -> None:
    for taken in ("buyer", "modem.man", "wangli", "Bill", "Иван"):
        User.objects.create_user(taken)
    assert sign_up(name)
    assert sign_up("buy3r") == ""


@pytest.mark.parametrize("name", ["0perator", "0PERATOR_", "operat0r.", "lisi", "Li-Si", "li.s1", "LISI88"])
def test_N8_operators_names_are_refused_with_whatever_signs(name: str) -> None:
    User.objects.create_user("LiSi", is_staff=True)
    User.objects.create_user("operator", is_superuser=True)
    assert sign_up(name)


def test_N8_whole_words_of_another_script_that_look_latin_are_refused() -> None:
    User.objects.create_user("cocoa")
    assert "looks like one" in sign_up("сосоа")
    assert sign_up("ёжик") == ""


def test_N8_operators_cannot_rename_users_into_others_but_existing_names_stay(buyer: User) -> None:
    old = User.objects.create_user("客服小王")
    desk = browser_of(clerk("view_user", "change_user", "add_user"))
    path = f"/admin/accounts/user/{old.pk}/change/"
    form = {"username": "客服小王", "group": "vip", "email": "", "is_active": "on"} | tokens_form()
    answer = desk.post(path, form)
    assert answer.status_code == 302, answer.context["errors"]
    old.refresh_from_db()
    assert old.group == "vip"
    for name in ("buуer", "BUYER", "管理员小王"):
        assert desk.post(path, form | {"username": name}).status_code == 200
        assert (
            desk.post("/admin/accounts/user/add/", PASSWORDS | {"username": name, "group": "default"}).status_code
            == 200
        )
    old.refresh_from_db()
    assert old.username == "客服小王"


def test_N8_an_operator_may_be_called_what_operators_are_called(staff: User) -> None:
    wang = User.objects.create_user("wang", is_staff=True)
    form: dict[str, Any] = tokens_form() | {
        "username": "客服小王",
        "group": "default",
        "email": "",
        "is_active": "on",
        "is_staff": "on",
    }
    assert browser_of(staff).post(f"/admin/accounts/user/{wang.pk}/change/", form).status_code == 302
    assert User.objects.filter(username="客服小王").exists()


def test_N8_who_comes_by_wechat_is_called_like_nobody() -> None:
    user, is_new = mini_program.user_of("wx1", WeChatPerson("o" * 28))
    assert is_new
    names.check(user.username, user)


@pytest.mark.django_db(transaction=True)
def test_N8_of_many_who_want_names_that_look_alike_at_once_one_gets_it() -> None:
    wanted = ["xiao1i", "xiaoli", "xiaoII", "XIAOLI", "xia0li", "xiáoli"]
    found = at_once(*[lambda name=name: sign_up(name) for name in wanted])
    assert (found.count(""), User.objects.count()) == (1, 1)


def test_N8_looking_a_name_up_uses_its_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        shape = "accounts_name_shape(username) = accounts_name_shape('x')"
        cursor.execute(f"EXPLAIN SELECT 1 FROM accounts_user WHERE {shape}")
        assert "user_name_shape" in " ".join(row[0] for row in cursor.fetchall())
