"""Saving prices on a page of the admin: the effect is shown first, and saving again agrees to it."""

from typing import Any

from django.test import Client


def agreed(browser: Client, page: str, form: dict[str, Any], *, sure: bool = True) -> Any:
    """The answer to a form that is sent again with what its page asks to be agreed to, if anything."""
    first = browser.post(page, form)
    effects = getattr(first.context["adminform"].form, "effects", None) if first.context else None
    if effects is None:
        return first
    return browser.post(page, form | {"seen_effects": effects.mark} | ({"sure": "on"} if sure else {}))
