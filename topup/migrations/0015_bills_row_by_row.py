"""Bills are read row by row: what was not understood is kept as it is, and what is not ours is counted apart."""

from django.db import migrations, models

_KINDS = [
    ("not_credited", "Paid there, not credited here"),
    ("unknown_here", "Paid there, no such order here"),
    ("other_account", "Agreed with another merchant account"),
    ("amount_differs", "Another amount was paid"),
    ("transaction_differs", "Another transaction number"),
    ("paid_twice", "Paid a second time"),
    ("listed_twice", "Listed twice in the bill"),
    ("missing_there", "Credited here, not in the bill"),
    ("refund_unknown_here", "Refunded there, not here"),
    ("refund_unknown_order", "Refunded there, no such order here"),
    ("refund_unfinished", "Refund ended there, still open here"),
    ("refund_amount_differs", "Another amount was refunded"),
    ("refund_state_differs", "The refund ended differently"),
    ("refund_missing_there", "Refunded here, not in the bill"),
    ("not_understood", "Not understood"),
    ("dated_outside", "Dated outside of the bill’s day"),
    ("other_day", "Booked here on another day"),
]


class Migration(migrations.Migration):
    dependencies = [("topup", "0014_notice_headers_and_query")]

    operations = [
        migrations.AddField(
            "difference",
            "line",
            models.PositiveBigIntegerField(editable=False, null=True, verbose_name="line of the bill"),
        ),
        migrations.AddField(
            "difference",
            "text",
            models.TextField(
                blank=True, db_default="", default="", editable=False, verbose_name="text of the line"
            ),
        ),
        migrations.AddField(
            "difference",
            "problem",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=200,
                verbose_name="why it is not understood",
            ),
        ),
        migrations.AlterField(
            "difference",
            "kind",
            models.CharField(choices=_KINDS, editable=False, max_length=24, verbose_name="kind"),
        ),
        migrations.AddField("reconciliation", "apart", models.JSONField(db_default={}, default=dict, editable=False)),
        migrations.AddField("reconciliation", "remarks", models.JSONField(db_default=[], default=list, editable=False)),
    ]
