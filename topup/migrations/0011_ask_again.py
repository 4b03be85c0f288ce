"""Orders that were given up while they were open, without a last question: they are asked about again."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('topup', '0010_given_back_before'),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE topup_order SET next_ask_at = now() WHERE state IN ('created', 'pending') AND next_ask_at IS NULL",
            migrations.RunSQL.noop,
        ),
    ]
