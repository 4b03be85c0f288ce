"""The site that the admin's pages are of."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import sites
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.apps import BasicAppConfig
from unfold.sites import UnfoldAdminSite


class OurAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # Unfold has no types
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Made when somebody looks. Every page is given this list of all models and none of ours shows it, for the menu
        has pages of its own (menu.py); it takes a tenth of a page's time."""
        return SimpleLazyObject(lambda: super(OurAdminSite, self).get_app_list(request, app_label))


class Theme(BasicAppConfig):  # type: ignore[misc]  # Unfold has no types
    """Unfold with that site."""

    def ready(self) -> None:
        admin.site = sites.site = OurAdminSite()
