"""A buyer can give an order up."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0020_surplus_payments")]

    operations = [
        migrations.AddField(
            "order", "cancelled_at", models.DateTimeField(editable=False, null=True, verbose_name="cancelled")
        ),
    ]
