"""Messages of the release before that have no place yet, and those whose words are not kept yet; pinned
conversations."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
# What a try that was broken off leaves behind is good for nothing.
REMAINS = [
    "DROP INDEX CONCURRENTLY IF EXISTS chat_message_unsearched",
    "DROP INDEX CONCURRENTLY IF EXISTS chat_question_unplaced",
    "DROP INDEX CONCURRENTLY IF EXISTS chat_session_pinned",
]


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("llm", "0021_turns_and_words")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        *(migrations.RunSQL(each, migrations.RunSQL.noop) for each in REMAINS),
        AddIndexConcurrently(
            "chatmessage",
            models.Index(condition=Q(("searchable", False)), fields=["id"], name="chat_message_unsearched"),
        ),
        AddIndexConcurrently(
            "chatmessage",
            models.Index(
                condition=Q(("placed", False), ("question", None)), fields=["session"], name="chat_question_unplaced"
            ),
        ),
        AddIndexConcurrently(
            "chatsession",
            models.Index(
                condition=Q(("pinned", None), _negated=True), fields=["user", "-pinned"], name="chat_session_pinned"
            ),
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
