"""Quotes: exact, rounded once, the same for showing, charging and storing."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.conftest import full
from topup.models import RechargeSettings
from topup.pricing import OutOfRange, Terms, quote
from topup.services import quote_for
from voicehelper.accounts.models import User

PLAIN = Terms(
    price=Decimal("7.3"), quota_per_unit=500_000, in_tokens=False, discounts={"100": Decimal("0.95")}, ratios={}
)


def terms(**changes: Any) -> Terms:
    return Terms(**{**PLAIN.__dict__, **changes})


def test_a_discount_applies_to_its_exact_amount_only() -> None:
    assert [quote(PLAIN, amount, "default").money for amount in (99, 100, 101)] == ["722.70", "693.50", "737.30"]


def test_the_group_ratio_multiplies_and_zero_or_unknown_means_one() -> None:
    groups = terms(ratios={"vip": Decimal("0.8"), "odd": Decimal("0")})
    assert [quote(groups, 10, group).money for group in ("vip", "odd", "nobody")] == ["58.40", "73.00", "73.00"]


def test_F6_half_a_fen_rounds_up_once() -> None:
    """0.005 yuan is one fen; rounding the gross price first would have made it zero or two."""
    assert quote(terms(price=Decimal("0.01"), discounts={"1": Decimal("0.5")}), 1, "").amount_fen == 1
    assert quote(terms(price=Decimal("0.05"), discounts={"1": Decimal("0.49")}), 1, "").amount_fen == 2


def test_tokens_are_divided_without_losing_the_fraction() -> None:
    price = quote(terms(in_tokens=True), 500_001, "default")
    assert (price.quota, price.amount_fen) == (500_001, 730)
    assert quote(terms(in_tokens=True), 750_000, "default").money == "10.95"
    assert quote(terms(in_tokens=True, quota_per_unit=3), 1, "default").amount_fen == 243


def test_a_discount_in_tokens_needs_whole_units() -> None:
    assert quote(terms(in_tokens=True), 50_000_000, "default").money == "693.50"
    assert quote(terms(in_tokens=True), 50_000_001, "default").discount == 1


TIERS = terms(bonuses={"100": 10, "500": 80})


@pytest.mark.parametrize(("amount", "bonus"), [(99, 0), (100, 10), (101, 10), (499, 10), (500, 80), (9_999, 80)])
def test_the_highest_threshold_that_is_reached_gives_its_bonus(amount: int, bonus: int) -> None:
    price = quote(TIERS, amount, "default")
    assert (price.quota, price.bonus_quota) == ((amount + bonus) * 500_000, bonus * 500_000)
    assert price.amount_fen == quote(PLAIN, amount, "default").amount_fen


def test_in_tokens_a_bonus_is_reached_to_the_token() -> None:
    tokens = terms(in_tokens=True, bonuses=TIERS.bonuses)
    below, reached = (quote(tokens, amount, "default") for amount in (49_999_999, 50_000_000))
    assert (below.quota, below.bonus_quota) == (49_999_999, 0)
    assert (reached.quota, reached.bonus_quota) == (55_000_000, 5_000_000)


tiers = st.dictionaries(st.integers(1, 2_000), st.integers(1, 500), max_size=5)


@hypothesis_settings(max_examples=full(10_000, 150), deadline=None)
@given(tiers, st.integers(1, 30_000), st.integers(1, 1_000), st.booleans())
def test_a_bonus_never_touches_the_price_and_is_a_whole_number_of_units(
    table: dict[int, int], amount: int, per_unit: int, in_tokens: bool
) -> None:
    """Against the rule said another way: sort the thresholds, and let each that is reached replace the one before."""
    plain = terms(quota_per_unit=per_unit, in_tokens=in_tokens)
    offered = terms(quota_per_unit=per_unit, in_tokens=in_tokens, bonuses={str(k): v for k, v in table.items()})
    expected = 0
    for threshold in sorted(table):
        if amount >= (threshold * per_unit if in_tokens else threshold):
            expected = table[threshold] * per_unit
    try:
        without = quote(plain, amount, "default")
    except OutOfRange:
        return
    price = quote(offered, amount, "default")
    assert (price.bonus_quota, price.quota) == (expected, without.quota + expected)
    assert price.amount_fen == without.amount_fen


@pytest.mark.parametrize("amount", [0, -1, -(2**63), 2**62, 10**18])
def test_F7_amounts_out_of_range_are_refused(amount: int) -> None:
    with pytest.raises(OutOfRange):
        quote(PLAIN, amount, "default")


def test_an_amount_that_rounds_to_nothing_is_refused() -> None:
    with pytest.raises(OutOfRange):
        quote(terms(in_tokens=True), 1, "default")


prices = st.decimals(Decimal("0.000001"), Decimal("100000"), places=6)
rates = st.decimals(Decimal("0.000001"), Decimal("1"), places=6)


@hypothesis_settings(max_examples=full(10_000, 250), deadline=None)
@given(prices, rates, rates, st.integers(1, 10_000), st.booleans())
def test_F6_the_quote_is_the_exact_product_rounded_once(
    price: Decimal, ratio: Decimal, discount: Decimal, amount: int, in_tokens: bool
) -> None:
    """Against an independent calculation with so many digits that nothing is lost before the one rounding."""
    offered = terms(
        price=price, ratios={"g": ratio}, discounts={str(amount): discount}, in_tokens=in_tokens, quota_per_unit=8
    )
    units = Decimal(amount) / 8 if in_tokens else Decimal(amount)
    applies = discount if not in_tokens or (amount % 8 == 0 and str(amount // 8) == str(amount)) else Decimal(1)
    with_all_digits = units * price * ratio * applies * 100
    expected = int(with_all_digits.quantize(Decimal(1), ROUND_HALF_UP))
    try:
        assert quote(offered, amount, "g").amount_fen == expected
    except OutOfRange:
        assert expected == 0 or expected > 10_000_000_000


@pytest.mark.django_db
def test_what_is_quoted_is_what_is_stored(buyer: User) -> None:
    """The settings row gives back the numbers that were put in: JSON never turns a price into a float."""
    RechargeSettings.load()
    RechargeSettings.objects.update(amount_discounts={"7": "0.123456"}, group_ratios={"default": "1.1"})
    assert quote_for(buyer, "wechat", 7).money == "6.94"
