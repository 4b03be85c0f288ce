"""Which models answer whole only: an account may not stream them, or nobody can."""

import time

# Somebody may allow it meanwhile.
_REMEMBERED_S = 3600.0


class Unstreamed:
    """Those of one process, by account and model."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, str], float] = {}

    def known(self, credential_id: int, model: str) -> bool:
        return self._until.get((credential_id, model), 0.0) > time.monotonic()

    def note(self, credential_id: int, model: str) -> None:
        """It refused a request because that asked for a stream."""
        self._until[credential_id, model] = time.monotonic() + _REMEMBERED_S
