"""What calls came to whose own rows are archived and deleted."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def number() -> "models.BigIntegerField[int, int]":
    return models.BigIntegerField(editable=False)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("llm", "0019_kept_responses_by_position"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageSum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="usage_sums",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("hour", models.DateTimeField(editable=False)),
                ("model_name", models.CharField(editable=False, max_length=64)),
                ("provider", models.CharField(blank=True, editable=False, max_length=16)),
                ("operation", models.CharField(editable=False, max_length=16)),
                ("calls", number()),
                ("failures", number()),
                ("input_tokens", number()),
                ("output_tokens", number()),
                ("quota", number()),
                ("uncollected", number()),
                ("costed", number()),
                ("cost", number()),
            ],
            options={
                "verbose_name": "usage sum",
                "verbose_name_plural": "usage sums",
                "indexes": [models.Index(fields=["provider", "hour"], name="usage_sum_of_provider")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "hour", "model_name", "provider", "operation"), name="usage_sum_once"
                    )
                ],
            },
        ),
    ]
