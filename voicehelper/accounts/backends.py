"""Password checking with a brake: every door (pages, admin, API) signs in through this one backend."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of

from . import known_devices

PER_NAME = "10 per 10 minutes"
PER_ADDRESS = "50 per 10 minutes"


_WAIT, _BY_PASSWORD = "voicehelper.retry_after", "voicehelper.by_password"


def note_sign_in(request: HttpRequest | None, **_signal: Any) -> None:
    """A browser that somebody signs in with by the password is known from then on."""
    if request is not None and gave_password(request):
        known_devices.expect(request)


class TooManyTries(PermissionDenied):
    """Raised inside `authenticate`, which treats it as a refusal; `wait_s_of` tells it from a wrong password."""


def wait_s_of(request: HttpRequest) -> int:
    """Seconds until another password is looked at; 0: the last one was."""
    return int(request.META.get(_WAIT, 0))


def gave_password(request: HttpRequest) -> bool:
    """Whether a right password came with this request."""
    return bool(request.META.get(_BY_PASSWORD))


class RateLimitedBackend(ModelBackend):
    """Django's own backend, which stops looking at passwords after too many wrong ones per name or per network.

    Only failures count, and a right password does not clear them: otherwise an attacker with one account resets the
    brake for every other. A browser that the user signed in with before has a brake of its own (known_devices.py).
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        name = (username or kwargs.get("username") or "").casefold()[:150]
        network = network_of(client_address(request)) if request is not None else "-"
        device = known_devices.device_of(request, name)
        whose = ("sign-in-device", device) if device else ("sign-in-name", name)
        brakes = (PER_ADDRESS, "sign-in-address", network), (PER_NAME, *whose)
        try:
            with ratelimit.guess(*brakes) as guess:
                user = super().authenticate(request, username=username, password=password, **kwargs)
                guess.wrong = user is None
                if request is not None and user is not None:
                    request.META[_BY_PASSWORD] = True
                return user
        except ratelimit.TooMany as error:
            if request is not None:
                request.META[_WAIT] = error.wait_s
            raise TooManyTries("Too many failed tries.") from None
