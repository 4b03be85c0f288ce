"""What /v1/models tells of a model: how much it can read and write, and since when it is here."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0013_seed_aliases")]

    operations = [
        migrations.AddField(
            "model",
            "context_tokens",
            models.PositiveIntegerField(
                blank=True,
                help_text="What question and answer may have together.",
                null=True,
                verbose_name="context (tokens)",
            ),
        ),
        migrations.AddField(
            "model",
            "created",
            models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="created"
            ),
        ),
    ]
