"""The models that come along. A migration plants them; `manage.py plant_models` puts back what was deleted."""

from typing import Any

CHAT = ["chat", "function_call", "code_generation"]

Row = tuple[str, str, str, list[str], int, str, int, str]
FIELDS = (
    "name",
    "provider",
    "provider_model_id",
    "capabilities",
    "max_tokens",
    "cost_per_1k",
    "latency_ms",
    "quality",
)
ROWS: list[Row] = [
    ("doubao-pro", "ark", "ep-20241201140014-vbzjz", CHAT, 4096, "0.1", 300, "0.92"),
    ("doubao-lite", "ark", "ep-20241201140014-lite", ["chat"], 2048, "0.05", 150, "0.85"),
    ("doubao-embedding", "ark", "text-embedding-v1", ["embedding"], 512, "0.02", 100, "0.90"),
    ("gpt-4", "openai", "gpt-4", CHAT, 8192, "0.06", 800, "0.95"),
    ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo", CHAT, 4096, "0.002", 400, "0.85"),
    ("text-embedding-3-large", "openai", "text-embedding-3-large", ["embedding"], 8191, "0.00013", 200, "0.92"),
    ("dall-e-3", "openai", "dall-e-3", ["image"], 4096, "0.04", 8000, "0.90"),
    ("whisper-1", "openai", "whisper-1", ["speech_to_text"], 4096, "0.0001", 1500, "0.90"),
    ("tts-1", "openai", "tts-1", ["text_to_speech"], 4096, "0.015", 1000, "0.85"),
    ("claude-3-sonnet", "claude", "claude-3-sonnet-20240229", [*CHAT, "multimodal"], 4096, "0.015", 700, "0.94"),
]
# What is not 1,000 tokens, and (input, output) where the two prices differ.
MEASURES = {"dall-e-3": "image", "whisper-1": "second", "tts-1": "1k_characters"}
# Pictures by size and quality, per picture.
PICTURES = {
    "dall-e-3": {
        "": "0.04",
        "1024x1024/hd": "0.08",
        "1792x1024": "0.08",
        "1024x1792": "0.08",
        "1792x1024/hd": "0.12",
        "1024x1792/hd": "0.12",
    }
}
PRICES = {"gpt-4": ("0.03", "0.06"), "gpt-3.5-turbo": ("0.0015", "0.002"), "claude-3-sonnet": ("0.003", "0.015")}


# Claude Code asks for Claude's newest models by their full names, with dates.
ALIASES = [("claude-*", "claude")]


def plant(model: Any) -> int:
    """Make the rows that are missing, by name; returns how many. `model` is Model, or what it was in a migration."""
    there = set(model.objects.values_list("name", flat=True))
    missing = [model(**_facts(row)) for row in ROWS if row[0] not in there]
    model.objects.bulk_create(missing, ignore_conflicts=True)
    # In the migration that plants them there are no rows of prices yet.
    if hasattr(model, "prices"):
        for made in model.objects.filter(name__in=PICTURES.keys() - there):
            sizes = PICTURES[made.name].items()
            rows = [made.prices.model(model=made, kind="image", per=1, price=p, variant=v) for v, p in sizes]
            made.prices.bulk_create(rows, ignore_conflicts=True)
    return len(missing)


def plant_aliases(alias: Any) -> int:
    """The same for aliases: (name asked for, provider whose best model is meant)."""
    missing = [alias(pattern=pattern, provider=provider) for pattern, provider in ALIASES]
    there = alias.objects.count()
    alias.objects.bulk_create(missing, ignore_conflicts=True)
    return int(alias.objects.count() - there)


def _facts(row: Row) -> dict[str, Any]:
    facts = dict(zip(FIELDS, row, strict=True))
    input_price, output_price = PRICES.get(row[0], (None, None))
    measure = MEASURES.get(row[0], "1k_tokens")
    return {**facts, "measure": measure, "input_price": input_price, "output_price": output_price}
