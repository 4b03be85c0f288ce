"""Celery's application: the tasks of every app, the schedule of settings.CELERY_BEAT_SCHEDULE.

Celery makes things timely; it holds no truth. What a lost task would have done, the next sweep finds in the database.
"""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")

app = Celery("voicehelper", task_cls="notifications.jobs:Job")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def leave_logging_alone(**_more: object) -> None:
    """settings.LOGGING is in force already; without a receiver Celery puts its own in its place."""
