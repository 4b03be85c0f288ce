"""What operators find on their desks: alerts that were told, redemption codes that were handed out."""

from collections.abc import Sequence
from datetime import timedelta

from notifications.events import level_of
from notifications.models import Alert, Channel, Delivery
from topup.models import CodeBatch, RedemptionCode
from topup.services.redeeming import make_codes, ref_of
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

from . import MARK
from .calendar import Calendar
from .ledger import Ledger, Line

_CODE_QUOTA = 1_000_000

# Days ago, event, title, content, and after how many hours it was resolved (None: it is open) and by whom.
_ALERTS: Sequence[tuple[float, str, str, str, float | None, str]] = (
    (26.31, "settings_changed", "admin changed recharge settings: price", "price: 7.2 → 7.3", 2, "admin"),
    (19.73, "gateway_unreachable", "alipay does not answer", "Five calls had no answer.", 1, "VoiceHelper"),
    (14.12, "provider_circuit_open", "ark keeps failing", "For doubao-pro it is asked last for a while.", 5, "admin"),
    (11.46, "refund_failed", "A refund failed", "USER_ACCOUNT_ABNORMAL: the user has the quota again.", 3, "admin"),
    (6.125, "forged_notice", "Forged notices for wechat", "From 198.51.100.7; nothing was credited.", 8, "admin"),
    (4.07, "late_payment", "An order was paid after it was closed", "It was credited.", 20, "admin"),
    (1.29, "manual_completion", "An order was completed by hand", "By admin, without proof of payment.", None, ""),
)


def save_alerts(calendar: Calendar) -> None:
    """A month of them, told through the robot where there is one."""
    for number, (days, event, title, content, hours, by) in enumerate(_ALERTS):
        at = calendar.ago(days=days)
        Alert.objects.create(
            event=event,
            level=level_of(event),
            title=title,
            content=f"{content}\n{MARK}",
            key=f"demo-history:{number}",
            created=at,
            last=at,
            resolved_at=None if hours is None else at + timedelta(hours=hours),
            resolved_by=by,
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
