"""Who we are to a provider."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField


def provider_choices() -> list[tuple[str, Any]]:
    """A callable, so that a new provider needs no migration."""
    return [("ark", _("Ark (Doubao)")), ("openai", "OpenAI"), ("claude", "Claude")]


class Credential(models.Model):
    """An account at a provider. `base_url` is what the provider's own client takes (…/api/v3, …/v1, Claude without)."""

    class ResponsesAPI(models.TextChoices):
        """Whether its address answers Responses."""

        KNOWN = "", _("as far as is known of the provider")
        YES = "yes", _("supported")
        NO = "no", _("not supported")

    name = models.CharField(_("name"), max_length=64, unique=True)
    provider = models.CharField(_("provider"), max_length=16, choices=provider_choices, default="ark")
    base_url = models.CharField(_("base URL"), max_length=256)
    # Set when the address came from the environment: trusted then, loopback included, and not edited here.
    from_environment = models.BooleanField(default=False, editable=False)
    api_key = EncryptedField(_("API key"))
    organization = models.CharField(_("organization"), max_length=64, blank=True)
    api_version = models.CharField(
        _("API version"), max_length=16, blank=True, help_text=_("Claude only: the anthropic-version header.")
    )
    responses_api = models.CharField(
        _("Responses API"), max_length=8, choices=ResponsesAPI, blank=True, default="", db_default=""
    )
    timeout_s = models.PositiveSmallIntegerField(
        _("time-out (s)"), default=30, validators=[MinValueValidator(1), MaxValueValidator(600)]
    )
    max_retries = models.PositiveSmallIntegerField(
        _("tries"), default=3, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    retry_delay_ms = models.PositiveIntegerField(
        _("retry delay (ms)"), default=1000, validators=[MaxValueValidator(60_000)]
    )
    priority = models.SmallIntegerField(
        _("priority"), default=0, db_default=0, help_text=_("The highest is asked first; others when it fails.")
    )
    weight = models.PositiveSmallIntegerField(
        _("weight"),
        default=1,
        db_default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("Its share of the conversations among those of the same priority."),
    )
    served = models.JSONField(
        _("models"), default=list, blank=True, db_default=models.Value([], models.JSONField()),
        help_text=_("Names and wildcards (claude-*) of the models it serves; empty: all of the provider."),
    )  # fmt: skip
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")

    def __str__(self) -> str:
        return self.name
