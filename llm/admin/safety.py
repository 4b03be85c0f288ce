"""Content safety: what is checked and by whom, the operator's words, and what was found."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import column, linked, when
from voicehelper.admin.filters import Days, choice
from voicehelper.admin.forms import BoundSecret, CardAdmin, CardForm, Status
from voicehelper.admin.keyset import EndlessAdmin
from voicehelper.admin.sections import ProbedSectionAdmin, SectionForm
from voicehelper.net.probe import Probe, nothing_called, since_ms

from .. import services
from ..models import SafetySettings, SafetyVerdict, SafetyWord
from ..safety.words import normalised


class SafetyForm(SectionForm):
    """The section's fields."""

    bound_secrets = (
        BoundSecret(
            "key_secret",
            ("moderator",),
            lambda values: values["moderator"],
            _("Enter the key again: a stored key is never sent to another moderator than it was entered for."),
        ),
    )


@admin.register(SafetySettings)
class SafetySettingsAdmin(ProbedSectionAdmin):
    form = SafetyForm
    test_hint = _("Has the moderator judge a harmless text.")
    purpose = _("What of questions and answers is checked before it passes, and what models made says so.")
    password_help = _("Only needed when you change what is checked, the key, or what happens while nobody can check.")
    fieldsets = (
        (_("What is checked"), {"fields": ["questions", "answers"]}),
        (_("Beside the list of words"), {"fields": ["moderator", "key_id", "key_secret", "service", "fail_open"]}),
        (_("AI labels"), {"fields": ["producer", "label_media"]}),
    )
    help_texts = {
        "questions": _("Before anything is held or charged: what is refused costs nothing."),
        "answers": _(
            "Streamed ones in windows: they end where something is found, and are charged as far as they were written."
        ),
        "moderator": _("Empty: only the list of forbidden words."),
        "key_id": _("Aliyun: AccessKey ID. Tencent Cloud: SecretId."),
        "key_secret": _("Stored encrypted and never shown again."),
        "service": _(
            "Aliyun: the service to call; empty: llm_query_moderation and llm_response_moderation. Tencent Cloud: the"
            " BizType of your policy."
        ),
        "fail_open": _("Switched off, nothing is asked or answered that could not be checked."),
        "producer": _("Its name, or its unified social credit code, as labels name it. Empty: VoiceHelper."),
        "label_media": _(
            "Whole sound and pictures that /v1 passes on carry the metadata that GB 45438-2025 asks for. Streamed ones"
            " pass as they are. What the chat page speaks is always labelled."
        ),
    }

    def status(self, row: Any) -> Status:
        count = SafetyWord.objects.filter(enabled=True).count()
        words = ngettext("%(count)d forbidden word", "%(count)d forbidden words", count) % {"count": count}
        checked = row.questions or row.answers
        moderator = row.get_moderator_display() if row.moderator else gettext("no moderator")
        return Status("on" if checked else "off", (gettext("On") if checked else gettext("Off"), words, moderator))

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        if not row.moderator:
            return nothing_called(gettext("Nothing was called: no moderator is chosen."))
        started = time.monotonic_ns()
        problem = services.moderator_problem()
        message = problem or gettext("The moderator accepted the key and judged a text.")
        return Probe(not problem, str(row.get_moderator_display()), since_ms(started), message)

    def problems(self, row: Any) -> Mapping[str, str]:
        found = dict(super().problems(row))
        if row.moderator and not row.key_id:
            found["key_id"] = gettext("The moderator wants to know who asks.")
        if row.moderator and not row.key_secret:
            found["key_secret"] = gettext("Enter the key that belongs to it.")
        return found


class WordForm(CardForm):
    """A word, or several, one a line."""

    more = forms.CharField(
        required=False,
        label=_("more words"),
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_("One a line; what is on the list already is left out."),
    )

    def clean_word(self) -> str:
        word = str(self.cleaned_data["word"]).strip()
        if len(normalised(word)) < 2:
            raise forms.ValidationError(_("At least two letters or characters, or everything would be refused."))
        return word

    def clean_more(self) -> list[str]:
        return [
            word for line in self.cleaned_data["more"].splitlines() if len(normalised(word := line.strip()[:64])) > 1
        ]


@admin.register(SafetyWord)
class SafetyWordAdmin(CardAdmin):
    form = WordForm
    list_display = ("word", "enabled", "time_created")
    list_filter = (choice(_("enabled"), "enabled", lambda: [("1", _("yes")), ("0", _("no"))]),)
    search_fields = ("word",)
    ordering = ("word",)
    purpose = _("A word that is let through neither in questions nor in answers, in any width, case or spacing.")
    save_label = _("Save")
    delete_link = True
    time_created = when("created", _("created"))
    fieldsets: ClassVar[Any] = ((None, {"fields": ["word", "enabled", "more"]}),)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        more = [SafetyWord(word=word) for word in dict.fromkeys(form.cleaned_data.get("more") or ())]
        if more:
            SafetyWord.objects.bulk_create(more, ignore_conflicts=True)
            messages.success(request, gettext("The other words are on the list, too."))


@admin.register(SafetyVerdict)
class SafetyVerdictAdmin(EndlessAdmin):
    list_display = ("time_created", "user", "direction", "source_name", "rule", "outcome", "request_id")
    list_display_links = ("time_created",)
    list_filter = (
        choice(_("outcome"), "outcome", lambda: SafetyVerdict.Outcome.choices),
        choice(_("where"), "direction", lambda: SafetyVerdict.Direction.choices),
        ("created", Days),
    )
    list_select_related = ("user",)
    ordering = ("-created",)
    time_created = when("created", _("time"))
    user_link = linked("user", _("user"))
    source_name = column(
        _("found by"), lambda row: gettext("list of words") if row.source == "words" else row.source.capitalize()
    )
    fieldsets: ClassVar[Any] = (
        (
            None,
            {"fields": ("time_created", "user_link", "direction", "source_name", "rule", "outcome", "request_id")},
        ),
    )
