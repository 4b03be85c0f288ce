"""What was known of refunds before a credit stood in the review's text only: it is kept where it decides."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('topup', '0012_defaults_for_old_code'),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE topup_order SET refund_told_by = 'sweep' WHERE credited_at IS NULL AND review IN"
            " ('Paid and refunded at the provider, never credited here.',"
            " 'Refunded at the provider, never credited here.')",
            migrations.RunSQL.noop,
        ),
    ]
