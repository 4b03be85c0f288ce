"""An answer can have failed: no model gave it. The database needs nothing for that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0027_usage_day_sums")]

    operations = [
        migrations.AlterField(
            "chatmessage",
            "ended",
            models.CharField(
                blank=True,
                choices=[("", "-"), ("stopped", "Stopped"), ("broken", "Broken off"), ("failed", "Failed")],
                db_default="",
                default="",
                max_length=8,
            ),
        ),
    ]
