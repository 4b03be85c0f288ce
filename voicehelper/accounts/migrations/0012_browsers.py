import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("accounts", "0011_one_user_of_an_email"), ("sessions", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="sign_outs",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="BrowserSession",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("session_hash", models.CharField(editable=False, max_length=128)),
                ("user_agent", models.CharField(editable=False, max_length=300, verbose_name="browser")),
                ("address", models.CharField(editable=False, max_length=45, verbose_name="address")),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="created")),
                ("seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="last seen")),
                ("session", models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name="browser", to="sessions.session")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="browser_sessions", to=settings.AUTH_USER_MODEL, verbose_name="user")),
            ],
            options={"verbose_name": "signed-in browser", "verbose_name_plural": "signed-in browsers"},
        ),
    ]
