"""A whole answer out of a stream that was asked for in place of it.

Only for answers that are written anew here anyway: one that passes through stays the provider's own to the byte.
"""

from ..providers.base import Completion
from ..providers.gathered import GatheredAnswer
from .meter import Meter
from .opening import Opened


async def gathered(opened: Opened, meter: Meter) -> Completion:
    """The whole answer that a stream is. Raises StreamBroke."""
    answer = GatheredAnswer()
    for chunk in opened.first:
        answer.add(chunk)
    async for chunk in opened.chunks:
        meter.read(chunk.text, chunk.usage)
        answer.add(chunk)
    return answer.completion()
