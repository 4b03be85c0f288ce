"""Scheduled work on the ledger."""

from celery import shared_task
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text

from . import adding_up, services
from . import audit as audits


@shared_task
def audit(full: bool = False) -> int:
    """Check the books; tell the operators when they do not agree. Returns the number of findings."""
    run = audits.run(full=full)
    if run.findings:
        raise_alert(
            "audit_failed",
            level="critical",
            title=Text(gettext_noop("The books do not agree")),
            content="\n".join(run.findings[:20]),
            key=f"audit:{run.findings[0]}",
            about=run,
        )
    return len(run.findings)


@shared_task
def reap_holds() -> int:
    """Give back quota that was set aside and never used."""
    return services.reap_holds()


@shared_task
def add_up_days() -> int:
    """Add what is new to the sums of days that statements and statistics read."""
    return adding_up.add_everything_up()
