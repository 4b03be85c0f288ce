"""The jobs page: how each job of the schedule ran, whether it runs, when it does again, and running it now."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app, shared_task
from django.conf import settings as all_settings
from django.contrib.admin.models import LogEntry
from django.test import Client

from notifications.job_list import JobLine, lines, standstill
from notifications.job_names import name_of
from notifications.job_runs import noted
from notifications.models import JobRun
from notifications.tasks import check_room
from tests.operators import browser_of, clerk
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

PAGE = "/admin/notifications/jobrun/"
RUN = f"{PAGE}check_room/run/"


@shared_task(name="tests.fails")
def fails() -> None:
    raise ValueError("The bill is not there.\nA second line that nobody needs.")


@pytest.fixture
def failing(settings: Any) -> Iterator[None]:
    settings.CELERY_BEAT_SCHEDULE = settings.CELERY_BEAT_SCHEDULE | {"fails": {"task": "tests.fails", "schedule": 60}}
    yield
    current_app.tasks.pop("tests.fails", None)


def line(name: str = "check_room") -> JobLine:
    return next(line for line in lines() if line.name == name)


def test_every_job_of_the_schedule_has_a_name_and_says_what_it_is_for() -> None:
    for name in all_settings.CELERY_BEAT_SCHEDULE:
        assert str(name_of(name).title) != name
        assert str(name_of(name).purpose).endswith((".", "。"))


def test_a_job_that_never_ran_says_so_and_afterwards_how_it_ended(browser: Client, failing: None) -> None:
    before = browser.get(PAGE).text
    assert before.count("Has not run yet") == len(all_settings.CELERY_BEAT_SCHEDULE)
    check_room.apply()
    fails.apply()
    shown = browser.get(PAGE).text
    assert shown.count("Has not run yet") == len(all_settings.CELERY_BEAT_SCHEDULE) - 2
    assert "Succeeded" in shown
    assert "ValueError: The bill is not there.<" in shown
    assert "nobody needs" not in shown
    well = line()
    assert (well.running, well.run and well.run.error) == (False, "")
    assert well.run is not None
    assert well.run.started is not None
    assert timedelta() <= well.next_at - well.run.started <= timedelta(seconds=61)
    chinese = browser_of(User.objects.get(), "zh-hans").get(PAGE).text
    assert "尚未运行过" in chinese


def test_a_call_that_is_no_run_of_the_schedule_notes_nothing() -> None:
    check_room()
    assert not JobRun.objects.exists()


def test_the_end_of_an_earlier_run_hides_no_later_one() -> None:
    task = check_room.name
    earlier, later = noted(task, {}, "first"), noted(task, {}, "second")
    earlier.__enter__()
    later.__enter__()
    earlier.__exit__(None, None, None)
    assert line().running
    later.__exit__(None, None, None)
    assert not line().running


def test_run_now_is_queued_once_logged_and_refused_while_it_runs(browser: Client, staff: User) -> None:
    assert "Look for room is in the queue." in browser.post(RUN, follow=True).text
    assert "Somebody has asked for it already." in browser.post(RUN, follow=True).text
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (staff, "check_room", "Run now")
    with noted(check_room.name, {}, "a run"):
        assert "It runs just now." in browser.post(RUN, follow=True).text
        assert "Running" in browser.get(PAGE).text
    assert "is in the queue" in browser.post(RUN, follow=True).text
    assert LogEntry.objects.count() == 2


def test_a_run_that_was_killed_is_shown_and_keeps_nobody_from_running_it(browser: Client) -> None:
    JobRun.objects.create(name="check_room", running=clock.now() - timedelta(minutes=30), running_id="gone")
    assert "Killed" in browser.get(PAGE).text
    assert "is in the queue" in browser.post(RUN, follow=True).text


def test_only_who_may_change_jobs_runs_one(browser: Client) -> None:
    reader = browser_of(clerk("view_jobrun"))
    assert "/run/" not in reader.get(PAGE).text
    assert reader.post(RUN).status_code == 403
    assert browser_of(clerk("view_alert", name="other")).get(PAGE).status_code == 403
    assert browser.get(RUN).status_code == 405
    assert browser.post(f"{PAGE}nothing/run/").status_code == 404
    assert not LogEntry.objects.exists()


def test_a_late_job_stands_first_and_on_the_front_page(browser: Client) -> None:
    JobRun.objects.create(name="reap_holds", succeeded=clock.now() - timedelta(hours=3))
    assert lines()[0].name == "reap_holds"
    assert "no success since" in browser.get(PAGE).text
    assert "Scheduled jobs that are late" in browser.get("/admin/").text


def test_the_page_warns_while_nothing_begins_and_not_otherwise() -> None:
    stands = standstill(lines())
    assert stands is not None
    assert str(stands.title) in {"No worker runs", "没有运行中的 worker", "Beat does not run", "beat 未运行"}
    check_room.apply()
    assert standstill(lines()) is None
