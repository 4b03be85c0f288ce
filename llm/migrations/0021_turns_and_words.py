"""Where a question stands among those of its conversation, what a message is found by, and what a conversation is
set to."""

import django.db.models.deletion
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models

import llm.models.lexemes

# Old code knows nothing of the words, and deletes messages all the same.
GO_TOGETHER = """
    ALTER TABLE llm_searchwords ADD CONSTRAINT words_of_message
    FOREIGN KEY (message_id) REFERENCES llm_chatmessage (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
"""


def no() -> "models.BooleanField[bool, bool]":
    return models.BooleanField(db_default=False, default=False, editable=False)


class Migration(migrations.Migration):
    dependencies = [("llm", "0020_usage_sums")]

    operations = [
        migrations.AddField(
            "chatmessage",
            "parent",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="llm.chatmessage",
            ),
        ),
        migrations.AddField("chatmessage", "placed", no()),
        migrations.AddField("chatmessage", "continues", no()),
        migrations.AddField("chatmessage", "searchable", no()),
        migrations.AddField("chatsession", "pinned", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "chatsession",
            "system_prompt",
            models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            "chatsession",
            "temperature",
            models.DecimalField(decimal_places=2, editable=False, max_digits=3, null=True),
        ),
        migrations.CreateModel(
            "SearchWords",
            [
                (
                    "message",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="words",
                        serialize=False,
                        to="llm.chatmessage",
                    ),
                ),
                ("words", llm.models.lexemes.LexemesField()),
            ],
            options={"verbose_name": "words of a message", "verbose_name_plural": "words of messages"},
        ),
        migrations.AddIndex("searchwords", GinIndex(fields=["words"], fastupdate=False, name="chat_words")),
        migrations.RunSQL(GO_TOGETHER, "ALTER TABLE llm_searchwords DROP CONSTRAINT words_of_message"),
    ]
