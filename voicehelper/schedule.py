"""What Celery's beat does when: seconds, or Beijing time."""

from typing import Any

from celery.schedules import crontab


def _every(task: str, seconds: int) -> dict[str, Any]:
    """One that was not taken before the next is due is dropped."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


def _daily(task: str, hour: int, minute: int, **kwargs: bool) -> dict[str, Any]:
    return {"task": task, "schedule": crontab(hour=hour, minute=minute), "kwargs": kwargs}


TASKS: dict[str, dict[str, Any]] = {
    "close_expired_orders": _every("topup.tasks.close_expired_orders", 15),
    "deliver_alerts": _every("notifications.tasks.deliver_alerts", 5),
    "check_room": _every("notifications.tasks.check_room", 60),
    "deliver_mails": _every("notifications.tasks.deliver_mails", 5),
    "settle_unknown_refunds": _every("topup.tasks.settle_unknown_refunds", 15),
    # Bills are made until ten. A day that is done is not asked for again; the later beats are for those that are not.
    "reconcile": {
        "task": "topup.tasks.reconcile",
        "schedule": crontab(hour="10-23", minute=30),
        "options": {"expires": 1800},
    },
    "audit": _every("voicehelper.wallet.tasks.audit", 300),
    "audit_in_full": _daily("voicehelper.wallet.tasks.audit", 3, 30, full=True),
    "warn_of_expiry": _daily("topup.tasks.warn_of_expiry", 9, 0),
    # WeChat Pay wants to be asked more often than every twelve hours.
    "refresh_certificates": {
        "task": "topup.tasks.refresh_certificates",
        "schedule": crontab(hour="3,13,23", minute=15),
        "options": {"expires": 3600},
    },
    "forget_rejected_notices": _daily("topup.tasks.forget_rejected_notices", 4, 0),
    "forget_old_mails": _daily("notifications.tasks.forget_old_mails", 4, 20),
    "forget_expired_responses": _daily("llm.tasks.forget_expired_responses", 4, 10),
    "delete_accounts": _every("voicehelper.accounts.tasks.delete_accounts", 300),
    "forget_ended_sessions": _daily("voicehelper.accounts.tasks.forget_ended_sessions", 4, 30),
    # A month that was begun and not ended is gone on with by the next.
    "archive_logs": {
        "task": "storage_backends.tasks.archive_logs",
        "schedule": crontab(hour="1,2,5,6", minute=40),
        "options": {"expires": 3600},
    },
    "sweep_exports": _every("storage_backends.tasks.sweep_exports", 60),
    "sweep_files": _every("storage_backends.tasks.sweep_files", 300),
    "reap_holds": _every("voicehelper.wallet.tasks.reap_holds", 60),
    "add_up_days": _every("voicehelper.wallet.tasks.add_up_days", 60),
    "tell_of_low_balances": _every("voicehelper.accounts.tasks.tell_of_low_balances", 60),
    "rotate_secrets": _every("voicehelper.accounts.tasks.rotate_secrets", 60),
    "arrange_old_messages": _every("llm.tasks.arrange_old_messages", 60),
    "settle_orphaned_answers": _every("llm.tasks.settle_orphaned_answers", 60),
}
SANDBOX_TASKS = {"sandbox_deliver": _every("sandbox.tasks.deliver", 5)}
