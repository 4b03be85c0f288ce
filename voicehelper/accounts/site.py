"""The foot of each page: who runs the site, and the texts. Read when a page shows it."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .consents import kinds_in_force
from .models import LegalText, SiteSettings


def foot(_request: HttpRequest) -> dict[str, Any]:
    """For all templates: `site_foot`, whose parts may be empty."""
    return {"site_foot": SimpleLazyObject(_read)}


def _read() -> dict[str, Any]:
    row = SiteSettings.objects.filter(pk=1).first() or SiteSettings()
    texts = [(kind, LegalText.Kind(kind).label) for kind in kinds_in_force()]
    facts = [row.icp_number, row.police_number, row.algorithm_number, row.contact, row.help_address]
    return {"row": row, "texts": texts, "any": bool(texts or any(facts))}
