"""Codes that were redeemed lately are found by when they were. Nobody waits while the index is built."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS code_redeemed"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("topup", "0026_calls_by_account")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "redemptioncode",
            models.Index(fields=["redeemed_at"], condition=Q(redeemed_at__isnull=False), name="code_redeemed"),
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
