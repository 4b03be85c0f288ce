import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import voicehelper.secrets


class Migration(migrations.Migration):

    dependencies = [("accounts", "0013_second_factor"), ("sessions", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Passkey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("credential_id", models.BinaryField(editable=False, max_length=1023, unique=True)),
                ("public_key", models.BinaryField(editable=False, max_length=2048)),
                ("user_handle", models.BinaryField(editable=False, max_length=64)),
                ("sign_count", models.BigIntegerField(db_default=0, default=0, editable=False)),
                ("transports", models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False)),
                ("name", models.CharField(max_length=64, verbose_name="name")),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="created")),
                ("last_used_at", models.DateTimeField(editable=False, null=True, verbose_name="last used")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="passkeys", to=settings.AUTH_USER_MODEL, verbose_name="user")),
            ],
            options={"verbose_name": "passkey", "verbose_name_plural": "passkeys"},
        ),
        migrations.CreateModel(
            name="PasskeyChallenge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("purpose", models.CharField(editable=False, max_length=16)),
                ("challenge", models.BinaryField(editable=False, max_length=64)),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("session", models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name="passkey_challenge", to="sessions.session")),
            ],
        ),
        migrations.CreateModel(
            name="WebsiteSettings",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("app_id", models.CharField(blank=True, max_length=32, verbose_name="app id")),
                ("app_secret", voicehelper.secrets.EncryptedField(blank=True, default=voicehelper.secrets.Secret, verbose_name="app secret")),
            ],
            options={
                "verbose_name": "WeChat sign-in on the web",
                "verbose_name_plural": "WeChat sign-in on the web",
                "abstract": False,
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="accounts_websitesettings_only_one")],
            },
        ),
    ]
