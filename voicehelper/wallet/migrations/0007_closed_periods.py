"""Periods that are closed, chained by their hashes, and what each wallet had at the end of the last one.

A trigger refuses UPDATE and DELETE on closed periods, as on entries; TRUNCATE stays possible for the table's owner.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION wallet_closedperiod_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallet_closedperiod is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER closedperiod_append_only BEFORE UPDATE OR DELETE ON wallet_closedperiod
    FOR EACH ROW EXECUTE FUNCTION wallet_closedperiod_is_append_only();
"""
BACKWARDS = """
DROP TRIGGER closedperiod_append_only ON wallet_closedperiod;
DROP FUNCTION wallet_closedperiod_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("wallet", "0006_budgets")]

    operations = [
        migrations.AddField(
            model_name="auditrun",
            name="settled_entry",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="auditrun",
            name="chain",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
        migrations.CreateModel(
            name="ClosedPeriod",
            fields=[
                (
                    "number",
                    models.PositiveIntegerField(
                        editable=False, primary_key=True, serialize=False, verbose_name="number"
                    ),
                ),
                ("day", models.DateField(editable=False, verbose_name="Beijing day")),
                ("after_entry", models.BigIntegerField(editable=False, verbose_name="after entry")),
                ("up_to_entry", models.BigIntegerField(editable=False, unique=True, verbose_name="up to entry")),
                ("entries", models.PositiveIntegerField(editable=False, verbose_name="entries")),
                ("totals", models.JSONField(editable=False, verbose_name="totals")),
                (
                    "digest",
                    models.CharField(editable=False, max_length=64, verbose_name="SHA-256 of the entries"),
                ),
                (
                    "previous",
                    models.CharField(blank=True, editable=False, max_length=64, verbose_name="chain before"),
                ),
                ("chain", models.CharField(editable=False, max_length=64, unique=True, verbose_name="chain")),
                (
                    "closed",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="closed"
                    ),
                ),
            ],
            options={"verbose_name": "closed period", "verbose_name_plural": "closed periods"},
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "wallet",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="checkpoint",
                        serialize=False,
                        to="wallet.wallet",
                    ),
                ),
                ("balance", models.BigIntegerField()),
                ("used", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
