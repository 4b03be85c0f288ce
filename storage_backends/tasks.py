"""Scheduled work on files, and on what goes into them."""

from datetime import timedelta

from celery import shared_task
from django.utils.translation import gettext_noop

from notifications.services import raise_alert, resolve_passed
from notifications.texts import Text
from voicehelper import retention

from . import archiving, exporting, sweeping

# Of each log, in one run.
ARCHIVE_WITHIN = timedelta(hours=1)


@shared_task
def sweep_files() -> int:
    """Finish what crashes left, and compare a piece of each bucket with its rows. Returns how many were cleared."""
    return sweeping.sweep()


# Somebody may have many files.
@shared_task(time_limit=3600)
def write_export(export_id: int) -> None:
    """Write the copy of their data that a user asked for."""
    exporting.write(export_id)


@shared_task(time_limit=3600)
def sweep_exports() -> int:
    """Begin copies that nobody is writing, and delete those whose time is over. Returns how many."""
    return exporting.sweep_exports()


# A first run may find years.
@shared_task(time_limit=6 * 3600)
def archive_logs() -> int:
    """Write finished months of logs into files and delete their rows. Returns how many; fails when a log could not be,
    after all the others were."""
    deleted, failures = 0, list[str]()
    for growing in retention.every_log():
        key = f"archiving:{growing.name}"
        try:
            deleted += archiving.archive(growing, within=ARCHIVE_WITHIN)
        except archiving.LogBusy:
            continue
        except Exception as error:  # noqa: BLE001  # the other logs are archived all the same
            failures.append(archiving.failed(growing, error))
            title = Text(gettext_noop("%(log)s is not archived"), log=growing.name)
            raise_alert("archiving_failed", title=title, content=failures[-1], key=key)
            archiving.log.exception("Archiving %s failed", growing.name)
        else:
            resolve_passed(key)
    if failures:
        raise RuntimeError("; ".join(failures))
    return deleted
