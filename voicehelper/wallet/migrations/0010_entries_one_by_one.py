"""Entries that are no spending are found by wallet and time, however much was spent between them. Nobody waits while
the index is built."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS entry_not_spending"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("wallet", "0009_day_sums")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "entry",
            models.Index(fields=["wallet", "-created"], condition=~Q(kind="spend"), name="entry_not_spending"),
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
