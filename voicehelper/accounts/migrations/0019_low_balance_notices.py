import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("accounts", "0018_minors")]

    operations = [
        migrations.CreateModel(
            name="LowBalanceNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("threshold", models.BigIntegerField(editable=False, verbose_name="threshold (quota)")),
                ("armed", models.BooleanField(editable=False, verbose_name="armed")),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="low_balance_notice",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "low balance notice",
                "verbose_name_plural": "low balance notices",
                "indexes": [models.Index(condition=Q(armed=True), fields=["user"], name="low_balance_armed")],
                "constraints": [
                    models.CheckConstraint(condition=Q(threshold__gte=0), name="low_balance_not_negative")
                ],
            },
        ),
    ]
