"""Why a call was not admitted, or not answered, in words for the caller and for the operator."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..providers.base import ProviderError
from .catalogue import Catalogue, fits
from .router import RoutingRequest


class CallRefused(Exception):
    """The call was not made, and cost nothing. `status` is what HTTP would say, `param` the parameter at fault."""

    def __init__(
        self, text: str, *, status: int = 400, code: str = "", param: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class LedgerAway(Exception):
    """The database did not confirm a settlement in time. It is still under way."""


@dataclass(frozen=True, slots=True)
class Try:
    """One try that failed: whom we asked, and what it said. `told` leaves out what is only the operator's business."""

    model: str
    provider: str
    credential: str
    error: ProviderError

    @property
    def told(self) -> str:
        status = self.error.status
        return f"{self.model} at {self.provider}{f' ({status})' if status else ''}: {self.error.told}"

    def __str__(self) -> str:
        return f"{self.model} at {self.credential} ({self.error.status}): {self.error.text}"


class CallFailed(Exception):
    """Nobody answered; nothing was charged. `str()` lists every try, for the caller.

    `refusal` is set when the request itself was at fault, or its content was refused.
    """

    def __init__(self, tries: Sequence[Try], *, refusal: ProviderError | None = None, timed_out: bool = False) -> None:
        self.tries = list(tries)
        self.refusal = refusal
        self.timed_out = timed_out or (bool(tries) and all(_timed_out(each.error) for each in tries))
        super().__init__(self._text())

    @property
    def overloaded(self) -> bool:
        return bool(self.tries) and all(each.error.overloaded for each in self.tries)

    @property
    def rate_limited(self) -> bool:
        return bool(self.tries) and all(each.error.status == 429 for each in self.tries)

    @property
    def retry_after_s(self) -> float | None:
        """When the first of those asked may be asked again, as far as they said so."""
        times = [each.error.retry_after_s for each in self.tries if each.error.retry_after_s is not None]
        return min(times, default=None)

    def _text(self) -> str:
        if self.refusal is not None:
            return self.refusal.told
        if not self.tries:
            return "No provider answered in time."
        told = list(dict.fromkeys(each.told for each in self.tries))
        head = "No provider answered" + (" in time" if self.timed_out else "")
        return f"{head} ({len(self.tries)} tries). " + "; ".join(told)


def _timed_out(error: ProviderError) -> bool:
    return error.status in (408, 504, 524) or (error.status == 0 and "time" in error.text.lower())


def nothing_fits(catalogue: Catalogue, asked_for: RoutingRequest) -> CallRefused:
    """Why no model fits what was asked for, as exactly as can be said."""
    kept = asked_for.allowed and not any(fits(name, asked_for.allowed) for name in asked_for.names or catalogue.models)
    if kept and (not asked_for.names or any(name in catalogue.models for name in asked_for.names)):
        what = ", ".join(asked_for.names) or "any model there is"
        return CallRefused(f"This key may not use {what}.", status=403, code="model_not_allowed", param="model")
    if not asked_for.names:
        if not catalogue.models:
            return CallRefused("No provider is set up.", status=503, code="no_provider")
        needs = ", ".join(sorted(asked_for.needs))
        return CallRefused(f"No model can do this: {needs}, max_tokens {asked_for.max_tokens}.", param="model")
    known = [catalogue.models[name] for name in asked_for.names if name in catalogue.models]
    if not known:
        names = ", ".join(asked_for.names)
        text = f"The model {names!r} does not exist or is not available."
        return CallRefused(text, status=404, code="model_not_found", param="model")
    model = known[0]
    lacking = ", ".join(sorted(asked_for.needs - model.capabilities)) or f"provider {asked_for.provider}"
    return CallRefused(f"The model {model.name} cannot do this: {lacking}.", code="unsupported", param="model")
