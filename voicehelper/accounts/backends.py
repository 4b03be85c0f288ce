"""Password checking with a brake: every door (pages, admin, API) signs in through this one backend."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of

PER_NAME = "10 per 10 minutes"
PER_ADDRESS = "50 per 10 minutes"


_WAIT = "voicehelper.retry_after"


class TooManyTries(PermissionDenied):
    """Raised inside `authenticate`, which treats it as a refusal; `wait_s_of` tells it from a wrong password."""


def wait_s_of(request: HttpRequest) -> int:
    """Seconds until another password is looked at; 0: the last one was."""
    return int(request.META.get(_WAIT, 0))


class RateLimitedBackend(ModelBackend):
    """Django's own backend, which stops looking at passwords after too many wrong ones per name or per network.

    Only failures count, and a right password does not clear them: otherwise an attacker with one account resets the
    brake for every other.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        name = (username or kwargs.get("username") or "").casefold()[:150]
        network = network_of(client_address(request)) if request is not None else "-"
        brakes = (PER_ADDRESS, "sign-in-address", network), (PER_NAME, "sign-in-name", name)
        try:
            with ratelimit.guess(*brakes) as guess:
                user = super().authenticate(request, username=username, password=password, **kwargs)
                guess.wrong = user is None
                return user
        except ratelimit.TooMany as error:
            if request is not None:
                request.META[_WAIT] = error.wait_s
            raise TooManyTries("Too many failed tries.") from None
