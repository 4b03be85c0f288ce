"""What must not be asked or answered. PostgreSQL tells every process when that changes, see 0003."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import llm.models
import voicehelper.secrets

FORWARDS = """
CREATE TRIGGER safety_changed AFTER INSERT OR DELETE OR UPDATE ON llm_safetysettings
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
CREATE TRIGGER words_changed AFTER INSERT OR DELETE OR UPDATE ON llm_safetyword
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""
BACKWARDS = """
DROP TRIGGER words_changed ON llm_safetyword;
DROP TRIGGER safety_changed ON llm_safetysettings;
"""


class Migration(migrations.Migration):
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL), ("llm", "0025_attachments")]

    operations = [
        migrations.CreateModel(
            name="SafetyWord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("word", models.CharField(max_length=64, unique=True, verbose_name="word")),
                ("enabled", models.BooleanField(db_default=True, default=True, verbose_name="enabled")),
                ("created", models.DateTimeField(db_default=Now(), editable=False, verbose_name="created")),
            ],
            options={
                "verbose_name": "forbidden word",
                "verbose_name_plural": "forbidden words",
                "ordering": ["word"],
            },
        ),
        migrations.CreateModel(
            name="SafetySettings",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("questions", models.BooleanField(db_default=False, default=False, verbose_name="check questions")),
                ("answers", models.BooleanField(db_default=False, default=False, verbose_name="check answers")),
                (
                    "moderator",
                    models.CharField(
                        blank=True,
                        choices=llm.models.moderator_choices,
                        db_default="",
                        default="",
                        max_length=16,
                        verbose_name="moderator",
                    ),
                ),
                (
                    "key_id",
                    models.CharField(blank=True, db_default="", default="", max_length=128, verbose_name="access key"),
                ),
                (
                    "key_secret",
                    voicehelper.secrets.EncryptedField(
                        blank=True, db_default="", default=voicehelper.secrets.Secret, verbose_name="secret key"
                    ),
                ),
                (
                    "service",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=64, verbose_name="service or policy"
                    ),
                ),
                (
                    "fail_open",
                    models.BooleanField(
                        db_default=True, default=True, verbose_name="go on while the moderator is away"
                    ),
                ),
                (
                    "producer",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=128, verbose_name="who provides the service"
                    ),
                ),
                (
                    "label_media",
                    models.BooleanField(db_default=True, default=True, verbose_name="label sound and pictures of /v1"),
                ),
            ],
            options={
                "verbose_name": "content safety",
                "verbose_name_plural": "content safety",
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="llm_safetysettings_only_one")
                ],
            },
        ),
        migrations.CreateModel(
            name="SafetyVerdict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("request_id", models.CharField(max_length=40, verbose_name="request id")),
                (
                    "direction",
                    models.CharField(
                        choices=[("question", "Question"), ("answer", "Answer")], max_length=8, verbose_name="where"
                    ),
                ),
                ("source", models.CharField(max_length=16, verbose_name="found by")),
                ("rule", models.CharField(blank=True, max_length=100, verbose_name="rule")),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("refused", "Refused; nothing was charged"),
                            ("cut", "Cut; charged as far as it came"),
                            ("passed", "Not checked: the moderator was away"),
                            ("closed", "Refused: the moderator was away"),
                        ],
                        max_length=8,
                        verbose_name="outcome",
                    ),
                ),
                ("created", models.DateTimeField(db_default=Now(), verbose_name="time")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "safety verdict",
                "verbose_name_plural": "safety verdicts",
                "indexes": [
                    models.Index(fields=["-created"], name="safety_verdict_newest"),
                    models.Index(fields=["user", "-created"], name="safety_verdict_of_user"),
                ],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
