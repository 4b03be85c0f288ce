"""A notice is signed with its headers and query by some providers: what a replay needs is kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0013_refunds_known_from_reviews")]

    operations = [
        migrations.AddField(
            "notice",
            "headers",
            models.JSONField(db_default={}, default=dict, editable=False),
        ),
        migrations.AddField(
            "notice", "query", models.TextField(db_default="", default="", editable=False)
        ),
    ]
