"""The names under which /api/option reads and writes the settings rows, who may, and the validation all edges share.

One change is one transaction: every value is checked, the sections are checked as a whole, then all are saved or none.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _

from voicehelper.accounts.models import MiniProgramSettings, User, WebsiteSettings
from voicehelper.changes import changes_since, record, snapshot
from voicehelper.net.addresses import typed_address
from voicehelper.secrets import EncryptedField, Secret, SecretUnreadable
from voicehelper.sections import Section
from voicehelper.typed import as_seen

from ..gateways import GATEWAYS
from ..models import GatewaySettings, RechargeSettings

_RECHARGE: dict[str, tuple[type[Section], str]] = {
    "ServerAddress": (RechargeSettings, "server_address"),
    "Price": (RechargeSettings, "price"),
    "QuotaPerUnit": (RechargeSettings, "quota_per_unit"),
    "QuotaDisplayType": (RechargeSettings, "display_type"),
    "AmountOptions": (RechargeSettings, "amount_options"),
    "AmountDiscount": (RechargeSettings, "amount_discounts"),
    "AmountBonus": (RechargeSettings, "amount_bonuses"),
    "TopupGroupRatio": (RechargeSettings, "group_ratios"),
    "OrderLifeMinutes": (RechargeSettings, "order_life_minutes"),
    "ConfirmAbove": (RechargeSettings, "confirm_above"),
    "SupportContact": (RechargeSettings, "support_contact"),
}
_MINI_PROGRAM: dict[str, tuple[type[Section], str]] = {
    "MiniProgramAppId": (MiniProgramSettings, "app_id"),
    "MiniProgramAppSecret": (MiniProgramSettings, "app_secret"),
}
_WEBSITE: dict[str, tuple[type[Section], str]] = {
    "WebsiteAppId": (WebsiteSettings, "app_id"),
    "WebsiteAppSecret": (WebsiteSettings, "app_secret"),
}


def _names() -> dict[str, tuple[type[Section], str]]:
    """Option name → section and field; the sections come in the order in which they are locked."""
    sections = [GatewaySettings.of(gateway) for gateway in GATEWAYS]
    named = {name: (section, field) for section in sections for name, field in section.option_names().items()}
    return _RECHARGE | named | _MINI_PROGRAM | _WEBSITE


def all_sections() -> list[type[Section]]:
    """Every section that has options."""
    return list(dict.fromkeys(section for section, _field in _names().values()))


class OptionsRefused(Exception):
    """Some values cannot be saved; nothing was. `errors` maps option names to what is wrong in plain words."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors = dict(errors)


class OptionsForbidden(Exception):
    """The editor may not change one of the sections; nothing was changed."""


@dataclass(frozen=True)
class Editor:
    """Whoever changes options. `confirm` is called before something sensitive, and raises unless it is really they."""

    user: User
    confirm: Callable[[], None]


def visible_sections(user: User) -> list[type[Section]]:
    """The sections a user may look at; to change one is to see it."""
    return [section for section in all_sections() if _may(user, "view", section) or _may(user, "change", section)]


def _may(user: User, verb: str, section: type[Section]) -> bool:
    return user.has_perm(f"{section._meta.app_label}.{verb}_{section._meta.model_name}")


def read_options(sections: Collection[type[Section]] | None = None) -> dict[str, Any]:
    """Every option of the sections (None: of all). Decimals are strings; a secret reads "" beside …Set and …Last4 (of a
    public key or certificate: the fingerprint)."""
    rows = {section: section.load() for section in (all_sections() if sections is None else sections)}
    values: dict[str, Any] = {}
    for name, (section, field) in _names().items():
        if section not in rows:
            continue
        value = getattr(rows[section], field)
        if isinstance(value, Secret):
            values |= {name: "", f"{name}Set": bool(value), f"{name}Last4": value.fingerprint or value.last4}
        else:
            values[name] = str(value.normalize() + 0) if isinstance(value, Decimal) else value
    return values


def write_options(changes: Mapping[str, Any], editor: Editor | None = None) -> None:
    """Save any subset, for an editor or (None) for the deployment itself, which is asked nothing.

    Raises OptionsRefused with an error per name, OptionsForbidden, or what `editor.confirm` raises; and then changes
    nothing.
    """
    known = _names()
    unknown = {name: _("There is no such option.") for name in changes if name not in known}
    if unknown:
        raise OptionsRefused(unknown)
    touched = {known[name][0] for name in changes}
    sections = [section for section in all_sections() if section in touched]
    if editor is not None:
        _check_may_change(editor.user, sections)
    with transaction.atomic():
        rows = {section: section.locked() for section in sections}
        before = {section: snapshot(row) for section, row in rows.items()}
        errors = _assign_all(rows, changes)
        if errors:
            raise OptionsRefused(errors)
        found = {section: changes_since(before[section], row) for section, row in rows.items()}
        if editor is not None and any(change.sensitive for several in found.values() for change in several):
            editor.confirm()
        for section, row in rows.items():
            if found[section]:
                row.save()
                if editor is not None:
                    record(row, found[section], by=editor.user)


def _check_may_change(user: User, sections: Collection[type[Section]]) -> None:
    refused = [str(section._meta.verbose_name) for section in sections if not _may(user, "change", section)]
    if refused:
        raise OptionsForbidden(_("You may not change: %(sections)s.") % {"sections": ", ".join(refused)})


def _assign_all(rows: Mapping[type[Section], Section], changes: Mapping[str, Any]) -> dict[str, str]:
    """Set every value in its row. Returns what is wrong with one, or with a row as it then stands, by option."""
    known = _names()
    keys = {place: name for name, place in known.items()}
    errors: dict[str, str] = {}
    for name, value in changes.items():
        section, field = known[name]
        try:
            _assign(rows[section], field, value)
        except (ValidationError, ValueError, TypeError, ArithmeticError) as error:
            errors[name] = "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    for row in rows.values():
        # What has no name here is edited in the admin only.
        named = {keys.get((type(row), field), field): text for field, text in problems(row).items()}
        errors |= {name: text for name, text in named.items() if name not in errors}
    return errors


def problems(row: Section) -> dict[str, str]:
    """What is wrong with a section as it stands: field name → plain words. Empty: it may be saved.

    An enabled gateway must be completely and plausibly configured; a disabled one may be half-filled.
    """
    found: dict[str, str] = {}
    try:
        row.clean_fields(exclude=[field.name for field in row._meta.fields if isinstance(field, EncryptedField)])
    except ValidationError as error:
        found |= {field: "; ".join(messages) for field, messages in error.message_dict.items()}
    if isinstance(row, RechargeSettings):
        found |= _recharge_problems(row)
    found |= _unreadable(row)
    if isinstance(row, GatewaySettings) and row.enabled and not _unreadable(row):
        for problem in GATEWAYS[row.gateway].problems(row.config_values()):
            found.setdefault(row.config_names.get(problem.field, problem.field), str(problem.message))
    return found


def _unreadable(row: Section) -> dict[str, str]:
    """Stored secrets that no key opens; they have to be entered again."""
    found = {}
    for field in row._meta.fields:
        if isinstance(field, EncryptedField):
            try:
                getattr(row, field.name).reveal()
            except SecretUnreadable as error:
                found[field.name] = str(error)
    return found


def _recharge_problems(row: RechargeSettings) -> dict[str, str]:
    checks: dict[str, Callable[[], None]] = {
        "amount_options": lambda: check_options(row.amount_options),
        "amount_discounts": lambda: check_discounts(row.amount_discounts),
        "amount_bonuses": lambda: check_bonuses(row.amount_bonuses),
        "group_ratios": lambda: check_ratios(row.group_ratios),
        "server_address": lambda: check_address(row.server_address),
    }
    found = {}
    for field, check in checks.items():
        try:
            check()
        except ValueError as error:
            found[field] = str(error)
    return found


def check_options(options: object) -> None:
    """Raises ValueError unless it is a list of distinct positive whole numbers, 50 at most."""
    if not isinstance(options, list) or len(options) > 50 or len(set(map(str, options))) != len(options):
        raise ValueError(_("Amounts must be a list of at most 50 different numbers."))
    if any(type(units) is not int or not 0 < units <= 10**9 for units in options):
        raise ValueError(_("Each amount must be a whole number between 1 and 1,000,000,000."))


def check_discounts(discounts: object) -> None:
    """Raises ValueError unless it maps whole numbers to decimals above 0 and up to 1."""
    for units, rate in _pairs(discounts):
        _check_amount(units)
        if not 0 < rate <= 1:
            raise ValueError(
                _("The discount for %(key)s must be above 0 and at most 1 (0.95 = 5%% off).") % {"key": units}
            )


def check_bonuses(bonuses: object) -> None:
    """Raises ValueError unless it maps whole numbers to whole numbers, and a higher amount never gets a lower bonus."""
    pairs = _pairs(bonuses)
    for units, _bonus in pairs:
        _check_amount(units)
    most = Decimal(0)
    for units, bonus in sorted(pairs, key=lambda pair: int(pair[0])):
        if bonus != int(bonus) or bonus <= 0:
            raise ValueError(_("The bonus from %(key)s on must be a whole number of units above 0.") % {"key": units})
        if bonus < most:
            raise ValueError(
                _("The bonus from %(key)s on is lower than that of a smaller amount: whoever pays more gets no less.")
                % {"key": units}
            )
        most = bonus


def _check_amount(units: str) -> None:
    if not (units.isascii() and units.isdigit() and 0 < int(units) <= 10**9 and units == str(int(units))):
        raise ValueError(_("%(key)s is not an amount: use a whole number.") % {"key": units[:40]})


def check_ratios(ratios: object) -> None:
    """Raises ValueError unless it maps group names to decimals from 0 to 1000 (0 counts as 1)."""
    for group, ratio in _pairs(ratios):
        if not group.strip() or len(group) > 64:
            raise ValueError(_("A group's name has 1 to 64 characters."))
        if not 0 <= ratio <= 1000:
            raise ValueError(_("The ratio of %(key)s must be between 0 and 1000.") % {"key": group})


def _pairs(mapping: object) -> list[tuple[str, Decimal]]:
    if not isinstance(mapping, dict) or len(mapping) > 100:
        raise ValueError(_("This must be a table of at most 100 rows."))
    return [(str(key), decimal(value)) for key, value in mapping.items()]


def check_address(address: str) -> None:
    """Raises ValueError for an address no provider could call."""
    if address and ("?" in address or "#" in address or not address.startswith(("https://", "http://"))):
        raise ValueError(_("Write the address like https://pay.example.com, without ? or #."))


def decimal(value: object) -> Decimal:
    """An exact decimal with at most six places, of a JSON number or a string. Raises ValueError."""
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= 10**9 or number != round(number, 6):
        raise ValueError(_("%(value)s is not a number with at most six decimals.") % {"value": str(value)[:40]})
    return number


def _assign(row: Section, name: str, value: Any) -> None:
    """Set one field from its JSON value. Raises ValueError or ValidationError when it is of the wrong kind."""
    field = row._meta.get_field(name)
    if isinstance(field, EncryptedField):
        if value != "":
            setattr(row, name, Secret("" if value is None else _text(value)))
        return
    for kind, parse in _PARSERS.items():
        if isinstance(field, kind):
            setattr(row, name, parse(value))
            return
    setattr(row, name, typed_address(_text(value)) if isinstance(field, models.URLField) else _text(value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("This is either true or false."))  # noqa: TRY004  # one kind of error for one reader
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(_("This must be text."))  # noqa: TRY004
    return as_seen(value)


def _whole(value: Any) -> int:
    number = decimal(value)
    if number != int(number):
        raise ValueError(_("This must be a whole number."))
    return int(number)


def _table(value: Any) -> Any:
    return exact_json(json.loads(value, parse_float=Decimal) if isinstance(value, str) else value)


_PARSERS: "dict[type[models.Field[Any, Any]], Callable[[Any], Any]]" = {
    models.BooleanField: _flag,
    models.JSONField: _table,
    models.DecimalField: decimal,
    models.IntegerField: _whole,
}


def exact_json(value: Any) -> Any:
    """A map's decimals as text and a list's whole numbers as integers, so that no float is stored."""
    if isinstance(value, dict):
        return {str(key): str(decimal(number).normalize() + 0) for key, number in value.items()}
    if isinstance(value, list):
        return [int(decimal(item)) if decimal(item) == int(decimal(item)) else str(item) for item in value]
    return value
