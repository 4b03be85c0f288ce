"""What the pages show, as text: prices in plain words, what an answer cost, who said what."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil

from django.utils.functional import Promise
from django.utils.timezone import localdate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from storage_backends.services import page_url
from voicehelper.accounts.models import User
from voicehelper.numbers import grouped
from voicehelper.wallet.worth import in_yuan

from .. import services
from ..chat import attachments
from ..chat.attachments import is_picture
from ..chat.branches import ROOT, Tree, TurnVersions, answers_of
from ..chat.choices import AUTO, MODERATE, choice_of
from ..kind_names import name_of
from ..models import ChatMessage, ChatSession, Usage
from ..relay.billing import Rate, amount, charge
from ..relay.router import affordable

# In examples, where the caller's own choice belongs.
_EXAMPLE_MODEL = "doubao-pro"


# --- Models ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ShownOffer:
    """A model one can choose, or one of the ways to have it chosen."""

    value: str
    name: str
    price: str
    sees: bool = False


def offers(user: User, rate: Fraction) -> list[ShownOffer]:
    """The models that chat now, cheapest first, with the price of 1,000 tokens; none when nobody would answer."""
    found = services.offers_now(user, "chat")
    if not found:
        return []
    prices = {
        each.model.name: (charge(each.tariff, amount(input=1000)), charge(each.tariff, amount(output=1000)))
        for each in found
    }
    extras = {each.model.name: [_extra(one, rate) for one in each.rates if not _is_base(one)] for each in found}
    seeing = {each.model.name for each in found if "multimodal" in each.model.capabilities}
    named = [
        ShownOffer(name, name, " · ".join([_price(*prices[name], rate), *extras[name]]), name in seeing)
        for name in sorted(prices, key=lambda n: (sum(prices[n]), n))
    ]
    first, *others = [replace(_automatic(value, name, found, rate), sees=bool(seeing)) for value, name in AUTOMATIC]
    return [first, *named, *others]


# How a model can be chosen for one: the page's own way, and behind the models the others.
AUTOMATIC = (
    (MODERATE, gettext_lazy("Automatic")),
    (f"{AUTO}:cost:2", gettext_lazy("Automatic, thrifty")),
    (f"{AUTO}:balanced", gettext_lazy("Automatic, whatever it costs")),
)


def _automatic(value: str, name: Promise, found: Sequence[services.ModelOffer], rate: Fraction) -> ShownOffer:
    """What 1,000 tokens may cost when a model is chosen, of input or output, before anything is asked."""
    times = choice_of(value).times
    models = {each.name for each in affordable([each.model for each in found], times)} if times else None
    of_those = [each.tariff for each in found if models is None or each.model.name in models]
    costs = [charge(each, used) for each in of_those for used in (amount(input=1000), amount(output=1000))]
    facts = {"least": in_yuan(min(costs), rate), "most": in_yuan(max(costs), rate), "times": times}
    if times is None:
        return ShownOffer(value, str(name), _("¥%(least)s–%(most)s / 1k tokens") % facts)
    text = _("¥%(least)s–%(most)s / 1k tokens: at most %(times)s times the cheapest model")
    return ShownOffer(value, str(name), text % facts)


def example_model(names: Sequence[str]) -> str:
    """One of the models there are, for an example; where there is none, one that comes along."""
    return _EXAMPLE_MODEL if _EXAMPLE_MODEL in names or not names else names[0]


def _price(per_input: int, per_output: int, rate: Fraction) -> str:
    """Quota for 1,000 tokens, in words."""
    facts = {
        "input": grouped(per_input),
        "output": grouped(per_output),
        "yuan_in": in_yuan(per_input, rate),
        "yuan_out": in_yuan(per_output, rate),
    }
    if per_input == per_output:
        return _("%(input)s quota ≈ ¥%(yuan_in)s") % facts
    return _("Input %(input)s ≈ ¥%(yuan_in)s, output %(output)s ≈ ¥%(yuan_out)s") % facts


def _is_base(rate: Rate) -> bool:
    """Whether a price is in the line of input and output already."""
    return rate.kind in ("input", "output") and not rate.from_tokens


def _extra(rate: Rate, yuan_per_quota: Fraction) -> str:
    """Any other price: of 1,000 tokens too, or of as many as it is for."""
    quota = ceil(rate.quota / max(1, rate.per // 1000))
    name, yuan = name_of(rate.kind, rate.variant, rate.from_tokens), in_yuan(quota, yuan_per_quota)
    return _("%(kind)s %(quota)s ≈ ¥%(yuan)s") % {"kind": name, "quota": grouped(quota), "yuan": yuan}


# What the composer says of files that go along.
ATTACHMENTS = {
    "most": attachments.MOST,
    "most_bytes": attachments.MOST_PICTURE_BYTES,
    "shown_bytes": f"{attachments.MOST_PICTURE_BYTES // 1024**2} MB",
}


# --- Conversations ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Group:
    """Conversations of about the same age."""

    label: str
    sessions: list[ChatSession]


def by_age(sessions: Iterable[ChatSession], now: datetime) -> list[Group]:
    """The conversations, in the order given, under "Today", "Yesterday" and so on."""
    today = localdate(now)
    groups: dict[str, list[ChatSession]] = {}
    for session in sessions:
        groups.setdefault(_age(localdate(session.last), today), []).append(session)
    return [Group(label, members) for label, members in groups.items()]


def _age(day: date, today: date) -> str:
    if day >= today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    return _("Last 7 days") if day > today - timedelta(days=7) else _("Earlier")


@dataclass(frozen=True)
class ShownAttachment:
    """A file that went along with a question; `url` shows it for a while."""

    path: str
    name: str
    url: str
    is_picture: bool


@dataclass(frozen=True)
class ShownTurn:
    """One thing that was said. `note` tells what is unusual about an answer; `open` ones are not charged yet, `live`
    ones are being written."""

    id: str
    mine: bool
    text: str
    model: str = ""
    quota: str = ""
    worth: str = ""
    note: str = ""
    open: bool = False
    live: bool = False
    # Of a question: what it follows; whether it only asked to go on, which is not shown.
    parent: str = ""
    continues: bool = False
    # Of an answer: whether it ended early with something to go on from.
    early: bool = False
    # No model gave it; its question can be asked again.
    failed: bool = False
    versions: TurnVersions | None = None
    # Of the form below an answer: pressed twice, it asks once.
    intent: str = field(default_factory=lambda: secrets.token_hex(16))
    attachments: tuple[ShownAttachment, ...] = ()


def turns(tree: Tree, line: Sequence[int], rate: Fraction) -> list[ShownTurn]:
    """The questions of a branch, or of a part of it, and their answers."""
    asked, answers, versions = ChatMessage.objects.in_bulk(line), answers_of(line), tree.versions(line)
    shown = []
    for pk in line:
        others, other_answers = versions.get(pk, (None, None))
        parent = tree.parents[pk]
        before = ROOT if parent is None else tree.ids[parent]
        if pk in asked:
            shown.append(replace(_turn(asked[pk], rate), parent=before, versions=others))
        if pk in answers:
            shown.append(replace(_turn(answers[pk], rate), versions=other_answers))
    return shown


def _turn(message: ChatMessage, rate: Fraction) -> ShownTurn:
    if message.role == ChatMessage.Role.USER:
        shown = tuple(
            ShownAttachment(each["path"], each["name"], page_url(each["path"]), is_picture(each))
            for each in message.attachments
        )
        turn = ShownTurn(message.public_id, mine=True, text=message.content, continues=message.continues)
        return replace(turn, attachments=shown)
    charged = message.quota is not None
    quota, state = message.quota or 0, message.state
    notes = {"writing": _("Still answering"), "stopped": _("Stopped"), "broken": _("Broken off")}
    return ShownTurn(
        message.public_id,
        mine=False,
        text=message.content,
        model=message.model_name,
        quota=grouped(quota) if charged else "",
        worth=in_yuan(quota, rate) if charged else "",
        note=notes.get(state, ""),
        open=not charged,
        live=state == "writing",
        early=state in ("stopped", "broken") and bool(message.content),
        failed=state == "failed",
    )


# --- Usage -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ShownCall:
    """One row of the usage log. `tone` colours the word for how it ended."""

    row: Usage
    operation: str
    input: str
    output: str
    quota: str
    worth: str
    latency: str
    tone: str
    label: str
    note: str


def call(row: Usage, rate: Fraction) -> ShownCall:
    tone, label = {
        Usage.Outcome.OK: ("good", _("Finished")),
        Usage.Outcome.ABANDONED: ("wait", _("Stopped")),
    }.get(Usage.Outcome(row.outcome), ("bad", _("Failed")))
    return ShownCall(
        row=row,
        operation=_operation(row.operation),
        input=grouped(row.input_tokens),
        output=grouped(row.output_tokens),
        quota=grouped(row.quota),
        worth=in_yuan(row.quota, rate),
        latency=f"{row.latency_ms / 1000:.1f} s",
        tone=tone,
        label=label,
        note=_("The tokens are estimated: the provider did not report them.") if row.usage_source == "estimate" else "",
    )


def _operation(name: str) -> str:
    return {
        "chat": _("Chat"),
        "embeddings": _("Embeddings"),
        "images": _("Images"),
        "transcription": _("Speech to text"),
        "speech": _("Text to speech"),
    }.get(name, name)
