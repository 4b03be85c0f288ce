"""What people call the kinds of what models use up (llm/kinds.py), and a price in their words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.numbers import grouped

KIND_NAMES: Mapping[str, Any] = {
    "input": _("Input"),
    "cache_read": _("Read from cache"),
    "cache_write": _("Written to cache (5 min)"),
    "cache_write_long": _("Written to cache (1 h)"),
    "input_audio": _("Sound in"),
    "cache_read_audio": _("Sound read from cache"),
    "input_image": _("Pictures in (tokens)"),
    "cache_read_image": _("Pictures read from cache"),
    "output": _("Output"),
    "output_audio": _("Sound out"),
    "output_image": _("Pictures out (tokens)"),
    "image": _("Picture"),
    "second": _("Second of audio"),
    "character": _("Character"),
    "web_search": _("Web search"),
}


def name_of(kind: str, variant: str = "", from_tokens: int = 0) -> str:
    """What a price is for: "Output, above 200,000 tokens"."""
    parts = [str(KIND_NAMES.get(kind, kind)), variant]
    if from_tokens:
        parts.append(gettext("above %(tokens)s tokens") % {"tokens": grouped(from_tokens)})
    return gettext(", ").join(filter(None, parts))
