"""What being heard and being read to cost, said before one speaks or listens."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from django.utils.translation import gettext as _

from voicehelper.accounts.models import User
from voicehelper.wallet.worth import in_yuan

from .. import services


@dataclass(frozen=True)
class VoicePrice:
    """In words; empty where a model that may be asked is sold by something else. `per_1k`: the dearest, in quota."""

    text: str = ""
    per_1k: str = ""


def hearing(user: User, rate: Fraction) -> VoicePrice:
    """Of a second of recording."""
    prices = _prices(user, "speech_to_text", "second")
    return VoicePrice(_("¥%(yuan)s per second") % {"yuan": _range(prices, rate)}) if prices else VoicePrice()


def speaking(user: User, rate: Fraction) -> VoicePrice:
    """Of a thousand characters read aloud."""
    prices = _prices(user, "text_to_speech", "character")
    if not prices:
        return VoicePrice()
    text = _("¥%(yuan)s per 1,000 characters") % {"yuan": _range(prices, rate)}
    return VoicePrice(text, str(ceil(max(prices))))


def _prices(user: User, capability: str, kind: str) -> list[Fraction]:
    """In quota, for as many as are shown; nothing unless every model that may be asked has one."""
    found = [
        next((rate.quota for rate in offer.rates if rate.kind == kind and not rate.from_tokens), None)
        for offer in services.offers_now(user, capability)
    ]
    return [] if None in found else sorted({price for price in found if price is not None})


def _range(prices: Iterable[Fraction], rate: Fraction) -> str:
    return "–".join(dict.fromkeys(in_yuan(price, rate) for price in (min(prices), max(prices))))
