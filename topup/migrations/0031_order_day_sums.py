"""What orders and refunds came to by day, for statistics; filled by the clock (order_days.py).

An order that moves when it is older than an hour leaves the day it was placed on behind, whoever moves it.
"""

from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION topup_order_moved_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO topup_orderdaychange (day) VALUES ((NEW.created AT TIME ZONE 'Asia/Shanghai')::date);
    RETURN NULL;
END $$;
CREATE TRIGGER order_moved_late AFTER UPDATE OF state ON topup_order FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.created < now() - interval '1 hour')
    EXECUTE FUNCTION topup_order_moved_late();
"""
BACKWARDS = """
DROP TRIGGER order_moved_late ON topup_order;
DROP FUNCTION topup_order_moved_late();
"""


class Migration(migrations.Migration):
    dependencies = [("topup", "0030_codes_revoked_singly")]

    operations = [
        migrations.CreateModel(
            name="OrderDay",
            fields=[("day", models.DateField(editable=False, primary_key=True, serialize=False))],
            options={"verbose_name": "order day", "verbose_name_plural": "order days"},
        ),
        migrations.CreateModel(
            name="OrderDayChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(db_index=True, editable=False)),
            ],
            options={"verbose_name": "late change of orders", "verbose_name_plural": "late changes of orders"},
        ),
        migrations.CreateModel(
            name="OrderDaySum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(editable=False)),
                ("part", models.CharField(editable=False, max_length=16)),
                ("gateway", models.CharField(editable=False, max_length=16)),
                ("live", models.BooleanField(editable=False)),
                ("detail", models.CharField(blank=True, editable=False, max_length=20)),
                ("count", models.BigIntegerField(editable=False)),
                ("fen", models.BigIntegerField(editable=False)),
                ("waited_s", models.BigIntegerField(editable=False)),
            ],
            options={
                "verbose_name": "order day sum",
                "verbose_name_plural": "order day sums",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "part", "gateway", "live", "detail"), name="order_day_sum_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
