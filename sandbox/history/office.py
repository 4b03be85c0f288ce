"""What operators find on their desks: alerts that were told, redemption codes that were handed out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from notifications.events import level_of
from notifications.models import Alert, Channel, Delivery
from notifications.texts import Said, Text, in_our_language, kept
from topup.gateways import GATEWAYS
from topup.models import CodeBatch, RedemptionCode
from topup.models.sections import RechargeSettings
from topup.services.redeeming import make_codes, ref_of
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

from . import MARK
from .calendar import Calendar
from .ledger import Ledger, Line

_CODE_QUOTA = 1_000_000

_PRICE = RechargeSettings._meta.get_field("price").verbose_name


@dataclass(frozen=True)
class _ToldAlert:
    """In the product's own sentences. It was resolved after so many hours, if at all."""

    days_ago: float
    event: str
    title: Text
    content: Said
    hours: float | None
    by: str = "admin"


_ALERTS: Sequence[_ToldAlert] = (
    _ToldAlert(
        26.31,
        "settings_changed",
        Text(
            "%(user)s changed %(what)s: %(fields)s",
            user="admin",
            what=RechargeSettings._meta.verbose_name,
            fields=[_PRICE],
        ),
        Text("%(label)s: %(old)s → %(new)s", label=_PRICE, old="7.2", new="7.3"),
        hours=2,
    ),
    _ToldAlert(
        19.73,
        "gateway_unreachable",
        Text("%(gateway)s does not answer", gateway=GATEWAYS["alipay"].label),
        Text("The last calls came to nothing: see the log of gateway calls."),
        hours=1,
        by="VoiceHelper",
    ),
    _ToldAlert(
        14.12,
        "provider_circuit_open",
        Text("%(account)s keeps failing", account="方舟"),
        Text(
            "For %(model)s it is asked last for a while. The last error: %(error)s",
            model="doubao-pro",
            error="HTTP 503",
        ),
        hours=5,
    ),
    _ToldAlert(
        11.46,
        "refund_failed",
        Text("Order %(order)s: a refund of ¥%(yuan)s failed", order="2026DEMO0001", yuan="50.00"),
        ["USER_ACCOUNT_ABNORMAL", Text("Nothing was given back, and the user has the quota again.")],
        hours=3,
    ),
    _ToldAlert(
        6.125,
        "forged_notice",
        Text("A notice with a wrong signature"),
        Text(
            "From %(source)s, for order %(order)s: %(problem)s",
            source="198.51.100.7",
            order="-",
            problem=Text("The notice is not signed with our API key."),
        ),
        hours=8,
    ),
    _ToldAlert(
        4.07,
        "late_payment",
        Text("Order %(order)s was paid after it was closed", order="2026DEMO0002"),
        Text("%(quota)s quota were credited to %(user)s.", quota="500,000", user="demo"),
        hours=20,
    ),
    _ToldAlert(
        1.29,
        "manual_completion",
        Text("Order %(order)s was completed by hand, without proof of payment", order="2026DEMO0003"),
        Text(
            "%(who)s credited %(quota)s quota to %(user)s for ¥%(yuan)s: %(reason)s",
            who="admin",
            quota="500,000",
            user="demo",
            yuan="7.30",
            reason=MARK,
        ),
        hours=None,
        by="",
    ),
)


def save_alerts(calendar: Calendar) -> None:
    """A month of them, told through the robot where there is one."""
    for number, told in enumerate(_ALERTS):
        at = calendar.ago(days=told.days_ago)
        texts = {"title": kept(told.title), "content": [*kept(told.content), MARK]}
        Alert.objects.create(
            event=told.event,
            level=level_of(told.event),
            title=in_our_language(texts["title"]),
            content=in_our_language(texts["content"]),
            texts=texts,
            key=f"demo-history:{number}",
            created=at,
            last=at,
            resolved_at=None if told.hours is None else at + timedelta(hours=told.hours),
            resolved_by=told.by,
            told=1,
            tell_at=at,
        )
    channel = Channel.objects.filter(kind="dingtalk").first()
    facts = {"channel": channel, "state": Delivery.State.SENT, "count": 1, "tries": 1, "next_try_at": None}
    for alert in Alert.objects.filter(deliveries=None, told=1).order_by("created") if channel else ():
        Delivery.objects.create(alert=alert, created=alert.created, sent_at=alert.created, outcome="ok", **facts)


def make_batches(calendar: Calendar, ledger: Ledger, customers: Sequence[User]) -> None:
    """Cards of which some are redeemed; and a batch that was revoked."""
    batch = CodeBatch(name=f"{MARK} · 新年卡", quota=_CODE_QUOTA, count=20, created=calendar.ago(days=25))
    codes = list(make_codes(batch, by="admin").codes.order_by("pk")[:7])
    for number, code in enumerate(codes):
        user = customers[number % len(customers)]
        code.redeemed_by, code.redeemed_at = user, calendar.ago(days=21 - 2 * number, minutes=7 * number)
        line = Line(code.redeemed_at, ref_of(code), Entry.Kind.GIFT, _CODE_QUOTA, user.username)
        ledger.note(user, line)
    RedemptionCode.objects.bulk_update(codes, ["redeemed_by", "redeemed_at"])
    lost = CodeBatch(name=f"{MARK} · 遗失", quota=_CODE_QUOTA, count=5, created=calendar.ago(days=18))
    lost.revoked_at = calendar.ago(days=17)
    make_codes(lost, by="admin")
