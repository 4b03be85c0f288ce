"""How long each model may take until the first sign of an answer."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0006_spoken")]

    operations = [
        migrations.AddField(
            "model",
            "patience_s",
            models.PositiveSmallIntegerField(
                db_default=600,
                default=600,
                help_text="How long the first sign of an answer may take.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3600),
                ],
                verbose_name="patience (s)",
            ),
        ),
    ]
