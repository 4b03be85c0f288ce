"""What a user has and used, as the heads of pages show it."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.contrib.auth.models import AbstractUser

from voicehelper.numbers import grouped

from .services import wallet_of
from .worth import in_yuan, list_price


@dataclass(frozen=True)
class ShownBalance:
    """`quota` is the balance as a number, `rate` yuan for one quota; the others are texts, empty: nothing is held."""

    quota: int
    rate: Fraction
    balance: str
    worth: str
    used: str
    held: str

    @property
    def exact_rate(self) -> str:
        """For the browser to calculate with."""
        return f"{Decimal(self.rate.numerator) / self.rate.denominator:.12g}"


def shown_balance(user: AbstractUser) -> ShownBalance:
    wallet, rate = wallet_of(user), list_price().yuan_per_quota
    return ShownBalance(
        quota=wallet.balance,
        rate=rate,
        balance=grouped(wallet.balance),
        worth=in_yuan(wallet.balance, rate),
        used=grouped(wallet.used),
        held=grouped(wallet.held) if wallet.held else "",
    )
