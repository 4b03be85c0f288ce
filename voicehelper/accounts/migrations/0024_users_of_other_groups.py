"""Whom statistics by group look for. A broken try's remains are of no use."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("accounts", "0023_given_passwords")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS user_of_other_group", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "user",
            models.Index(fields=["group"], name="user_of_other_group", condition=~models.Q(group="default")),
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
