"""An application at Alipay may be in certificate mode: three files instead of Alipay's public key."""

from django.db import migrations

import voicehelper.secrets


def certificate(text):
    return voicehelper.secrets.EncryptedField(
        blank=True, db_default="", default=voicehelper.secrets.Secret, verbose_name=text
    )


class Migration(migrations.Migration):
    dependencies = [("topup", "0023_merchant_and_support_contact")]

    operations = [
        migrations.AddField("alipaysettings", "app_cert", certificate("application’s certificate")),
        migrations.AddField("alipaysettings", "cert", certificate("Alipay’s certificate")),
        migrations.AddField("alipaysettings", "root_cert", certificate("Alipay’s root certificates")),
    ]
