"""What the settings sections of all gateways have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from voicehelper.sections import Section


@dataclass(frozen=True)
class SettingsCard:
    """What operators read on a section's page. All texts are lazy.

    `purpose` is one sentence; `groups` are heading (or None) → fields; `steps` say where to find what at the provider,
    with %(url)s for the callback's address and %(pages)s for that of our pages. `key` is the field whose last letters
    tell which key is stored, `certificate` the one that refunds want, if any; `multiline` secrets span lines. `only`
    names the choice (a value of one of the selects) without which a field is not needed, and its group not shown;
    `files` what the provider calls the file whose content a field wants, "…" for what varies.
    """

    purpose: Any
    key: str
    groups: Sequence[tuple[Any, Sequence[str]]]
    steps: Sequence[Any]
    help: Mapping[str, Any] = field(default_factory=dict)
    placeholders: Mapping[str, Any] = field(default_factory=dict)
    multiline: tuple[str, ...] = ()
    certificate: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def only_for(self, fields: Sequence[str]) -> str:
        """The choice without which none of these is needed; empty when some always are."""
        choices = {self.only.get(name, "") for name in fields}
        return choices.pop() if len(choices) == 1 else ""


class GatewaySettings(Section):
    """What every gateway's section has. A subclass names its `gateway` (the key in topup.gateways.GATEWAYS), and is
    found by it from then on."""

    gateway: ClassVar[str]
    card: ClassVar[SettingsCard]
    # Where the gateway's configuration class names a thing otherwise than the row does.
    config_names: ClassVar[Mapping[str, str]] = {}
    # The values of its configuration that say whose account it is.
    account_values: ClassVar[Sequence[str]] = ()
    # The deployer's settings that its configuration hangs on.
    deployed: ClassVar[Sequence[str]] = ()
    _sections: "ClassVar[dict[str, type[GatewaySettings]]]" = {}
    _keep_account: "ClassVar[Callable[[GatewaySettings], object]]"

    enabled = models.BooleanField(_("enabled"), default=False)
    min_topup = models.PositiveIntegerField(_("minimum recharge"), default=1, validators=[MinValueValidator(1)])

    class Meta(Section.Meta):
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        GatewaySettings._sections[cls.gateway] = cls

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Row and merchant account change together, or neither."""
        with transaction.atomic():
            super().save(*args, **kwargs)
            GatewaySettings._keep_account(self)

    @staticmethod
    def accounts_are_kept_by(keep_account: "Callable[[GatewaySettings], object]") -> None:
        """Who brings the accounts in line with a section that was just saved; services do it."""
        GatewaySettings._keep_account = staticmethod(keep_account)

    @staticmethod
    def of(gateway: str) -> "type[GatewaySettings]":
        """The section of a gateway."""
        return GatewaySettings._sections[gateway]

    @classmethod
    def option_names(cls) -> dict[str, str]:
        """Under which name /api/option reads and writes each field: WechatAppId → app_id."""
        names = [each.name for each in cls._meta.fields if each.name not in ("id", "updated")]
        return {f"{cls.gateway.capitalize()}{_camel(name)}": name for name in names}

    @property
    def key_field(self) -> str:
        """The key that a person would recognise the account by."""
        return self.card.key

    def config_values(self) -> dict[str, Any]:
        """The arguments of the gateway's configuration class, secrets in clear text."""
        raise NotImplementedError


def _camel(name: str) -> str:
    return "MinTopUp" if name == "min_topup" else "".join(part.capitalize() for part in name.split("_"))
