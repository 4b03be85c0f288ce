"""The kinds of what a model uses up. Counts of one call do not overlap: what was read from a cache is no `input`.

`reasoning` is none: it is inside `output`, and never priced alone.
"""

from collections.abc import Mapping

INPUT = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_long",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "cache_read_image",
)
OUTPUT = ("output", "output_audio", "output_image")
SEARCH = "web_search"
KINDS = (*INPUT, *OUTPUT, "image", "second", "character", SEARCH)
# Which price a kind without its own takes. What is not here, and has none, is free.
FALLBACKS: Mapping[str, str] = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_long": "cache_write",
    "input_audio": "input",
    "input_image": "input",
    "cache_read_audio": "cache_read",
    "cache_read_image": "cache_read",
    "output_audio": "output",
    "output_image": "output",
}
