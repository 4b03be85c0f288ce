"""What entries came to by wallet, day, kind and model, for statements; filled by the clock (day_sums.py)."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("wallet", "0008_books_refuse_truncate")]

    operations = [
        migrations.CreateModel(
            name="DaySum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="day_sums",
                        to="wallet.wallet",
                    ),
                ),
                ("day", models.DateField(editable=False)),
                ("kind", models.CharField(editable=False, max_length=8)),
                ("model", models.CharField(blank=True, editable=False, max_length=200)),
                ("entries", models.BigIntegerField(editable=False)),
                ("amount", models.BigIntegerField(editable=False)),
            ],
            options={
                "verbose_name": "day sum",
                "verbose_name_plural": "day sums",
                "indexes": [models.Index(fields=["kind", "day"], name="day_sum_by_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("wallet", "day", "kind", "model"), name="day_sum_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="DaySumMark",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False),
                ),
                ("up_to_entry", models.BigIntegerField(editable=False)),
            ],
            options={
                "verbose_name": "day sum mark",
                "verbose_name_plural": "day sum marks",
                "constraints": [models.CheckConstraint(condition=Q(id=1), name="day_sum_mark_only_one")],
            },
        ),
    ]
