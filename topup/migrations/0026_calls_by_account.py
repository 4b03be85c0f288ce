"""Calls are listed by account. Nobody waits to log one while the index is built, however long that takes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS call_by_account"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("topup", "0025_accounts_of_calls")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        AddIndexConcurrently("gatewaycall", models.Index(fields=["account", "-created"], name="call_by_account")),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
