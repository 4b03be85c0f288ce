"""The texts users agree to, who agreed, and what stands at the foot of each page."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.admin.base import BaseAdmin, ReadOnlyAdmin
from voicehelper.admin.columns import linked, when
from voicehelper.admin.filters import choice, username
from voicehelper.admin.sections import SectionAdmin

from ..models import Consent, LegalText, SiteSettings


@admin.register(LegalText)
class LegalTextAdmin(BaseAdmin):
    """Versions. One that is in force is what people agreed to: it stays as it is, and a new one follows it."""

    time_valid = when("valid_from", _("valid from"))
    list_display = ("kind", "language", "version", "time_valid", "asks_again")
    list_filter = (choice(_("kind"), "kind", lambda: LegalText.Kind.choices),)
    ordering = ("kind", "-version", "language")
    fields = ("kind", "language", "version", "valid_from", "asks_again", "text")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        helps = {
            "text": _("Markdown: # headings, - lists, **bold**, [links](https://…)."),
            "version": _("The same number in both languages. A higher one replaces it from its time on."),
            "asks_again": _("Off for corrections that change nothing for users: nobody is asked about those."),
        }
        if isinstance(field, forms.Field) and db_field.name in helps:
            field.help_text = helps[db_field.name]
        return field

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not _in_force(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and obj is not None and not _in_force(obj)


def _in_force(text: LegalText | None) -> bool:
    return text is not None and text.valid_from <= clock.now()


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    """Who agreed to what, when, and from where."""

    time_agreed = when("agreed", _("agreed"))
    user_link = linked("user", _("user"))
    list_display = ("time_agreed", "user", "kind", "version", "address")
    list_filter = (choice(_("kind"), "kind", lambda: LegalText.Kind.choices), username())
    list_select_related = ("user",)
    ordering = ("-pk",)
    fields = ("time_agreed", "user_link", "kind", "version", "address")


@admin.register(SiteSettings)
class SiteSettingsAdmin(SectionAdmin):
    purpose = _("What stands at the foot of each page. What is empty is not shown.")
    fieldsets = (
        (_("Filing numbers"), {"fields": ["icp_number", "police_number", "algorithm_number"]}),
        (_("How users reach you"), {"fields": ["contact", "help_address"]}),
    )
    placeholders = {
        "icp_number": "京ICP备00000000号-1",
        "police_number": "京公网安备00000000000000号",
        "algorithm_number": "网信算备000000000000000000000号",
        "help_address": "https://",
    }
    help_texts = {
        "icp_number": _("Leads to beian.miit.gov.cn, as the rules ask."),
        "algorithm_number": _("Of the algorithm, or of the generative model: as the notice of filing writes it."),
        "contact": _("A telephone number, an address, office hours: one line."),
    }
