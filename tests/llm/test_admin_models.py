"""Models in the admin: what they cost is what is charged, mistakes are named, and the router shows its reasons."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from llm.admin import routing
from llm.admin.fallbacks import in_order
from llm.admin.live import Live
from llm.admin.prices import PriceList, shown
from llm.models import Credential, Model
from llm.prices import spec_of_model
from llm.relay import billing
from llm.relay.catalogue import Catalogue
from llm.relay.router import ModelHealth, Priority, RoutingRequest
from llm.relay.snapshot import read_now, spec_of
from llm.relay.statistics import Statistics
from llm.seeds import plant
from tests.conftest import sampled
from tests.operators import browser_of, clerk, errors
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

LIST = "/admin/llm/model/"


@pytest.fixture
def browser(staff: User) -> Client:
    plant(Model)
    Credential.objects.create(name="ark", provider="ark", base_url="https://ark.example.com/api/v3", api_key="k" * 20)
    client = browser_of(staff)
    session = client.session
    session["password_confirmed"] = clock.now().isoformat()
    session.save()
    return client


def priced(*rows: tuple[str, ...]) -> dict[str, Any]:
    """Rows as a browser sends them: kind, price, and what follows of per, cost, limit and variant."""
    cells = [(*row, *[""] * (6 - len(row))) for row in rows]
    columns = ("kind", "price", "per", "cost", "from", "variant")
    return {"price_rows_rows": "1"} | {
        f"price_rows_{name}": [row[n] for row in cells] for n, name in enumerate(columns)
    }


def form(**changes: Any) -> dict[str, Any]:
    typed: dict[str, Any] = {"enabled": "on", "name": "new", "capabilities": ["chat"], "provider": "ark"}
    typed |= {"provider_model_id": "ep-1", "credential": "", "max_tokens": "4096"}
    typed |= {"cost_per_1k": "0.1", "latency_ms": "300", "quality": "0.9"} | priced(("input", "0.1"), ("output", "0.1"))
    return typed | {"fallbacks": ["", "", "", ""]} | changes


def test_a_model_is_made_with_its_fallbacks_in_order(browser: Client) -> None:
    lite, pro, four = (str(Model.objects.get(name=name).pk) for name in ("doubao-lite", "doubao-pro", "gpt-4"))
    assert browser.post(f"{LIST}add/", form(fallbacks=[four, "", lite, pro])).status_code == 302
    row = Model.objects.get(name="new")
    assert in_order(row) == [int(four), int(lite), int(pro)]
    assert read_now().models["new"].fallbacks == ("gpt-4", "doubao-lite", "doubao-pro")
    page = f"{LIST}{row.pk}/change/"
    assert browser.post(page, form(fallbacks=[pro, four, "", ""])).status_code == 302
    assert in_order(row) == [int(pro), int(four)]
    assert browser.post(page, form(quality="0.5", fallbacks=[pro, four, "", ""])).status_code == 302
    assert in_order(row) == [int(pro), int(four)]


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "doubao-pro"}, "name", "already exists"),
    ({"name": "has space"}, "name", "no spaces"),
    ({"capabilities": []}, "capabilities", "required"),
    ({"capabilities": ["telepathy"]}, "capabilities", "telepathy"),
    ({"quality": "1.5"}, "quality", "from 0 to 1"),
    ({"cost_per_1k": "-1"}, "cost_per_1k", "0"),
    (priced(("input", "-0.1")), "price_rows", "no number from 0"),
    (priced(("input", "1e-12")), "price_rows", "at most nine decimals"),
    (priced(("input", "1"), ("input", "2")), "price_rows", "“Input” is there twice"),
    (priced(("", "1")), "price_rows", "Choose a kind"),
    (priced(("input", "1", "7")), "price_rows", "for 1, 1,000 or 1,000,000"),
    (priced(("input", "1", "", "", "1.5")), "price_rows", "not a whole number"),
    (priced(("input", "1", "", "", "", "hd")), "price_rows", "Only pictures"),
    (priced(("image", "1")), "price_rows", "Chat needs a price for: Input"),
    ({"capabilities": ["speech_to_text"]}, "price_rows", "needs a price for: Second of audio"),
    ({"capabilities": ["text_to_speech"]}, "price_rows", "needs a price for: Character"),
    (
        {"tier_factors_rows": "1", "tier_factors_tier": ["flex"], "tier_factors_factor": ["0"]},
        "tier_factors",
        "a factor like 0.5",
    ),
    ({"provider": "openai", "credential": "own"}, "credential", "another provider"),
    ({"fallbacks": ["embedding", "", "", ""]}, "fallbacks", "doubao-embedding can do nothing"),
    ({"fallbacks": ["pro", "pro", "", ""]}, "fallbacks", "there twice"),
    ({"fallbacks": ["999999", "", "", ""]}, "fallbacks", "Choose again"),
]


@pytest.mark.parametrize(("changes", "field", "text"), sampled(MISTAKES, keep=5), ids=lambda value: str(value)[:40])
def test_a_mistake_is_named_at_its_field_and_nothing_is_saved(
    browser: Client, changes: dict[str, Any], field: str, text: str
) -> None:
    keys = {"embedding": "doubao-embedding", "pro": "doubao-pro"}
    typed = form(**changes)
    typed["fallbacks"] = [str(Model.objects.get(name=keys[k]).pk) if k in keys else k for k in typed["fallbacks"]]
    if typed["credential"]:
        typed["credential"] = str(Credential.objects.get().pk)
    found = errors(browser.post(f"{LIST}add/", typed))
    assert list(found) == [field]
    assert text in found[field][0]
    assert not Model.objects.filter(name="new").exists()


def test_a_model_cannot_stand_in_for_itself(browser: Client) -> None:
    pro = Model.objects.get(name="doubao-pro")
    typed = form(name="doubao-pro", fallbacks=[str(pro.pk), "", "", ""])
    assert list(errors(browser.post(f"{LIST}{pro.pk}/change/", typed))) == ["fallbacks"]


def test_the_list_prices_what_is_charged(browser: Client) -> None:
    page = browser.get(LIST).text
    for text in (
        "50,000 / 50,000",
        "≈ ¥0.73 / ≈ ¥0.73",
        "750 / 1,000",
        "20,000",
        "Text to speech",
        "second of audio",
    ):
        assert text in page, text


def test_the_default_groups_ratio_counts(browser: Client) -> None:
    write_options({"TopupGroupRatio": {"default": "0.5"}})
    assert "25,000 / 25,000" in browser.get(LIST).text


def test_the_switch_in_the_list_takes_a_model_off(browser: Client) -> None:
    rows = list(Model.objects.order_by("provider", "name"))
    typed: dict[str, Any] = {"form-TOTAL_FORMS": len(rows), "form-INITIAL_FORMS": len(rows), "_save": "1"}
    for number, row in enumerate(rows):
        typed[f"form-{number}-id"] = row.pk
        if row.name != "doubao-pro":
            typed[f"form-{number}-enabled"] = "on"
    assert browser.post(LIST, typed).status_code == 302
    assert list(Model.objects.filter(enabled=False).values_list("name", flat=True)) == ["doubao-pro"]


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("doubao-pro", ("1,000 tokens in and 1,000 out", "100,000", "≈ ¥1.46")),
        ("gpt-3.5-turbo", ("1,000 tokens in and 1,000 out", "1,750", "≈ ¥0.0256")),
        ("dall-e-3", ("One picture", "20,000", "≈ ¥0.292")),
        ("whisper-1", ("A minute of audio", "3,000", "≈ ¥0.0438")),
        ("tts-1", ("1,000 characters", "7,500", "≈ ¥0.1095")),
    ],
)
def test_the_preview_is_what_would_be_charged(name: str, example: tuple[str, str, str]) -> None:
    plant(Model)
    model = Model.objects.get(name=name)
    with translation.override("en"):
        found = PriceList.now().example(spec_of_model(model))
    assert (found.what, found.quota, found.yuan) == example


def test_prices_typed_are_previewed_before_they_are_saved(browser: Client) -> None:
    typed = priced(("input", "200", "", "100"), ("output", "0.1", "1000", "0.05"), ("cache_read", "20", "", "10"))
    page = browser.post(f"{LIST}price/", typed).text
    for text in ("<strong>225,000</strong>", "≈ ¥3.29", "costs ≈ ¥1.64", "margin 50.0%", "10,000 cached"):
        assert text in page, text
    assert "cannot be computed" in browser.post(f"{LIST}price/", priced(("input", "x"))).text
    assert browser.get(f"{LIST}price/").status_code == 405


def test_a_rate_is_shown_with_two_decimals_at_the_most() -> None:
    model = Model(measure="1k_tokens", cost_per_1k=Decimal("0.000001"), capabilities=["chat"], provider="ark")
    assert [shown(rate) for rate in PriceList.now().rates(model)] == ["0.5", "0.5"]


# --- The router ------------------------------------------------------------------------------------------------------
def test_the_router_page_shows_the_routers_own_order(browser: Client) -> None:
    page = browser.get(f"{LIST}router/")
    assert [one.name for one in page.context["candidates"]] == ["doubao-lite", "doubao-pro"]
    assert page.context["candidates"][0].score == "0.880"
    best = browser.get(f"{LIST}router/", {"capability": "chat", "priority": "quality", "max_tokens": "4000"})
    assert [one.name for one in best.context["candidates"]] == ["doubao-pro"]
    none = browser.get(f"{LIST}router/", {"capability": "image", "priority": "cost"})
    assert none.context["candidates"] == []
    assert "No model that is on" in none.text
    assert browser.get(f"{LIST}router/", {"capability": "x", "priority": "cost"}).status_code == 200


def test_the_router_says_why_a_model_goes_last() -> None:
    plant(Model)
    pricing = PriceList.now().pricing
    specs = {name: spec_of(vars(Model.objects.get(name=name))) for name in ("doubao-pro", "doubao-lite")}
    seen = {"doubao-lite": ModelHealth(cooling_down=True), "doubao-pro": ModelHealth(30, 2, 80.0)}
    live = Live(Catalogue(specs, {}, pricing), seen, Statistics())
    with translation.override("en"):
        first, second = routing.candidates(live, RoutingRequest(frozenset({"chat"}), priority=Priority.COST))
    assert (first.name, first.latency, first.latency_note) == ("doubao-pro", "80 ms", "measured")
    assert (second.name, second.last_because) == ("doubao-lite", "all its accounts rest")


def test_who_may_only_look_changes_nothing(db: None) -> None:
    plant(Model)
    client = browser_of(clerk("view_model"))
    pro = Model.objects.get(name="doubao-pro")
    assert client.get(f"{LIST}{pro.pk}/change/").status_code == 200
    assert client.get(f"{LIST}router/").status_code == 200
    assert client.post(f"{LIST}{pro.pk}/change/", form()).status_code == 403
    assert client.post(f"{LIST}price/", form()).status_code == 403


def test_one_function_prices() -> None:
    """What the admin shows comes from billing.tariff, the function that charges."""
    plant(Model)
    prices = PriceList.now()
    for model in Model.objects.all():
        tariff = billing.tariff(spec_of_model(model), prices.pricing, "default")
        assert sum(prices.rates(model)) > 0
        assert billing.charge(tariff, billing.amount(input=1000, output=1000)) > 0
