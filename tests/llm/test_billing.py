"""What a call costs, against an independent calculation with decimals."""

import io
import wave
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.models import Usage
from llm.providers.base import Tokens
from llm.relay import billing
from llm.relay.billing import Amount, amount, charge, storable, tariff
from llm.relay.catalogue import ModelSpec, Pricing
from llm.relay.estimates import Calibration, weigh, weigh_prompt
from llm.relay.meter import Meter
from llm.relay.questions import Question
from llm.relay.snapshot import price_table, prices_of_columns

from .test_router import spec


def priced(input_price: str, output_price: str, measure: str = "1k_tokens") -> ModelSpec:
    columns = {"measure": measure, "input_price": input_price, "output_price": output_price}
    return spec("m", prices=price_table(prices_of_columns(columns), {}))


def pricing(ratio: str = "1", per_unit: int = 500_000) -> Pricing:
    return Pricing(per_unit, {"default": Fraction(ratio), "free": Fraction(0)})


@pytest.mark.parametrize(
    ("model", "used", "ratio", "quota"),
    [
        (priced("0.1", "0.1"), amount(input=10, output=20), "1", 1500),
        (priced("0.1", "0.1"), amount(input=10, output=20), "0.5", 750),
        (priced("0.0015", "0.002"), amount(input=1, output=0), "1", 1),
        (priced("0.0015", "0.002"), amount(input=1000, output=500), "1", 1250),
        (priced("0.0015", "0.002"), amount(input=1, output=1), "1", 2),
        (priced("0", "0"), amount(input=1000, output=1000), "1", 1),
        (priced("0.1", "0.1"), amount(input=0, output=0), "1", 0),
        (priced("9", "0.04", "image"), amount(image=3), "1", 60_000),
        (priced("0.0001", "9", "second"), amount(second=61), "1", 3050),
        (priced("0.015", "9", "1k_characters"), amount(character=100), "1", 750),
    ],
)
def test_the_charge_by_hand(model: ModelSpec, used: Amount, ratio: str, quota: int) -> None:
    assert charge(tariff(model, pricing(ratio), "default"), used) == quota


def test_a_ratio_of_zero_and_an_unknown_group_mean_one() -> None:
    model = priced("0.1", "0.1")
    assert charge(tariff(model, pricing("3"), "free"), amount(input=10, output=20)) == 1500
    assert charge(tariff(model, pricing("3"), "nobody"), amount(input=10, output=20)) == 1500


prices = st.decimals(0, 1000, places=6, allow_nan=False)


@given(
    prices=st.tuples(prices, prices),
    ratio=st.decimals("0.01", 10, places=2, allow_nan=False),
    per_unit=st.integers(1, 10**9),
    used=st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)),
)
def test_the_charge_is_the_formula_rounded_up_once(
    prices: tuple[Decimal, Decimal], ratio: Decimal, per_unit: int, used: tuple[int, int]
) -> None:
    with localcontext() as context:
        context.prec = 100
        exact = per_unit * ratio * (used[0] * prices[0] + used[1] * prices[1]) / 1000
        expected = int(exact.to_integral_value(ROUND_CEILING))
    price = tariff(priced(str(prices[0]), str(prices[1])), pricing(str(ratio), per_unit), "default")
    assert charge(price, amount(input=used[0], output=used[1])) == (max(1, expected) if any(used) else 0)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("The quick brown fox jumps over the lazy dog", 11), ("人工智能语音助手", 6), ("a" * 3800, 1000)],
)
def test_texts_are_weighed_about_right(text: str, tokens: int) -> None:
    assert weigh(text) == pytest.approx(tokens, abs=1)


def test_a_picture_is_not_weighed_by_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, picture]}]}
    assert weigh_prompt(body) < 1100
    body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {"a": "x" * 380}}}]
    assert weigh_prompt(body) > 1100


def test_estimates_learn_from_reports() -> None:
    calibration = Calibration()
    assert calibration.tokens("m", 100) == 100
    for _ in range(200):
        calibration.learn("m", 100, 150)
    assert 148 <= calibration.tokens("m", 100) <= 151
    assert calibration.tokens("other", 100) == 100
    for _ in range(200):
        calibration.learn("m", 100, 10**9)
    assert calibration.tokens("m", 100) <= 400


def test_a_stream_is_metered_by_the_best_that_is_known() -> None:
    model, question, calibration = priced("1", "1"), Question({}, 7.0), Calibration()
    meter = Meter()
    meter.read("a" * 38, None)
    assert meter.used(question, model, calibration) == (amount(input=7, output=10), "estimate")
    meter.read("a" * 38, Tokens(5, 3, final=False))
    assert meter.used(question, model, calibration) == (amount(input=5, output=3), "cumulative")
    meter.read("a" * 38, None)
    assert meter.used(question, model, calibration) == (amount(input=5, output=13), "estimate")
    meter.read("", Tokens(6, 31))
    assert meter.used(question, model, calibration) == (amount(input=6, output=31), "provider")


@pytest.mark.parametrize("final", [True, False])
def test_O2_what_was_used_does_not_become_less(final: bool) -> None:
    """A report that falls, to nothing at last, makes neither the prompt nor the answer free."""
    meter = Meter()
    for report in (Tokens(900, 3, final=False), Tokens(0, 5, final=False), Tokens(0, 0, final=final)):
        meter.read("", report)
    source = "provider" if final else "cumulative"
    assert meter.used(Question({}, 7.0), priced("1", "1"), Calibration()) == (amount(input=900, output=5), source)


def wav(seconds: int, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * rate * seconds)
    return file.getvalue()


def mp3(frames: int) -> bytes:
    """Silence at 32 kbit/s, 16 kHz: frames of 144 bytes that last 36 ms."""
    return b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10 + (b"\xff\xf3\x48\xc4" + b"\0" * 140) * frames


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 600, "汉" * 600])
def test_foreign_text_is_made_fit_for_the_database(text: str) -> None:
    stored = storable(text, 500)
    assert "\0" not in stored
    assert len(stored.encode()) <= 2000


def test_a_usage_row_has_each_column_that_a_charge_names_and_room_for_its_texts() -> None:
    """What is not the ledger's or the database's own is written; none is left out, whoever adds one."""
    columns = {field.column: field for field in Usage._meta.fields}
    assert columns.keys() - set(billing.COLUMNS) == {"id", "created", "quota", "uncollected"}
    assert set(billing.COLUMNS) <= columns.keys()
    long = billing.Charge(request_id="r", user_id=1, operation="chat", streamed=True)
    long.asked_model = long.model_name = long.error = "\0" + "长" * 1000
    for name in ("asked_model", "model_name", "error"):
        assert long.note()[name] == "长" * columns[name].max_length
