"""A merchant account at WeChat Pay says which version of the protocol it speaks, and has what v3 wants."""

from django.db import migrations, models

import voicehelper.secrets


def secret(text):
    return voicehelper.secrets.EncryptedField(
        blank=True, db_default="", default=voicehelper.secrets.Secret, verbose_name=text
    )


class Migration(migrations.Migration):
    dependencies = [("topup", "0017_accounts_of_orders")]

    operations = [
        migrations.AddField("wechatsettings", "api_v3_key", secret("APIv3 key")),
        migrations.AddField(
            "wechatsettings",
            "api_version",
            models.CharField(
                choices=[("v2", "API v2"), ("v3", "API v3")],
                db_default="v2",
                default="v2",
                max_length=8,
                verbose_name="API version",
            ),
        ),
        migrations.AddField(
            "wechatsettings",
            "certificate_fetching",
            models.BooleanField(db_default=False, default=False, verbose_name="fetch platform certificates"),
        ),
        migrations.AddField("wechatsettings", "platform_certs", secret("platform certificates")),
        migrations.AddField("wechatsettings", "public_key", secret("WeChat Pay’s public key")),
        migrations.AddField(
            "wechatsettings",
            "public_key_id",
            models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="public key’s id"),
        ),
        migrations.AlterField(
            "wechatsettings",
            "client_cert",
            voicehelper.secrets.EncryptedField(
                blank=True, default=voicehelper.secrets.Secret, verbose_name="merchant’s certificate"
            ),
        ),
        migrations.AlterField(
            "wechatsettings",
            "client_key",
            voicehelper.secrets.EncryptedField(
                blank=True, default=voicehelper.secrets.Secret, verbose_name="merchant’s private key"
            ),
        ),
    ]
