"""Answers that are kept, by user and position: the oldest are looked for with every one that is kept."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS kept_response_position"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("llm", "0018_room_for_kept_responses")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        AddIndexConcurrently("keptresponse", models.Index(fields=["user", "position"], name="kept_response_position")),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
