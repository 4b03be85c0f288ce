import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import voicehelper.secrets


class Migration(migrations.Migration):

    dependencies = [("accounts", "0012_browsers")]

    operations = [
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("secret", voicehelper.secrets.EncryptedField(blank=True, default=voicehelper.secrets.Secret, editable=False)),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="created")),
                ("confirmed_at", models.DateTimeField(editable=False, null=True, verbose_name="on since")),
                ("last_step", models.BigIntegerField(db_default=0, default=0, editable=False)),
                ("user", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="second_factor", to=settings.AUTH_USER_MODEL, verbose_name="user")),
            ],
            options={"verbose_name": "second factor", "verbose_name_plural": "second factors"},
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("used_at", models.DateTimeField(editable=False, null=True, verbose_name="used")),
                ("factor", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="codes", to="accounts.secondfactor")),
            ],
            options={
                "verbose_name": "recovery code",
                "verbose_name_plural": "recovery codes",
                "constraints": [models.UniqueConstraint(fields=("factor", "digest"), name="recovery_code_once")],
            },
        ),
    ]
