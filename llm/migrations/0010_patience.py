"""How long each model may take until the first sign of an answer."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0009_usage_by_kind")]

    operations = [
        migrations.AddField(
            "model",
            "patience_s",
            models.PositiveSmallIntegerField(
                blank=True,
                help_text="How long the first sign of an answer may take. Empty: ten minutes.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3600),
                ],
                verbose_name="patience (s)",
            ),
        ),
    ]
