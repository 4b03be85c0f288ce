"""Facts about large models: who we are to a provider, what can be asked for, what it costs, what was used."""

from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField

from .kinds import KINDS


def provider_choices() -> list[tuple[str, Any]]:
    """A callable, so that a new provider needs no migration."""
    return [("ark", _("Ark (Doubao)")), ("openai", "OpenAI"), ("claude", "Claude")]


class Credential(models.Model):
    """An account at a provider. `base_url` is what the provider's own client takes (…/api/v3, …/v1, Claude without)."""

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


class Model(models.Model):
    """A model users can ask for by name, where it lives, what it can do and what it costs (units per measure)."""

    class Measure(models.TextChoices):
        TOKENS = "1k_tokens", _("1,000 tokens")
        IMAGE = "image", _("image")
        SECOND = "second", _("second of audio")
        CHARACTERS = "1k_characters", _("1,000 characters")

    # See voicehelper/changes.py. The cost is the price where none is set.
    PRICES: ClassVar = frozenset({"measure", "input_price", "output_price", "cost_per_1k"})
    SENSITIVE: ClassVar = PRICES
    CAPABILITIES: ClassVar[tuple[str, ...]] = (
        "chat",
        "embedding",
        "function_call",
        "code_generation",
        "multimodal",
        "image",
        "speech_to_text",
        "text_to_speech",
        "completion",
        "moderation",
        "rerank",
    )

    name = models.CharField(_("name"), max_length=64, unique=True)
    credential = models.ForeignKey(
        Credential,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="models",
        verbose_name=_("credential"),
        help_text=_("Empty: any enabled credential of the provider, in order."),
    )
    provider = models.CharField(_("provider"), max_length=16, choices=provider_choices)
    provider_model_id = models.CharField(_("model id at the provider"), max_length=128)
    capabilities = models.JSONField(_("capabilities"), default=list)
    max_tokens = models.PositiveIntegerField(_("max tokens"), default=4096)
    context_tokens = models.PositiveIntegerField(
        _("context (tokens)"), null=True, blank=True, help_text=_("What question and answer may have together.")
    )
    cost_per_1k = models.DecimalField(
        _("cost per 1k tokens"),
        max_digits=12,
        decimal_places=6,
        default=Decimal("0.1"),
        validators=[MinValueValidator(Decimal(0))],
    )
    latency_ms = models.PositiveIntegerField(_("typical latency (ms)"), default=500)
    patience_s = models.PositiveSmallIntegerField(
        _("patience (s)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text=_("How long the first sign of an answer may take. Empty: ten minutes."),
    )
    quality = models.DecimalField(_("quality score"), max_digits=4, decimal_places=3, default=Decimal("0.8"))
    measure = models.CharField(_("measure"), max_length=16, choices=Measure, default=Measure.TOKENS)
    input_price = models.DecimalField(
        _("input price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Units per measure; empty: the cost."),
    )
    output_price = models.DecimalField(
        _("output price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Units per measure; empty: the cost."),
    )
    fallbacks = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        verbose_name=_("fallbacks"),
        help_text=_("Asked in order when this one fails. Empty: it is never replaced."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def kind_choices() -> list[tuple[str, str]]:
    """A callable, so that a new kind needs no migration. Words for people: llm/kind_names.py."""
    return [(kind, kind) for kind in KINDS]


class ModelPrice(models.Model):
    """What so many (`per`) of a kind cost, in units, and cost the operator (empty: not known). It holds for requests
    whose inputs together are more than `from_tokens`. A model without any row costs what its old columns say."""

    class Per(models.IntegerChoices):
        ONE = 1, "1"
        THOUSAND = 1000, "1,000"
        MILLION = 1_000_000, "1,000,000"

    SENSITIVE: ClassVar = frozenset({"price"})

    model = models.ForeignKey(Model, models.CASCADE, related_name="prices", verbose_name=_("model"))
    kind = models.CharField(_("kind"), max_length=24, choices=kind_choices)
    per = models.PositiveIntegerField(_("per"), choices=Per, default=Per.MILLION)
    price = models.DecimalField(_("price by kind"), max_digits=18, decimal_places=9)
    cost = models.DecimalField(_("own cost"), max_digits=18, decimal_places=9, null=True, blank=True)
    from_tokens = models.PositiveIntegerField(_("above so many tokens in"), default=0, db_default=0)
    variant = models.CharField(_("size/quality"), max_length=32, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(fields=["model", "kind", "from_tokens", "variant"], name="model_price_once"),
            models.CheckConstraint(
                condition=Q(price__gte=0) & (Q(cost=None) | Q(cost__gte=0)), name="model_price_sane"
            ),
            models.CheckConstraint(condition=Q(per__in=(1, 1000, 1_000_000)), name="model_price_per"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.variant} > {self.from_tokens}"


class ServiceTierFactor(models.Model):
    """What a provider's service tier multiplies all prices of a model by: flex 0.5, priority 2."""

    SENSITIVE: ClassVar = frozenset({"factor"})

    model = models.ForeignKey(Model, models.CASCADE, related_name="factors", verbose_name=_("model"))
    tier = models.CharField(_("service tier"), max_length=16)
    factor = models.DecimalField(_("service tier’s factor"), max_digits=9, decimal_places=6)

    class Meta:
        verbose_name = _("service tier")
        verbose_name_plural = _("service tiers")
        constraints = [
            models.UniqueConstraint(fields=["model", "tier"], name="service_tier_once"),
            models.CheckConstraint(condition=Q(factor__gt=0), name="service_tier_sane"),
        ]

    def __str__(self) -> str:
        return self.tier


class Alias(models.Model):
    """A name, or wildcard, that callers may write instead of a model's own: it leads to that model, or to the best one
    there is of a provider. The longest one that fits counts."""

    pattern = models.CharField(_("name asked for"), max_length=128, unique=True)
    model = models.ForeignKey(
        Model, models.CASCADE, null=True, blank=True, related_name="aliases", verbose_name=_("model")
    )
    provider = models.CharField(_("provider"), max_length=16, choices=provider_choices, blank=True)
    shown = models.BooleanField(_("shown in /v1/models"), default=False)

    class Meta:
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")
        ordering = ["pattern"]
        constraints = [
            models.CheckConstraint(
                condition=Q(model=None) ^ Q(provider=""), name="alias_of_model_or_provider",
                violation_error_message=_("Choose a model, or a provider whose best model is meant."),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.pattern


class Usage(models.Model):
    """One billed call. `quota` is what was charged; `usage_source` says how the tokens are known. `kinds` are
    the counts beside plain input and output (billing.Amount.noted), in both sums; `cost` is the operator’s own."""

    class Source(models.TextChoices):
        PROVIDER = "provider", _("Reported by the provider")
        CUMULATIVE = "cumulative", _("Last cumulative report before the end")
        ESTIMATE = "estimate", _("Estimated")
        NONE = "none", _("Nothing was used")

    class Outcome(models.TextChoices):
        OK = "ok", _("Answered")
        ABANDONED = "abandoned", _("Client hung up")
        FAILED = "failed", _("Failed")

    request_id = models.CharField(_("request id"), max_length=40, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="usage", verbose_name=_("user"))
    model_name = models.CharField(_("model"), max_length=64)
    asked_model = models.CharField(_("model asked for"), max_length=64, blank=True)
    provider = models.CharField(_("provider"), max_length=16, blank=True)
    operation = models.CharField(_("operation"), max_length=16)
    input_tokens = models.BigIntegerField(_("input"), default=0)
    output_tokens = models.BigIntegerField(_("output"), default=0)
    quota = models.BigIntegerField(_("quota"), default=0)
    uncollected = models.BigIntegerField(
        _("not collected"), default=0, help_text=_("Used beyond what the wallet covered.")
    )
    kinds = models.JSONField(_("kinds"), default=dict, db_default={})
    service_tier = models.CharField(_("service tier"), max_length=16, blank=True, default="", db_default="")
    cost = models.BigIntegerField(_("own cost"), null=True, help_text=_("In quota; empty: not known."))
    usage_source = models.CharField(_("usage known from"), max_length=12, choices=Source)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome)
    latency_ms = models.PositiveIntegerField(_("latency (ms)"), default=0)
    first_token_ms = models.PositiveIntegerField(_("first token (ms)"), null=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=1)
    streamed = models.BooleanField(_("streamed"), default=False)
    error = models.CharField(_("error"), max_length=500, blank=True)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        indexes = [
            models.Index(fields=["user", "-id"], name="usage_of_user"),
            models.Index(fields=["-created"], name="usage_newest"),
            models.Index(fields=["model_name", "-id"], name="usage_of_model"),
            # Calls that went well are most of them, and found without an index of their own.
            models.Index(fields=["outcome", "-created"], condition=~Q(outcome="ok"), name="usage_unwell"),
        ]
        constraints = [models.CheckConstraint(condition=Q(quota__gte=0, uncollected__gte=0), name="usage_not_negative")]

    def __str__(self) -> str:
        return self.request_id


class ChatSession(models.Model):
    """A conversation of a user. `public_id` is the sessionId clients see."""

    public_id = models.CharField(max_length=64)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="chat_sessions", verbose_name=_("user")
    )
    title = models.CharField(_("title"), max_length=80, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    created = models.DateTimeField(_("created"), db_default=Now())
    last = models.DateTimeField(_("last message"), db_default=Now())

    class Meta:
        verbose_name = _("chat session")
        verbose_name_plural = _("chat sessions")
        constraints = [models.UniqueConstraint(fields=["user", "public_id"], name="chat_session_of_user")]
        indexes = [
            models.Index(fields=["user", "-last"], name="chat_session_newest"),
            models.Index(fields=["-last"], name="chat_session_of_all_newest"),
        ]

    def __str__(self) -> str:
        # Not the title: it is made of what the user wrote, and this is what operators see.
        return self.public_id

    @property
    def shown(self) -> str:
        """What its owner knows it by."""
        return self.title or self.public_id


class ChatMessage(models.Model):
    """A question, or the answer to one. `complete` is False for an answer that is being written or was broken off;
    `quota` is None until it is settled. `key` is what the client's Idempotency-Key became."""

    class Role(models.TextChoices):
        USER = "user", _("User")
        ASSISTANT = "assistant", _("Assistant")

    public_id = models.CharField(max_length=40, unique=True)
    session = models.ForeignKey(ChatSession, models.CASCADE, related_name="messages", verbose_name=_("session"))
    role = models.CharField(_("role"), max_length=12, choices=Role)
    question = models.OneToOneField(
        "self", models.CASCADE, null=True, editable=False, related_name="answer", verbose_name=_("question")
    )
    key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    content = models.TextField(_("content"))
    complete = models.BooleanField(_("complete"), default=True)
    request_id = models.CharField(max_length=40, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    quota = models.BigIntegerField(_("quota"), null=True, default=0)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("chat message")
        verbose_name_plural = _("chat messages")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.public_id


class Spoken(models.Model):
    """An answer, or a text, as sound: paid once and kept as a file of the user's. `path` is empty while it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    message = models.ForeignKey(
        ChatMessage, models.CASCADE, null=True, related_name="spoken", verbose_name=_("chat message")
    )
    # Of the text, the voice and the message.
    digest = models.CharField(max_length=64)
    path = models.CharField(_("path"), max_length=128, blank=True)
    model_name = models.CharField(_("model"), max_length=64, blank=True)
    quota = models.BigIntegerField(_("quota"), default=0)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("spoken text")
        verbose_name_plural = _("spoken texts")
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="spoken_once")]

    def __str__(self) -> str:
        return self.digest
