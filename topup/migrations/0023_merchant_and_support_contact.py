"""Buyers read whom they pay and how they reach somebody."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0022_orders_by_amount")]

    operations = [
        migrations.AddField(
            "rechargesettings",
            "merchant_name",
            models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="merchant"),
        ),
        migrations.AddField(
            "rechargesettings",
            "support_contact",
            models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="support contact"),
        ),
    ]
