import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

_KINDS = [("agreement", "User agreement"), ("privacy", "Privacy policy")]


def _id() -> models.BigAutoField:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0016_deletion_and_export")]

    operations = [
        migrations.CreateModel(
            name="LegalText",
            fields=[
                ("id", _id()),
                ("kind", models.CharField(choices=_KINDS, max_length=16, verbose_name="kind")),
                (
                    "language",
                    models.CharField(
                        choices=[("zh-hans", "简体中文"), ("en", "English")], max_length=10, verbose_name="language"
                    ),
                ),
                ("version", models.PositiveIntegerField(verbose_name="version")),
                ("text", models.TextField(verbose_name="text")),
                ("valid_from", models.DateTimeField(verbose_name="valid from")),
                ("asks_again", models.BooleanField(db_default=True, default=True, verbose_name="ask everybody again")),
                ("created", models.DateTimeField(db_default=Now(), editable=False, verbose_name="created")),
            ],
            options={
                "verbose_name": "legal text",
                "verbose_name_plural": "legal texts",
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "language", "version"), name="legal_text_once"),
                    models.CheckConstraint(condition=models.Q(("version__gt", 0)), name="legal_text_counted"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Consent",
            fields=[
                ("id", _id()),
                ("kind", models.CharField(choices=_KINDS, editable=False, max_length=16, verbose_name="kind")),
                ("version", models.PositiveIntegerField(editable=False, verbose_name="version")),
                ("agreed", models.DateTimeField(db_default=Now(), editable=False, verbose_name="agreed")),
                ("address", models.GenericIPAddressField(editable=False, null=True, verbose_name="address")),
                (
                    "user",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="consents",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "consent",
                "verbose_name_plural": "consents",
                "constraints": [
                    models.UniqueConstraint(fields=("user", "kind", "version"), name="consent_to_version_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SiteSettings",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("updated", models.DateTimeField(auto_now=True)),
                (
                    "icp_number",
                    models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="ICP filing number"),
                ),
                (
                    "police_number",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=64, verbose_name="public security filing number"
                    ),
                ),
                (
                    "algorithm_number",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=100, verbose_name="algorithm filing number"
                    ),
                ),
                (
                    "contact",
                    models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="contact"),
                ),
                (
                    "help_address",
                    models.URLField(blank=True, db_default="", default="", max_length=300, verbose_name="help page"),
                ),
            ],
            options={
                "verbose_name": "site information",
                "verbose_name_plural": "site information",
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="accounts_sitesettings_only_one")
                ],
            },
        ),
    ]
