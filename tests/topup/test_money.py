"""Yuan in text and fen in integers."""

import pytest

from topup.money import fen, yuan


def test_F5_every_amount_up_to_a_thousand_yuan_comes_back() -> None:
    assert [fen(yuan(amount_fen)) for amount_fen in range(100_001)] == list(range(100_001))


@pytest.mark.parametrize(
    ("text", "amount_fen"), [("0.00", 0), ("0.29", 29), ("19.90", 1990), ("999999999.99", 10**11 - 1)]
)
def test_known_amounts(text: str, amount_fen: int) -> None:
    assert (fen(text), yuan(amount_fen)) == (amount_fen, text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "", "1", "1.0", "1.000", ".10", "1.", "01.00", "00.10", "-1.00", "+1.00", " 1.00", "1.00\n", "1,000.00",
            "1e2",
        ),
        *("1e2.00", "0x1.00", "NaN", "inf", "1_0.00", "１.00", "1.٠٠", "1000000000.00", "1.0 0", "1..00"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        fen(text)


def test_a_negative_amount_is_not_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        yuan(-1)
