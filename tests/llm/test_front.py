"""What is read before anything is bought: the front page with its prices, the first steps, the API's document."""

import pytest
from django.test import Client

from llm.models import Model, ModelPrice
from llm.relay import loops
from tests.operators import browser_of
from voicehelper.accounts.services import create_api_key

from .conftest import World
from .test_pages import text_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_visitor_reads_what_it_is_and_what_each_model_costs_in_yuan(world: World) -> None:
    pro = Model.objects.get(name="doubao-pro")
    pro.prices.all().delete()
    for kind, price in (("input", "0.1"), ("output", "0.25"), ("cache_read", "0.02")):
        ModelPrice.objects.create(model=pro, kind=kind, per=1000, price=price)
    words = text_of(Client(headers={"accept-language": "en"}).get("/"))
    assert "Create an account" in words
    # A unit is ¥7.30, and costs are of a million tokens.
    assert "Input ¥730.00 per million tokens" in words
    assert "Read from cache ¥146.00 per million tokens" in words
    assert "Output ¥1,825.00 per million tokens" in words
    assert "500,000 quota cost ¥7.30" in words
    # No account of the provider serves it.
    assert "gpt-4" not in words
    loops.hang_up()


def test_whoever_is_signed_in_goes_on_to_recharging_and_finds_the_prices_of_the_own_group(world: World) -> None:
    browser = browser_of(world.user)
    assert browser.get("/")["Location"] == "/recharge"
    assert "doubao-pro" in text_of(browser.get("/prices"))
    loops.hang_up()


def test_the_first_steps_say_which_of_them_are_done(world: World) -> None:
    world.user.api_keys.all().delete()
    browser = browser_of(world.user)
    words = text_of(browser.get("/first-steps"))
    assert "Done" not in words
    assert '"model": "doubao-pro"' in words
    world.give(500_000)
    create_api_key(world.user, "notebook")
    words = text_of(browser.get("/first-steps"))
    assert words.count("Done") == 2
    assert "500,000 quota ≈ ¥7.30" in words
    assert Client().get("/first-steps")["Location"] == "/accounts/sign-in?next=/first-steps"
    loops.hang_up()


@pytest.mark.parametrize(("language", "words"), [("en", "Stop an answer"), ("zh-hans", "停止回答")])
def test_the_document_of_the_api_has_v1_and_nothing_of_operators(language: str, words: str, db: None) -> None:
    client = Client(headers={"accept-language": language})
    answer = client.get("/api/docs")
    said = text_of(answer)
    assert "POST /v1/chat/completions" in said
    assert "POST /api/user/wechat/pay" in said
    assert words in said
    for place in (said, client.get("/api/schema", headers={"accept": "application/json"}).text):
        assert "/api/option" not in place
        assert "/v1/messages" in place
    assert "unsafe" not in answer["Content-Security-Policy"]
