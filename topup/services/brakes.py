"""How often somebody may try to pay, and to guess a code. Both edges that let people try go through here."""

from django.conf import settings

from voicehelper.accounts.models import User
from voicehelper.api import ratelimit
from voicehelper.net.addresses import network_of

from ..models.codes import plain
from .errors import TopupError
from .redeeming import CodeInvalid, redeem

# Wrong codes per user and per network.
GUESSES = "10 per 10 minutes"


def brake_payment(user: User, client_ip: str) -> None:
    """Count one payment try. Raises TooMany past the limit per user or per network."""
    limit = settings.PAY_RATE_LIMIT
    ratelimit.brake((limit, "pay-user", str(user.pk)), (limit, "pay-address", network_of(client_ip)))


def redeem_guess(user: User, typed: str, client_ip: str) -> int:
    """`redeem` with a brake: ten wrong codes, then a wait. Raises what that raises, and TooMany. What cannot be a code
    is refused for nothing: nobody guesses so."""
    if not plain(typed):
        raise CodeInvalid
    brakes = (GUESSES, "redeem-address", network_of(client_ip)), (GUESSES, "redeem-user", str(user.pk))
    with ratelimit.guess(*brakes, wrong=TopupError):
        return redeem(user, typed)
