"""Celery's beat and worker in one process, for whoever kills it: the product's tasks, again and again."""

import logging
import time

from django.db import close_old_connections

from topup import tasks

log = logging.getLogger(__name__)
EVERY_S = 0.5


def work() -> None:
    """Never ends."""
    while True:
        for task in (tasks.close_expired_orders, tasks.settle_unknown_refunds):
            close_old_connections()
            try:
                task()
            except Exception:
                log.exception("%s failed", task.name)
        time.sleep(EVERY_S)
