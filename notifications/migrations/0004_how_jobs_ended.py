"""What the jobs page says of each job: its last run, how it ended, and whether it runs now."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_mails_to_users")]

    operations = [
        migrations.AlterModelOptions(
            "jobrun", {"verbose_name": "scheduled job", "verbose_name_plural": "scheduled jobs"}
        ),
        migrations.AddField("jobrun", "started", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("jobrun", "took_ms", models.PositiveBigIntegerField(editable=False, null=True)),
        migrations.AddField(
            "jobrun",
            "error",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
        ),
        migrations.AddField("jobrun", "running", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "jobrun",
            "running_id",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
        migrations.AddField("jobrun", "asked_at", models.DateTimeField(editable=False, null=True)),
    ]
