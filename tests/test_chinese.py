"""Whoever reads Chinese reads nothing English but names: tests/names.txt lists them."""

import inspect
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from llm.models import Credential, Model
from llm.seeds import plant
from notifications.models import Mail
from tests.chinese import foreign_words, names, texts_of
from tests.operators import browser_of
from tests.test_translations import catalogue
from tests.walking import admin_starts, walk
from voicehelper import clock
from voicehelper.accounts import letters
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key

# The relay reads the models through connections of its own.
pytestmark = pytest.mark.django_db(transaction=True)

NAMES = names()
# What stands in for a value, and marks of HTML.
HOLES = re.compile(r"%\(\w+\)[sdif]|%[sdi]|\{[^}]*\}|<[^>]*>|&\w+;")


@pytest.fixture
def month(transactional_db: None) -> None:
    """A demo's month of business, and a row in every table that it leaves empty."""
    plant(Model)
    call_command("seed_demo", history=True)
    call_command("seed_demo_channels")
    Credential.objects.create(name="方舟", provider="ark", base_url="http://127.0.0.1:9", api_key="k")
    create_api_key(User.objects.get(username="demo"), "笔记本")


def english_in(pages: Iterable[tuple[str, Any]]) -> list[str]:
    """Each text with a foreign word once, with the first page that has it."""
    found: dict[str, str] = {}
    for path, answer in pages:
        for text in texts_of(answer.text):
            if words := list(foreign_words(text, NAMES)):
                found.setdefault(text, f"{path}: {', '.join(words)} in {text[:160]!r}")
    return sorted(found.values())


def test_no_english_word_is_left_in_the_chinese_of_the_catalogue() -> None:
    found = []
    for message in catalogue():
        strings = message.string if isinstance(message.string, list | tuple) else [message.string]
        for text in strings if message.id else []:
            found += [f"{word!r} in {text!r}" for word in foreign_words(HOLES.sub("·", text), NAMES)]
    assert found == []


@pytest.mark.parametrize("most", [1, pytest.param(8, marks=pytest.mark.rare)])
def test_every_page_of_a_user_is_chinese(month: None, most: int) -> None:
    demo = browser_of(User.objects.get(username="demo"), "zh-hans")
    strangers = ("/", "/accounts/sign-in", "/accounts/forgot", "/accounts/reset/x/y-z", "/accounts/email/x", "/no/such")
    pages = [*walk(Client(headers={"Accept-Language": "zh-hans"}), *strangers, most=most)]
    pages += walk(demo, "/recharge", "/chat", "/keys", "/usage", most=most)
    found = english_in(pages)
    assert not found, "\n".join(found)


@pytest.mark.rare
@pytest.mark.parametrize("most", [1, 8])
def test_every_page_of_the_admin_is_chinese(month: None, most: int) -> None:
    operator = browser_of(User.objects.get(username="admin"), "zh-hans")
    found = english_in(walk(operator, *admin_starts(most), most=most * 2))
    assert not found, "\n".join(found)


def test_every_mail_to_a_user_is_chinese(transactional_db: None) -> None:
    user = User.objects.create_user("小明", email="ming@example.com", email_verified_at=clock.now())
    given = {
        "user": user,
        "address": "ming@example.com",
        "old_address": "ming@example.com",
        "link": "https://example.com/x",
        "good_for": timedelta(hours=1),
        "balance": 1_000,
        "threshold": 2_000,
        "what": letters.FACTOR_ON,
        "due": clock.now(),
        "days": 7,
    }
    public = inspect.getmembers(letters, lambda each: inspect.isfunction(each) and each.__module__ == letters.__name__)
    written = [function for name, function in public if not name.startswith("_")]
    with translation.override("zh-hans"):
        for function in written:
            function(**{name: given[name] for name in inspect.signature(function).parameters if name != "facts"})
    mails = Mail.objects.all()
    assert len(mails) == len(written) > 4
    texts = [text for mail in mails for text in (mail.subject, mail.text.reveal())]
    assert [word for text in texts for word in foreign_words(text, NAMES)] == []


def test_what_the_api_refuses_is_said_in_chinese(transactional_db: None) -> None:
    """As a program sees it that says nothing of its language, and so is answered in the site's."""
    plant(Model)
    call_command("seed_demo")
    demo = Client()
    demo.force_login(User.objects.get(username="demo"))
    said = []
    for path, body in {
        "/api/user/wechat/pay": {"amount": 0, "payment_method": "wechat"},
        "/api/user/alipay/pay": {"amount": 10, "payment_method": "paypal"},
        "/api/user/amount": {"amount": "x"},
        "/api/user/topup": {"key": "no-such-code"},
        "/api/chat/message": {"content": ""},
        "/api/user/keys": {"name": "", "rpm": -1},
        "/api/voice/speech": {},
        "/api/auth/login": {"username": "x", "password": "y"},
        "/api/user/topup/orders/nothing": None,
        "/api/chat/sessions/nothing/messages": None,
        "/api/option": None,
    }.items():
        answer = demo.post(path, body, "application/json") if body is not None else demo.get(path)
        assert 400 <= answer.status_code < 500, (path, answer.content)
        told = answer.json()
        said += [f"{path}: {told[name]}" for name in ("message", "data") if isinstance(told.get(name), str)]
    assert len(said) > 11
    # Fields of a body are called as they are.
    fixed = {"error", "success", "content", "amount", "name", "rpm", "key", "text", "messageid"}
    assert [text for text in said for word in foreign_words(text.partition(": ")[2], NAMES | fixed)] == []
