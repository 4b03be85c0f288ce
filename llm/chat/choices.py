"""Which model a question is put to: one by name, or the best there is by some measure.

"auto", "auto:cost", "auto:speed", "auto:quality" and "auto:balanced" choose among all. A number behind that is how many
times the price of the cheapest one may cost at the most: "auto:balanced:5".
"""

from dataclasses import dataclass

from ..relay.router import Priority

AUTO = "auto"
# What the page begins with.
MODERATE = f"{AUTO}:{Priority.BALANCED}:5"
_MOST_TIMES = 1000


class UnknownPriority(Exception):
    """A model was asked for as auto:something, and that is no priority, or as no multiple of the cheapest."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Models by name, in order; without any, the best by `priority` of those that cost at most so many `times` what
    the cheapest does (None: whatever they cost)."""

    models: tuple[str, ...] = ()
    priority: Priority = Priority.BALANCED
    times: int | None = None


def choice_of(model: str) -> ModelChoice:
    """Raises UnknownPriority."""
    automatic, _, rest = (model or AUTO).partition(":")
    if automatic != AUTO:
        return ModelChoice((model,))
    priority, _, times = rest.partition(":")
    if times and not (times.isascii() and times.isdigit() and 1 <= int(times[:5]) <= _MOST_TIMES):
        raise UnknownPriority(rest)
    try:
        return ModelChoice((), Priority(priority or Priority.BALANCED), int(times) if times else None)
    except ValueError:
        raise UnknownPriority(priority) from None
