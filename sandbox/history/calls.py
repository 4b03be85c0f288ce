"""Calls of models: usage rows, each with the entry that paid for it; and a conversation to read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from llm.models import ChatMessage, ChatSession, Model, Usage
from llm.relay.billing import NOTHING, Amount, amount, charge, tariff
from llm.relay.snapshot import pricing, spec_of
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

from . import MARK
from .calendar import Calendar
from .ledger import Ledger, Line

_MODELS = {"doubao-pro": 30, "doubao-lite": 24, "gpt-4": 12, "gpt-3.5-turbo": 18, "claude-3-sonnet": 12, "whisper-1": 4}
_OUTCOMES, _OUTCOME_WEIGHTS = ["ok", "abandoned", "failed"], [94, 3, 3]
# One quota a token out and three for four tokens in: what pays any rest to the last quota.
_CENTS = "gpt-3.5-turbo"
_TALK = [
    ("用一句话介绍你自己。", "我是这个演示里的语音助手，可以聊天、写代码，也可以把录音变成文字。"),
    ("What does a recharge cost?", "The page says it before you pay: amount × price, and a discount for 100 units."),
]


@dataclass
class Calls:
    """The calls made so far. `pricing` is the operator's, and what a call costs is what billing.py says."""

    calendar: Calendar
    ledger: Ledger
    rows: list[Usage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._models = {model.name: model for model in Model.objects.filter(name__in=_MODELS)}
        self._pricing = pricing()

    def make(self, customers: Sequence[User]) -> None:
        """A month of them, and a lively last hour."""
        chance = self.calendar.chance
        budgets = {user.pk: self.ledger.budget(user) for user in customers}
        moments = [
            moment
            for number, day in enumerate(self.calendar.days)
            for moment in self.calendar.moments(day, 20 + number + chance.randrange(10))
        ]
        moments += [self.calendar.ago(seconds=chance.randrange(150, 3500)) for _ in range(24)]
        for moment in sorted(moments):
            user = chance.choice(customers)
            row = self._draw(user, moment)
            if row.quota <= 0 or budgets[user.pk].spend(row.quota, moment):
                self._note(user, row)

    def spend_all(self, user: User, since: datetime) -> None:
        """Calls that use up to the last quota what the user has, from `since` on."""
        chance, left = self.calendar.chance, self.ledger.budget(user).left(self.calendar.now)
        drawn: list[Usage] = []
        while left > 0:
            row = self._draw(user, since)
            if row.quota > left - 3000:
                # So that what remains is nothing, or more than the 300 that 400 tokens in cost.
                some = left if left <= 3300 else chance.randrange(900, 3000)
                row = self._of(user, since, _CENTS, amount(input=400, output=some - 300))
            drawn.append(row)
            left -= row.quota
        chance.shuffle(drawn)
        for row, moment in zip(drawn, self._spread(len(drawn), since), strict=True):
            row.created = moment
            self._note(user, row)

    def _spread(self, count: int, since: datetime) -> list[datetime]:
        days = self.calendar.days
        found = [each for day in days for each in self.calendar.moments(day, 2 * count // len(days) + 2)]
        return sorted(self.calendar.chance.sample([each for each in found if each > since], count))

    def _draw(self, user: User, at: datetime) -> Usage:
        chance = self.calendar.chance
        name = chance.choices(list(_MODELS), list(_MODELS.values()))[0]
        used = amount(input=chance.randrange(80, 2400), output=chance.randrange(40, 900))
        if self._models[name].measure == Model.Measure.SECOND:
            used = amount(second=chance.randrange(5, 60))
        return self._of(user, at, name, used, chance.choices(_OUTCOMES, _OUTCOME_WEIGHTS)[0])

    def _of(self, user: User, at: datetime, name: str, used: Amount, outcome: str = "ok") -> Usage:
        chance, model = self.calendar.chance, self._models[name]
        failed = outcome == "failed"
        latency_ms = int(model.latency_ms * chance.lognormvariate(0.9, 0.45))
        used = NOTHING if failed else used
        return Usage(
            request_id=f"req_demo{chance.getrandbits(80):020x}",
            user=user,
            model_name=name,
            asked_model=name,
            provider=model.provider,
            operation="transcription" if model.measure == Model.Measure.SECOND else "chat",
            input_tokens=used.input,
            output_tokens=used.output,
            quota=charge(tariff(spec_of(vars(model)), self._pricing, user.group), used),
            usage_source=Usage.Source.NONE if failed else Usage.Source.PROVIDER,
            outcome=outcome,
            latency_ms=latency_ms,
            first_token_ms=None if failed else latency_ms // 4,
            streamed=not failed and chance.random() < 0.8,
            error=f"503: {MARK}" if failed else "",
            created=at,
        )

    def _note(self, user: User, row: Usage) -> None:
        self.rows.append(row)
        if row.quota:
            line = Line(row.created, row.request_id, Entry.Kind.SPEND, -row.quota, user.username, row.model_name)
            self.ledger.note(user, line)

    def save(self) -> None:
        Usage.objects.bulk_create(sorted(self.rows, key=lambda row: row.created))

    def talk(self, user: User) -> None:
        """A conversation whose answers cost what calls of the user's did."""
        paid = [row for row in self.rows if row.user == user and row.model_name == "doubao-pro" and row.quota]
        last = paid[-1].created
        session = ChatSession.objects.create(
            public_id="chat_demo_history", user=user, title=MARK, model_name="doubao-pro", created=last, last=last
        )
        for number, ((question, answer), row) in enumerate(zip(_TALK, paid[-len(_TALK) :], strict=True)):
            facts = {"session": session, "created": row.created}
            asked = ChatMessage.objects.create(
                public_id=f"msg_demo_{number}q", role=ChatMessage.Role.USER, content=question, **facts
            )
            ChatMessage.objects.create(
                public_id=f"msg_demo_{number}a",
                role=ChatMessage.Role.ASSISTANT,
                question=asked,
                content=answer,
                request_id=row.request_id,
                model_name=row.model_name,
                quota=row.quota,
                **facts,
            )
