"""Certificates that providers sign with, fetched from them."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("topup", "0018_wechat_api_v3")]

    operations = [
        migrations.CreateModel(
            "ProviderCertificate",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=16)),
                ("merchant_id", models.CharField(max_length=32)),
                ("serial", models.CharField(max_length=64)),
                ("pem", models.TextField()),
                ("expires", models.DateTimeField()),
                ("fetched", models.DateTimeField(db_default=Now())),
            ],
            {
                "constraints": [
                    models.UniqueConstraint(
                        fields=["gateway", "merchant_id", "serial"], name="provider_certificate_once"
                    )
                ]
            },
        ),
    ]
