"""How an answer ended that is not complete, and when its writer was last heard of."""

import django.core.validators
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0016_kept_responses")]

    operations = [
        migrations.AddField(
            "chatmessage",
            "ended",
            models.CharField(
                blank=True,
                choices=[("", "-"), ("stopped", "Stopped"), ("broken", "Broken off")],
                db_default="",
                default="",
                max_length=8,
            ),
        ),
        migrations.AddField(
            "chatmessage",
            "alive",
            models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddIndex(
            "chatmessage",
            models.Index(
                condition=models.Q(("complete", False), ("quota", None)),
                fields=["alive"],
                name="chat_answer_unsettled",
            ),
        ),
        migrations.AlterField(
            "model",
            "patience_s",
            models.PositiveSmallIntegerField(
                blank=True,
                help_text="How long the first sign of an answer may take. Empty: a quarter of an hour.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3600),
                ],
                verbose_name="patience (s)",
            ),
        ),
        # Until now one word stood for all that is not complete.
        migrations.RunSQL(
            "UPDATE llm_chatmessage SET ended = 'stopped' WHERE NOT complete AND role = 'assistant'",
            migrations.RunSQL.noop,
        ),
    ]
