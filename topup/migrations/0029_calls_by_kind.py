"""Calls of one platform, of a rarer operation, and those that failed are found however many there are. Nobody waits to
log one while the indexes are built."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
INDEXES = (
    models.Index(fields=["gateway", "operation", "-created"], name="call_by_gateway"),
    models.Index(
        fields=["operation", "-created"], condition=~Q(operation__in=["create", "query"]), name="call_by_operation"
    ),
    models.Index(fields=["outcome", "-created"], condition=~Q(outcome="ok"), name="call_unwell"),
)


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("topup", "0028_refunds_finished")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        # What a try that was broken off leaves behind is good for nothing.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS call_by_gateway", migrations.RunSQL.noop),
        AddIndexConcurrently("gatewaycall", INDEXES[0]),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS call_by_operation", migrations.RunSQL.noop),
        AddIndexConcurrently("gatewaycall", INDEXES[1]),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS call_unwell", migrations.RunSQL.noop),
        AddIndexConcurrently("gatewaycall", INDEXES[2]),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
