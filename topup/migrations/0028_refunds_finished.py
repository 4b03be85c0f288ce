"""Refunds that ended lately are found by when they did. Nobody waits while the index is built."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS refund_finished"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("topup", "0027_redeemed_lately")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "refund",
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="refund_finished"),
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
