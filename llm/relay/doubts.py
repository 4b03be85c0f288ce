"""Reports of usage that are hard to believe: a zero for an answer that has words, and more than was held for.

A zero is believed once for each model and hour, in each process: free trials and faults both say it. From then on the
answer is estimated, and the operators are told.
"""

import logging
import time
from collections.abc import Callable

from django.utils.translation import gettext_noop

from notifications.texts import Text

from .billing import Amount

log = logging.getLogger(__name__)

BELIEVED_FOR_S = 3600.0
# An alert counts how often it happened, which need not be to the call.
TELL_EVERY_S = 60.0


class Doubts:
    """`alert` is the engine's. Alerts of one model are one while they are open."""

    def __init__(self, alert: Callable[..., None]) -> None:
        self.alert = alert
        self._zeros: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def believed(self, model: str, used: Amount, source: str, estimate: Amount) -> tuple[Amount, str]:
        """What is charged when a report says that nothing came in, or nothing was written, and we see that it was:
        `estimate` has only what did."""
        missing = {kind: number for kind, number in estimate.kinds.items() if not getattr(used, kind)}
        if source == "estimate" or not missing:
            return used, source
        now = time.monotonic()
        if now - self._zeros.get(model, -BELIEVED_FOR_S) >= BELIEVED_FOR_S:
            self._zeros[model] = now
            return used, source
        self.alert(
            "usage_zero",
            level="warning",
            title=Text(gettext_noop("%(model)s reports no usage for answers it gave"), model=model),
            content=Text(
                gettext_noop(
                    "What it answers is charged by estimate meanwhile. Ask its provider what it bills for this model."
                )
            ),
            key=f"usage_zero:{model}",
        )
        return used._replace(kinds={**used.kinds, **missing}), "estimate"

    def above_hold(self, model: str, request_id: str, quota: int, held: int) -> None:
        """A call cost more than the most it could cost."""
        log.warning("%s cost %d quota, %d were held", request_id, quota, held)
        now = time.monotonic()
        if now - self._told.get(model, -TELL_EVERY_S) < TELL_EVERY_S:
            return
        self._told[model] = now
        self.alert(
            "usage_above_hold",
            level="warning",
            title=Text(gettext_noop("%(model)s used more than was held for it"), model=model),
            content=Text(
                gettext_noop("%(call)s: %(quota)s quota charged, %(held)s held. Check its max tokens and its prices."),
                call=request_id,
                quota=f"{quota:,}",
                held=f"{held:,}",
            ),
            key=f"usage_above_hold:{model}",
        )
