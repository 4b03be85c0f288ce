"""The beginning of a stream: until its first output a failure can be tried elsewhere."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from voicehelper.net.deadlines import Deadline

from ..providers.base import Chunk, ProviderError, Recovery
from .engine import Lease
from .meter import Meter


@dataclass(slots=True)
class Opened:
    """A stream whose first output has come; what came so far. Whoever has it closes the chunks and gives the lease
    back."""

    chunks: AsyncGenerator[Chunk, None]
    first: list[Chunk]
    lease: Lease


async def begin(chunks: AsyncGenerator[Chunk, None], meter: Meter, patience_s: float, lease: Lease) -> Opened:
    """The stream up to its first output. A model that says nothing for longer than its own patience may be at work all
    the same. Raises ProviderError."""
    first = []
    try:
        with Deadline(patience_s) as patience:
            async for chunk in chunks:
                meter.read(chunk.text, chunk.usage)
                first.append(chunk)
                if chunk.output:
                    break
    except BaseException as error:
        await chunks.aclose()
        if isinstance(error, TimeoutError) and patience.expired:
            text = f"There was no output within {patience_s} s."
            raise ProviderError(text, recovery=Recovery.RETRY, status=504, given_up=True) from None
        raise
    lease.calls += 1
    return Opened(chunks, first, lease)
