"""Where an answer that is kept stands among all the bytes that were kept for its user."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("llm", "0017_how_answers_end"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            "KeptTotal",
            [
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                ("bytes", models.BigIntegerField(db_default=0)),
            ],
        ),
        migrations.AddField("keptresponse", "position", models.BigIntegerField(db_default=0, default=0)),
    ]
