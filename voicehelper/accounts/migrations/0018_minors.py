import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

_USER_CHANGED = """
CREATE OR REPLACE TRIGGER user_changed AFTER UPDATE OF {columns} ON accounts_user
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""
_AT_LEAST_1 = [django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1440)]


def _hour(name: str, default: int) -> models.PositiveSmallIntegerField:
    return models.PositiveSmallIntegerField(
        db_default=default,
        default=default,
        validators=[django.core.validators.MaxValueValidator(23)],
        verbose_name=name,
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0017_consent_and_site")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="minor",
            field=models.BooleanField(db_default=False, default=False, editable=False, verbose_name="minors’ mode"),
        ),
        migrations.RunSQL(
            _USER_CHANGED.format(columns='is_active, "group", leaving_at, minor'),
            _USER_CHANGED.format(columns='is_active, "group", leaving_at'),
        ),
        migrations.CreateModel(
            name="MinorMode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "minutes",
                    models.PositiveSmallIntegerField(
                        db_default=60, default=60, validators=_AT_LEAST_1, verbose_name="minutes of chat a day"
                    ),
                ),
                (
                    "recharge_fen",
                    models.PositiveIntegerField(db_default=5000, default=5000, verbose_name="recharge a day (fen)"),
                ),
                ("use_fen", models.PositiveIntegerField(db_default=1000, default=1000, verbose_name="use a day (fen)")),
                ("rests_from", _hour("rests from (hour)", 22)),
                ("rests_until", _hour("rests until (hour)", 6)),
                ("pin", models.CharField(blank=True, editable=False, max_length=128)),
                ("since", models.DateTimeField(db_default=Now(), editable=False, verbose_name="on since")),
                ("set_by", models.CharField(blank=True, editable=False, max_length=150, verbose_name="set by")),
                ("day", models.DateField(editable=False, null=True)),
                ("seconds", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("counted_to", models.DateTimeField(editable=False, null=True)),
                (
                    "user",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="minor_mode",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={"verbose_name": "minors’ mode", "verbose_name_plural": "minors’ modes"},
        ),
    ]
