"""What messages of the release before lack, made up for in batches: their place among the others, and their words."""

import time

from .branches import place_old_questions
from .words import keep_old_words

# A round of the clock leaves the rest to the next one.
_ROUND_S = 20.0


def arrange() -> int:
    """Work off what there is, for a while. Returns in how many batches; each may be done twice without harm."""
    until, batches = time.monotonic() + _ROUND_S, 0
    for some in (place_old_questions, keep_old_words):
        while time.monotonic() < until and some():
            batches += 1
    return batches
