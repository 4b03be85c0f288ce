"""Changes of prices can be taken back."""

import django.core.serializers.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("admin", "0003_logentry_add_action_flag_choices"), ("wallet", "0004_adjustments")]

    operations = [
        migrations.CreateModel(
            "PriceChange",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "values",
                    models.JSONField(
                        editable=False,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="values",
                    ),
                ),
                ("taken_back", models.DateTimeField(editable=False, null=True, verbose_name="taken back")),
                (
                    "entry",
                    models.OneToOneField(
                        editable=False,
                        on_delete=models.CASCADE,
                        related_name="price_change",
                        to="admin.logentry",
                        verbose_name="log entry",
                    ),
                ),
            ],
            options={"verbose_name": "price change", "verbose_name_plural": "price changes"},
        ),
    ]
