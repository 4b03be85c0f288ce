"""Orders are found by their amount."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0021_cancelled_orders")]

    operations = [
        migrations.AddIndex("order", models.Index(fields=["amount_fen", "-created"], name="order_by_amount")),
    ]
