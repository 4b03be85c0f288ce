"""An alert names its record and platform and is worded for its reader; channels have a language; snoozing and muting."""

import django.db.models.functions.datetime
from django.db import migrations, models

import notifications.models

NOW = django.db.models.functions.datetime.Now()


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_how_jobs_ended")]

    operations = [
        migrations.AddField(
            "alert", "texts", models.JSONField(blank=True, db_default={}, default=dict, editable=False)
        ),
        migrations.AddField(
            "alert",
            "about",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=150),
        ),
        migrations.AddField(
            "alert",
            "platform",
            models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=40, verbose_name="platform"
            ),
        ),
        migrations.AddField(
            "alert",
            "snoozed_until",
            models.DateTimeField(blank=True, editable=False, null=True, verbose_name="snoozed until"),
        ),
        migrations.AddField(
            "channel",
            "language",
            models.CharField(
                choices=notifications.models.languages,
                db_default="zh-hans",
                default="zh-hans",
                max_length=10,
                verbose_name="language",
            ),
        ),
        migrations.CreateModel(
            name="Mute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event", models.CharField(editable=False, max_length=40, verbose_name="event")),
                ("about", models.CharField(blank=True, default="", editable=False, max_length=200)),
                ("until", models.DateTimeField(editable=False, verbose_name="until")),
                ("by", models.CharField(editable=False, max_length=150, verbose_name="muted by")),
                ("reason", models.CharField(editable=False, max_length=200, verbose_name="reason")),
                ("created", models.DateTimeField(db_default=NOW, editable=False, verbose_name="created")),
                ("ended", models.DateTimeField(editable=False, null=True, verbose_name="ended")),
            ],
            options={
                "verbose_name": "mute",
                "verbose_name_plural": "muted alerts",
                "indexes": [
                    models.Index(condition=models.Q(("ended", None)), fields=["event", "until"], name="mute_in_force")
                ],
            },
        ),
    ]
