"""Finished months of logs go into files, and only then from their tables; what is unfinished stays, and sums do too."""

import dataclasses
import gzip
import itertools
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from llm import upstream_bills
from llm import usage as calls
from llm.models import ChatMessage, ChatSession, SafetyVerdict, Usage, UsageSum
from notifications.models import Alert
from storage_backends import archiving, tasks
from storage_backends.models import Archive, Retention
from tests.conftest import full
from tests.crashpoints import forge
from tests.orders import pending_order
from tests.processes import environment
from topup.models import GatewayCall, Notice, Order
from topup.tasks import forget_rejected_notices
from voicehelper import clock, retention
from voicehelper.accounts.models import User
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Entry

pytestmark = pytest.mark.django_db
MONTHS = 6
ARCHIVE = "storage_backends.tasks:archive_logs"
BEIJING = ZoneInfo("Asia/Shanghai")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "BATCH", 3)


_numbers = itertools.count(1)


def months_ago(months: int, *, day: int = 15, hour: int = 12) -> datetime:
    first = clock.month_later(clock.today(), -months)
    return datetime(first.year, first.month, day, hour, tzinfo=BEIJING)


def used(user: User, moment: datetime, *, quota: int = 10, charged: bool = True, **facts: Any) -> Usage:
    """A call, and its charge, at a moment."""
    number = next(_numbers)
    usage = Usage.objects.create(
        **{
            "request_id": f"req_{number}",
            "user": user,
            "model_name": "doubao-pro",
            "provider": "ark",
            "operation": "chat",
            "input_tokens": 5,
            "output_tokens": 7,
            "quota": quota,
            "usage_source": "provider",
            "outcome": "ok",
            "created": moment,
            **facts,
        }
    )
    if charged:
        services.hold(user, quota, ref=usage.request_id, life=timedelta(minutes=5))
        services.capture(usage.request_id, quota, kind=Entry.Kind.SPEND, actor="llm")
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE wallet_entry SET created = %s WHERE ref = %s", [moment, usage.request_id])
            cursor.execute("SET session_replication_role = origin")
    return usage


def called(moment: datetime, order_no: str = "") -> GatewayCall:
    facts = {"gateway": "wechat", "operation": "query", "outcome": "ok", "elapsed_ms": 7}
    return GatewayCall.objects.create(**facts, order_no=order_no, request="<a>", response='"\\n', created=moment)


def keep(months: int | None = MONTHS) -> None:
    for growing in retention.every_log():
        Retention.objects.update_or_create(log=growing.name, defaults={"months": months, "busy_until": None})


def content_of(archive: Archive) -> list[dict[str, Any]]:
    packed = b"".join(archiving.bytes_of(archive))
    return [json.loads(line) for line in gzip.decompress(packed).splitlines()]


@pytest.fixture
def spender(buyer: User) -> User:
    services.credit(buyer, 1_000_000, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    return buyer


# --- What goes and what stays ----------------------------------------------------------------------------------------
def test_a_month_goes_when_so_many_have_passed_since_its_end(db: None) -> None:
    keep()
    old = [called(months_ago(MONTHS + 1, day=day)) for day in (1, 9, 28)]
    older = called(months_ago(MONTHS + 3))
    kept = [called(months_ago(MONTHS, day=1, hour=0)), called(clock.now())]
    assert tasks.archive_logs() == 4
    assert list(GatewayCall.objects.order_by("pk")) == kept
    first, second = Archive.objects.order_by("month")
    assert [row["id"] for row in content_of(first)] == [older.pk]
    assert [row["id"] for row in content_of(second)] == [row.pk for row in old]
    assert content_of(second)[0]["response"] == '"\\n'
    assert (second.state, second.rows, second.deleted, second.month) == (
        "done",
        3,
        3,
        months_ago(MONTHS + 1, day=1).date(),
    )
    assert second.size == len(b"".join(archiving.bytes_of(second)))
    assert tasks.archive_logs() == 0


def test_old_verdicts_of_the_content_filter_go_too(buyer: User) -> None:
    keep()
    facts = {"user": buyer, "direction": "question", "source": "words", "rule": "plum", "outcome": "refused"}
    SafetyVerdict.objects.create(request_id="old", created=months_ago(MONTHS + 1), **facts)
    kept = SafetyVerdict.objects.create(request_id="new", **facts)
    assert tasks.archive_logs() == 1
    assert SafetyVerdict.objects.get() == kept
    (line,) = content_of(Archive.objects.get())
    assert (line["request_id"], line["rule"]) == ("old", "plum")


def test_what_is_kept_for_ever_is_never_archived(db: None) -> None:
    keep(None)
    called(months_ago(60))
    assert tasks.archive_logs() == 0
    assert GatewayCall.objects.exists()


def test_nothing_younger_than_the_law_says_goes_whatever_the_row_says(db: None) -> None:
    keep(1)
    called(months_ago(6))
    assert tasks.archive_logs() == 0


def test_what_belongs_to_an_unsettled_order_stays_until_it_is_settled(buyer: User, wechat: Any) -> None:
    keep()
    order = pending_order(buyer, wechat)
    called(months_ago(9), order.order_no)
    Notice.objects.create(gateway="wechat", order=order, verdict="ignored", received=months_ago(9), body="<xml>")
    assert tasks.archive_logs() == 0
    Order.objects.update(state=Order.State.CLOSED)
    assert tasks.archive_logs() == 2
    assert not GatewayCall.objects.exists()
    assert not Notice.objects.exists()


def test_a_notice_that_somebody_has_to_look_at_stays_and_so_does_what_a_replay_repeats(db: None) -> None:
    keep()
    facts = {"gateway": "wechat", "body": "<xml>"}
    waiting = Notice.objects.create(**facts, verdict="unknown_order", received=months_ago(9))
    original = Notice.objects.create(**facts, verdict="ignored", received=months_ago(9))
    replay = Notice.objects.create(**facts, verdict="ignored", received=clock.now(), replay_of=original)
    gone = Notice.objects.create(**facts, verdict="ignored", received=months_ago(9))
    assert tasks.archive_logs() == 1
    assert set(Notice.objects.all()) == {waiting, original, replay}
    Notice.objects.filter(pk=replay.pk).delete()
    assert tasks.archive_logs() == 1
    assert [archive.part for archive in Archive.objects.order_by("part")] == [1, 2]
    assert [row["id"] for archive in Archive.objects.order_by("part") for row in content_of(archive)] == [
        gone.pk,
        original.pk,
    ]


def test_a_call_whose_answer_is_not_told_its_price_yet_stays(spender: User) -> None:
    keep()
    usage = used(spender, months_ago(9))
    session = ChatSession.objects.create(user=spender, public_id="chat_1")
    ChatMessage.objects.create(
        public_id="msg_1", session=session, role="assistant", content="", request_id=usage.request_id, quota=None
    )
    assert tasks.archive_logs() == 0
    ChatMessage.objects.update(quota=10)
    assert tasks.archive_logs() == 1


# --- Sums ------------------------------------------------------------------------------------------------------------
def figures(user: User) -> Any:
    day = months_ago(8).date()
    zones = [ZoneInfo(name) for name in ("UTC", "Asia/Shanghai", "America/Los_Angeles")]
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (
        list(calls.summary_of(user, 366)),
        calls.spent_between(user.pk, None, None),
        calls.spent_between(user.pk, start, start),
        [upstream_bills.captured("ark", day, zone) for zone in zones],
    )


def test_no_sum_changes_when_rows_go(spender: User, other_user: User, books_agree: Callable[[], None]) -> None:
    services.credit(other_user, 1_000, kind=Entry.Kind.GIFT, ref="another gift", actor="test")
    keep()
    for hour in (0, 7, 8, 23):
        used(spender, months_ago(8, hour=hour), quota=100 + hour)
        used(spender, months_ago(8, hour=hour) + timedelta(minutes=59), quota=3, outcome="failed", cost=2)
    used(other_user, months_ago(8), quota=50)
    used(spender, clock.now(), quota=5)
    before = figures(spender), figures(other_user)
    assert audit.run(full=True).findings == []
    assert tasks.archive_logs() == 9
    assert Usage.objects.count() == 1
    assert (figures(spender), figures(other_user)) == before
    assert audit.run(full=True).findings == audit.run(full=False).findings == []
    assert sum(row.calls for row in UsageSum.objects.all()) == 9


def test_the_audit_finds_sums_that_are_not_what_was_charged(spender: User) -> None:
    keep()
    used(spender, months_ago(8), quota=100)
    assert tasks.archive_logs() == 1
    UsageSum.objects.update(quota=99)
    assert "100 were charged by calls whose rows are gone, their sums say 99" in audit.run(full=True).findings[0]


# --- When something goes wrong ---------------------------------------------------------------------------------------
def test_a_file_that_cannot_be_read_back_costs_no_row_and_is_told(db: None, files_dir: Any) -> None:
    keep()
    for _number in range(4):
        called(months_ago(9))
    archive = archiving._begin(retention.log_named("topup.gatewaycall"), months_ago(9, day=1).date())  # type: ignore[arg-type]
    growing = retention.log_named("topup.gatewaycall")
    assert growing
    assert archiving._write(growing, archive)
    (files_dir / archive.key).write_bytes(b"something else")
    with pytest.raises(RuntimeError, match="is not what was written there"):
        tasks.archive_logs()
    assert GatewayCall.objects.count() == 4
    alert = Alert.objects.get()
    assert (alert.event, alert.key) == ("archiving_failed", "archiving:topup.gatewaycall")
    assert tasks.archive_logs() == 4
    alert.refresh_from_db()
    assert alert.resolved_at
    assert [path.name for path in (files_dir / "archive").rglob("*.gz")] == [Archive.objects.get().key.split("/")[-1]]


def test_one_log_that_fails_does_not_keep_the_others(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    called(months_ago(9))
    monkeypatch.setattr("llm.retention.LOGS", ())

    def fails(growing: Any, **_limits: Any) -> int:
        if growing.name == "topup.notice":
            raise OSError("No space left on device")
        return archive(growing, **_limits)

    archive = archiving.archive
    monkeypatch.setattr(archiving, "archive", fails)
    with pytest.raises(RuntimeError, match="No space left"):
        tasks.archive_logs()
    assert not GatewayCall.objects.exists()


def test_a_run_that_breaks_off_between_two_batches_goes_on_where_it_was(
    spender: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep()
    for number in range(1, 8):
        used(spender, months_ago(9), quota=number)
    growing = retention.log_named("llm.usage")
    assert growing
    sizes: list[int] = []

    def breaks_off(ids: Any) -> int:
        sizes.append(len(ids))
        if len(sizes) == 2:
            raise OSError("gone")
        return growing.delete(ids)

    with pytest.raises(OSError, match="gone"):
        archiving.archive(dataclasses.replace(growing, delete=breaks_off), within=timedelta(hours=1))
    assert (Usage.objects.count(), Archive.objects.get().deleted) == (4, 3)
    assert calls.spent_between(spender.pk, None, None) == 28
    assert tasks.archive_logs() == 4
    assert (Archive.objects.get().state, Archive.objects.get().deleted) == ("done", 7)
    assert calls.spent_between(spender.pk, None, None) == 28
    assert audit.run(full=True).findings == []


def test_two_at_once_archive_a_month_once(db: None) -> None:
    keep()
    called(months_ago(9))
    growing = retention.log_named("topup.gatewaycall")
    assert growing
    with archiving._lease(growing):
        assert tasks.archive_logs() == 0
    assert tasks.archive_logs() == 1


@pytest.mark.rare
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_killed_at_any_line_it_goes_on_and_no_row_is_lost_or_added_up_twice(spender: User, files_dir: Any) -> None:
    keep()
    variables = environment("http://127.0.0.1:1") | {"FILES_DIR": str(files_dir)}
    with forge(variables, []) as the_forge:
        # The first run has to make more rows.
        for _run in range(2):
            used(spender, months_ago(9), charged=False)
            lines = the_forge.call(ARCHIVE, {}).lines
        assert lines > 200
        for line in range(1, lines, full(1, 17)):
            for rows in (Archive, UsageSum):
                rows.objects.all().delete()
            shutil.rmtree(files_dir / "archive")
            wanted = [used(spender, months_ago(9), quota=number, charged=False).pk for number in (1, 2, 3, 4)]
            if not the_forge.call(ARCHIVE, {}, kill_at=line).where:
                assert line > lines - 50
                break
            Retention.objects.update(busy_until=None)
            tasks.archive_logs()
            assert not Usage.objects.exists()
            assert calls.spent_between(spender.pk, None, None) == 10
            archives = list(Archive.objects.all())
            assert [row["id"] for archive in archives for row in content_of(archive)] == wanted
            assert {f"{path.relative_to(files_dir)}" for path in files_dir.rglob("*.gz")} == {
                archive.key for archive in archives
            }


def test_rejected_notices_are_forgotten_however_many(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topup.tasks.FORGET_AT_ONCE", 2)
    for age in (1, 31, 32, 33):
        received = clock.now() - timedelta(days=age)
        Notice.objects.create(gateway="wechat", verdict="forged", body="x", received=received)
    assert forget_rejected_notices() == 3
    assert Notice.objects.count() == 1


def test_months_are_beijings() -> None:
    assert retention.month_of(datetime(2026, 10, 31, 16, tzinfo=UTC)) == date(2026, 11, 1)
    assert clock.month_later(date(2026, 11, 1), -23) == date(2024, 12, 1)
    assert retention.kept_since(6, date(2026, 11, 30)) == date(2026, 5, 1)
