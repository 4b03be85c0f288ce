"""What people call the things that models can do (`capabilities` of a model)."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

CAPABILITY_NAMES: Mapping[str, Any] = {
    "chat": _("Chat"),
    "embedding": _("Embedding"),
    "function_call": _("Function calls"),
    "code_generation": _("Code"),
    "multimodal": _("Multimodal"),
    "image": _("Pictures"),
    "speech_to_text": _("Speech to text"),
    "text_to_speech": _("Text to speech"),
    "completion": _("Completion of texts"),
    "moderation": _("Moderation"),
    "rerank": _("Reranking"),
}
