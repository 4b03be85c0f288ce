import django.db.models.functions.datetime
from django.db import migrations, models

import voicehelper.secrets


class Migration(migrations.Migration):

    dependencies = [("notifications", "0002_channels_and_deliveries")]

    operations = [
        migrations.CreateModel(
            name="Mail",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("to", models.EmailField(editable=False, max_length=254, verbose_name="to")),
                ("subject", models.CharField(editable=False, max_length=200, verbose_name="subject")),
                ("text", voicehelper.secrets.EncryptedField(blank=True, default=voicehelper.secrets.Secret, editable=False)),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="created")),
                ("until", models.DateTimeField(editable=False, verbose_name="good until")),
                ("tries", models.PositiveSmallIntegerField(default=0, editable=False, verbose_name="tries")),
                ("next_try_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, null=True, verbose_name="next try")),
                ("sent_at", models.DateTimeField(editable=False, null=True, verbose_name="sent")),
                ("outcome", models.CharField(blank=True, editable=False, max_length=300, verbose_name="outcome")),
            ],
            options={
                "verbose_name": "mail to a user",
                "verbose_name_plural": "mails to users",
                "indexes": [models.Index(condition=models.Q(("next_try_at__isnull", False)), fields=["next_try_at"], name="mail_due")],
            },
        ),
    ]
