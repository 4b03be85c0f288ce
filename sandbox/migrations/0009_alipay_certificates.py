"""Alipay's applications may be in certificate mode."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sandbox", "0008_wechat_v3")]

    operations = [
        migrations.AddField(
            "merchant", "app_certificate",
            models.TextField(blank=True, db_default="", default="", help_text="Alipay's, PEM."),
        ),
        migrations.AddField(
            "merchant", "by_certificate",
            models.BooleanField(
                db_default=False, default=False, help_text="Alipay's application is in certificate mode."
            ),
        ),
        migrations.CreateModel(
            "AlipayCertificate",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("serial", models.CharField(help_text="cert_sn", max_length=32)),
                ("pem", models.TextField(help_text="With its issuer's.")),
                ("private_key", models.TextField()),
                ("genuine", models.BooleanField(default=True, help_text="Off: an impostor's.")),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="certificates", to="sandbox.merchant"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            "alipaycertificate",
            models.UniqueConstraint(models.F("merchant"), models.F("serial"), name="sandbox_alipay_certificate"),
        ),
    ]
