"""How the admin words and colours what models are and did."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import choice_label, label

from ..capability_names import CAPABILITY_NAMES
from ..models import Usage, provider_choices

OPERATIONS: dict[str, Any] = {
    "chat": _("Chat"),
    "embeddings": _("Embedding"),
    "images": _("Pictures"),
    "transcription": _("Speech to text"),
    "speech": _("Text to speech"),
    "completions": _("Completion of texts"),
    "moderation": _("Moderation"),
    "rerank": _("Reranking"),
}
PRIORITIES: dict[str, Any] = {
    "balanced": _("Balanced"),
    "cost": _("Cheapest"),
    "speed": _("Fastest"),
    "quality": _("Best"),
}
OUTCOME_TONES = {Usage.Outcome.OK: "success", Usage.Outcome.ABANDONED: "warning", Usage.Outcome.FAILED: "danger"}


def capabilities(names: Iterable[str]) -> SafeString:
    labels = ((label("default", CAPABILITY_NAMES.get(name, name)),) for name in names)
    return format_html('<span class="vh-labels">{}</span>', format_html_join(" ", "{}", labels))


def outcome(usage: Usage) -> SafeString:
    return choice_label(usage, OUTCOME_TONES, "outcome")


def provider(name: str) -> str:
    return str(dict(provider_choices()).get(name, name))
