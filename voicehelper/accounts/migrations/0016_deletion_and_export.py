import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

_USER_CHANGED = """
CREATE OR REPLACE TRIGGER user_changed AFTER UPDATE OF {columns} ON accounts_user
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_names_that_look_alike")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="leaving_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="to be deleted"),
        ),
        migrations.RunSQL(
            _USER_CHANGED.format(columns='is_active, "group", leaving_at'),
            _USER_CHANGED.format(columns='is_active, "group"'),
        ),
        migrations.CreateModel(
            name="AccountDeletion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("asked", models.DateTimeField(db_default=Now(), editable=False, verbose_name="asked for")),
                ("due", models.DateTimeField(editable=False, verbose_name="due")),
                (
                    "asked_by",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Empty: the user.",
                        max_length=150,
                        verbose_name="asked for by",
                    ),
                ),
                ("reason", models.CharField(blank=True, editable=False, max_length=200, verbose_name="reason")),
                ("begun", models.DateTimeField(editable=False, null=True, verbose_name="begun")),
                ("finished", models.DateTimeField(editable=False, null=True, verbose_name="finished")),
                ("waits_for", models.CharField(blank=True, editable=False, max_length=300, verbose_name="waits for")),
                (
                    "user",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deletion",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "account deletion",
                "verbose_name_plural": "account deletions",
                "indexes": [models.Index(condition=models.Q(("finished", None)), fields=["due"], name="deletion_due")],
            },
        ),
        migrations.CreateModel(
            name="DataExport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Being made"), ("ready", "Ready"), ("failed", "Failed")],
                        default="waiting",
                        editable=False,
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("asked", models.DateTimeField(db_default=Now(), editable=False, verbose_name="asked for")),
                ("busy_until", models.DateTimeField(editable=False, null=True)),
                ("tries", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ("done", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("total", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("finished", models.DateTimeField(editable=False, null=True, verbose_name="finished")),
                ("expires", models.DateTimeField(editable=False, null=True, verbose_name="expires")),
                ("bucket_id", models.BigIntegerField(editable=False, null=True)),
                ("key", models.CharField(blank=True, editable=False, max_length=128)),
                ("size", models.BigIntegerField(default=0, editable=False, verbose_name="size")),
                (
                    "user",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="data_exports",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "data export",
                "verbose_name_plural": "data exports",
                "indexes": [models.Index(fields=["user", "-id"], name="data_export_of_user")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")), fields=("user",), name="data_export_one_at_a_time"
                    )
                ],
            },
        ),
    ]
