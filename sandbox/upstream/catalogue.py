"""What the stand-ins sell, and to whom: models with their limits, and the keys of made-up customers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Customer:
    """An account. `overdue`: its owner has not paid, so that it is refused for that."""

    key: str
    overdue: bool = False


# Public and worthless: they open these stand-ins only. The first of each is what `make run` uses; the second is for
# trying two accounts at one provider.
CUSTOMERS: Mapping[str, tuple[Customer, ...]] = {
    "ark": (
        Customer("5a0db0c5-0000-4000-8000-000000000001"),
        Customer("5a0db0c5-0000-4000-8000-000000000002"),
        Customer("5a0db0c5-0000-4000-8000-0000000000ff", overdue=True),
    ),
    "openai": (
        Customer("sk-proj-voicehelper-sandbox-opens-nothing-real-0000000000000001"),
        Customer("sk-proj-voicehelper-sandbox-opens-nothing-real-0000000000000002"),
        Customer("sk-proj-voicehelper-sandbox-opens-nothing-real-00000000overdue0", overdue=True),
    ),
    "anthropic": (
        Customer("sk-ant-api03-voicehelper-sandbox-opens-nothing-real-0000000000000001"),
        Customer("sk-ant-api03-voicehelper-sandbox-opens-nothing-real-0000000000000002"),
        Customer("sk-ant-api03-voicehelper-sandbox-opens-nothing-real-00000000overdue0", overdue=True),
    ),
}
# Where each lives, as its own client takes it: the base URL below the address of this server.
BASE_PATHS: Mapping[str, str] = {
    "ark": "/sandbox/llm/ark/api/v3",
    "openai": "/sandbox/llm/openai/v1",
    "anthropic": "/sandbox/llm/anthropic",
}


@dataclass(frozen=True)
class Sold:
    """A model: what it is for, how long its answers and its conversations may be (tokens), whether it sees pictures,
    and whether it answers Responses only."""

    use: str = "chat"
    output: int = 4096
    context: int = 131_072
    vision: bool = False
    dimensions: int = 0
    sizes: tuple[str, ...] = ()
    pictures: int = 1
    responses_only: bool = False


_SQUARE = ("256x256", "512x512", "1024x1024")
MODELS: Mapping[str, Mapping[str, Sold]] = {
    "ark": {
        "ep-20241201140014-vbzjz": Sold(),
        "ep-20241201140014-lite": Sold(output=2048, context=32_768),
        "doubao-seed-1-6-250615": Sold(output=32_768, context=262_144, vision=True),
        "text-embedding-v1": Sold("embedding", context=512, dimensions=2048),
        "doubao-seedream-4-0-250828": Sold("image", sizes=("1K", "2K", "4K", "1024x1024", "2048x2048")),
    },
    "openai": {
        "gpt-4": Sold(output=8192, context=8192),
        "gpt-3.5-turbo": Sold(context=16_385),
        "gpt-4o": Sold(output=16_384, context=128_000, vision=True),
        "gpt-4o-mini": Sold(output=16_384, context=128_000, vision=True),
        "gpt-5-codex": Sold(output=128_000, context=400_000, vision=True, responses_only=True),
        "text-embedding-3-large": Sold("embedding", context=8192, dimensions=3072),
        "text-embedding-3-small": Sold("embedding", context=8192, dimensions=1536),
        "dall-e-2": Sold("image", sizes=_SQUARE, pictures=10),
        "dall-e-3": Sold("image", sizes=("1024x1024", "1792x1024", "1024x1792")),
        "whisper-1": Sold("transcription"),
        "tts-1": Sold("speech"),
        "tts-1-hd": Sold("speech"),
    },
    "anthropic": {
        "claude-3-sonnet-20240229": Sold(context=200_000, vision=True),
        "claude-sonnet-4-5": Sold(output=64_000, context=200_000, vision=True),
    },
}
