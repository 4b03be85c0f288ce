"""WeChat's QR code for websites."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sandbox", "0009_alipay_certificates")]

    operations = [
        migrations.AddField("wechatapp", "website", models.BooleanField(db_default=False, default=False)),
        migrations.AddField(
            "webcode", "unionid", models.CharField(blank=True, db_default="", default="", max_length=64)
        ),
        migrations.CreateModel(
            "ScanLogin",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.CharField(max_length=32, unique=True)),
                ("redirect_uri", models.CharField(max_length=500)),
                ("state", models.CharField(blank=True, max_length=128)),
                ("person", models.CharField(blank=True, max_length=64)),
                ("state_now", models.CharField(default="waiting", max_length=8)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "app",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scans", to="sandbox.wechatapp"
                    ),
                ),
            ],
        ),
    ]
