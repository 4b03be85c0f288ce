"""Accounts at providers: write-only keys, a test before and after saving, and how each fares now."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from voicehelper.accounts.key_limits import MOST_MODELS, model_pattern
from voicehelper.admin.columns import column, label
from voicehelper.admin.forms import BoundSecret, CardForm, Consequences, Status
from voicehelper.admin.probing import ProbedFormAdmin
from voicehelper.net.addresses import AddressRefused, check_written
from voicehelper.net.probe import Probe, nothing_called
from voicehelper.words_field import WordsField

from ..models import Credential, Model
from ..providers import PROVIDERS
from . import words
from .live import Live, calls_text, clock_time, list_with
from .probes import default_model_id, reason, try_out

_ADDRESS = ["provider", "base_url", "api_key", "organization", "api_version", "responses_api"]


class CredentialForm(CardForm):
    """An account at a provider."""

    served = WordsField(
        model_pattern,
        MOST_MODELS,
        _("“%(word)s” is no name of a model."),
        label=_("models"),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": _("all; or for example: doubao-pro, claude-*")}),
        help_text=_("Names, also with *, of the models it serves. Empty: all of its provider."),
    )

    bound_secrets = (
        BoundSecret(
            "api_key",
            ("provider", "base_url"),
            lambda values: (values["provider"], str(values["base_url"]).rstrip("/")),
            _("Enter the key again: a stored key is never sent to another address than it was entered for."),
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "base_url" in self.fields:
            self.fields["base_url"].required = False
        for name in {"priority", "weight"} & self.fields.keys():
            self.fields[name].required = False

    def clean_priority(self) -> int:
        return self.cleaned_data["priority"] or 0

    def clean_weight(self) -> int:
        return self.cleaned_data["weight"] or 1

    def clean_served(self) -> list[str]:
        return list(self.cleaned_data["served"])

    def clean_base_url(self) -> str:
        """The provider's own when left empty; else one that operators may enter."""
        typed = str(self.cleaned_data["base_url"]).strip().rstrip("/")
        if not typed:
            provider = PROVIDERS.get(self.cleaned_data.get("provider", ""))
            return provider.default_base_url if provider else ""
        try:
            return check_written(typed)
        except AddressRefused as error:
            known = reason(str(error))
            private = gettext("This address does not lead to the public Internet.")
            raise ValidationError(known or private) from error


@admin.register(Credential)
class CredentialAdmin(ProbedFormAdmin):
    form = CredentialForm
    change_form_template = "admin/llm/credential.html"
    list_display = ("name", "provider_name", "base_url", "state", "last_minutes", "key", "num_models", "num_order")
    ordering = ("name",)
    actions: Any = None
    purpose = _("An account at a provider of large models. Its key is stored encrypted and never shown again.")
    password_help = _("Only needed when you enter or clear a key, or switch the account on.")
    save_label = _("Save")
    delete_link = True
    # Said below the model to ask for.
    test_hint = ""
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ["enabled", "name"]}),
        (_("Where, and who we are"), {"fields": _ADDRESS}),
        (_("Among several"), {"fields": ["priority", "weight", "served"]}),
        (_("Patience"), {"fields": ["timeout_s", "max_retries", "retry_delay_ms"]}),
    )
    placeholders = {
        "name": _("For example: Doubao, main account"),
        "base_url": PROVIDERS["ark"].default_base_url,
        "api_key": _("Please enter the API key"),
    }
    help_texts = {
        "enabled": _("Switched off, no call uses it; models that only it serves are not offered any more."),
        "name": _("Only operators see it."),
        "base_url": _(
            "What the provider’s own client takes: Ark …/api/v3, OpenAI …/v1, Claude without a path."
            " Empty: the provider’s. HTTPS and public addresses only. Changing it wants the key again."
        ),
        "api_key": _("Stored encrypted and never shown again."),
        "responses_api": _(
            "Whether this address answers /responses too; what is asked there then passes through as it is, otherwise"
            " it is translated. Known of Ark and of OpenAI’s own address; other services of OpenAI’s protocol often"
            " take such a request and ignore half of it: say so when theirs is complete."
        ),
        "organization": _("OpenAI only: the OpenAI-Organization header."),
        "priority": _("Of several accounts for a model the highest number is asked first, the others when it fails."),
        "weight": _(
            "Of those with one priority, its share of the conversations. A conversation stays with its account while"
            " that is well."
        ),
        "timeout_s": _("For a whole answer; in a stream, for the silence between two pieces."),
        "max_retries": _("In all, when the provider is busy or does not answer. Other refusals are final at once."),
        "retry_delay_ms": _("Before the second try; doubles with each one, or as long as the provider asks for."),
    }

    # --- The list ----------------------------------------------------------------------------------------------------
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return list_with("live", Live.now)

    provider_name = column(_("provider"), lambda row: words.provider(row.provider))

    @admin.display(description=_("state"))
    def state(self, row: Any) -> SafeString:
        tone, text = _state(row, row.live)
        return label(tone, text)

    last_minutes = column(_("lately"), lambda row: calls_text(*row.live.calls(row)))
    key = column(_("key"), lambda row: _key(row))
    num_models = column(
        _("models"), lambda row: sum(row.pk in model.credentials for model in row.live.catalogue.models.values())
    )

    num_order = column(_("priority, weight"), lambda row: f"{row.priority} / {row.weight}")

    # --- The form ----------------------------------------------------------------------------------------------------
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("provider", "base_url", "key") if obj is not None and obj.from_environment else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not obj.from_environment:
            return fieldsets
        shown = ["key" if name == "api_key" else name for name in _ADDRESS]
        return [
            (name, {"fields": shown if "base_url" in options["fields"] else options["fields"]})
            for name, options in fieldsets
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What the environment names would be back with the next start."""
        return super().has_delete_permission(request, obj) and not (obj is not None and _named_by_environment(obj))

    def status(self, row: Credential) -> Status:
        live = Live.now()
        tone, text = _state(row, live)
        parts = (text, calls_text(*live.calls(row)), _key(row))
        tones = {"success": "on", "default": "off"}
        return Status(tones.get(tone, "trouble"), parts)

    def page_context(self, row: Credential | None) -> dict[str, Any]:
        fixed = gettext("Provider, address and key come from the environment and are changed there.")
        return {
            "title": row.name if row else gettext("New credential"),
            "model_ids": _model_ids(row),
            "notes": [("dns", fixed)] if row is not None and row.from_environment else [],
            "help_steps": _steps(),
            "consequences": Consequences(gettext("Switching off and deleting"), _consequences(row)),
        }

    def probe_candidate(self, request: HttpRequest, candidate: Credential) -> Probe:
        """A real, cheap call."""
        if not candidate.api_key:
            return nothing_called(gettext("Nothing was called: there is no key yet."))
        model_id = request.POST.get("probe_model", "").strip()[:128] or default_model_id(candidate.provider)
        return try_out(candidate, model_id)


def _state(row: Credential, live: Live) -> tuple[str, str]:
    """Tone and word: off, cooling down until when, no usable key, or on."""
    if not row.enabled:
        return "default", gettext("Off")
    until = live.cools_until(row)
    if until is not None:
        return "warning", gettext("Resting until %(time)s") % {"time": clock_time(until)}
    if row.pk not in live.catalogue.credentials:
        return "danger", gettext("No readable key")
    return "success", gettext("On")


def _key(row: Credential) -> str:
    if not row.api_key:
        return gettext("no key")
    last4 = row.api_key.last4
    return f"····{last4}" if last4 else gettext("set")


def _named_by_environment(row: Credential) -> bool:
    return row.from_environment and bool(settings.LLM_ACCOUNTS.get(row.provider, ("", ""))[0])


def _model_ids(row: Credential | None) -> Sequence[str]:
    """What the test may ask for: the provider's models here, the one asked for by default first."""
    models = Model.objects.filter(provider=row.provider) if row else Model.objects.all()
    first = default_model_id(row.provider) if row else ""
    others = models.order_by("name").values_list("provider_model_id", flat=True)
    return list(dict.fromkeys(filter(None, [first, *others])))


def _steps() -> list[str]:
    return [
        gettext(
            "Ark (Doubao): console.volcengine.com/ark → API key management."
            " Open each model there first, or make an endpoint (ep-…)."
        ),
        gettext("OpenAI: platform.openai.com → API keys. Compatible services take their own address, ending with /v1."),
        gettext("Claude: console.anthropic.com → API keys. The base URL has no /v1 at its end."),
        gettext("Press “Test connection” before you save: it asks for a single token and says what is wrong."),
    ]


def _consequences(row: Credential | None) -> list[str]:
    """What switching off and deleting do, before somebody does it."""
    off = gettext(
        "Switched off: calls go to the provider’s other accounts; without one its models disappear from /v1/models."
        " Calls under way end as they began."
    )
    if row is not None and _named_by_environment(row):
        return [
            off,
            gettext(
                "It cannot be deleted here: the environment names it, and the next start would make it again."
                " Its key and address are changed there, too."
            ),
        ]
    gone = gettext(
        "Deleted: the key is gone for good. Models tied to it have to be given another account first."
        " Usage and bills stay."
    )
    return [off, gone]
